package phalatest

import (
	"encoding/json"
	"maps"

	"github.com/phala-go/phala/compose"
)

// document is an app-compose: its exact text, what it says, and its hash.
type document struct {
	text []byte
	app  *compose.App
	hash compose.Hash
}

// officialScript is what the cloud adds where an app has no pre-launch script.
const officialScript = "#!/bin/bash\n# phalatest pre-launch script v2\necho \"----------------------------------------------\"\n"

// olderScript was the official one once.
const olderScript = "#!/bin/bash\n# phalatest pre-launch script v1\n"

// completed fills in the platform's defaults, and reads the exact text that a CVM gets.
func completed(doc []byte) (*document, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(doc, &members); err != nil {
		return nil, err
	}
	script, err := json.Marshal(officialScript)
	if err != nil {
		return nil, err
	}
	defaults := map[string]json.RawMessage{"pre_launch_script": script}
	for name, value := range map[string]string{
		"allowed_envs": `[]`, "features": `["kms","tproxy-net"]`, "gateway_enabled": `true`, "kms_enabled": `true`,
		"local_key_provider_enabled": `false`, "manifest_version": `2`, "name": `""`, "no_instance_id": `false`,
		"public_logs": `true`, "public_sysinfo": `true`, "public_tcbinfo": `true`,
		"runner": `"docker-compose"`, "secure_time": `false`, "storage_fs": `"zfs"`, "tproxy_enabled": `true`,
	} {
		defaults[name] = json.RawMessage(value)
	}
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return string(value) == "null" })
	maps.Copy(defaults, members)
	return readDocument(defaults)
}

// with is the document with other members.
func (d *document) with(changed map[string]any) (*document, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(d.text, &members); err != nil {
		return nil, err
	}
	for name, value := range changed {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		members[name] = raw
	}
	return readDocument(members)
}

func readDocument(members map[string]json.RawMessage) (*document, error) {
	full, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	text, err := compose.Canonicalize(full)
	if err != nil {
		return nil, err
	}
	app, err := compose.Parse(text)
	if err != nil {
		return nil, err
	}
	return &document{text: text, app: app, hash: compose.Sum(text)}, app.Validate()
}

func (d *document) composeFile() string { return deref(d.app.DockerComposeFile) }

func (d *document) script() string { return deref(d.app.PreLaunchScript) }

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
