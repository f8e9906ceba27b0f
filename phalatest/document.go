package phalatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/compose"
)

// document is an app-compose: its exact text, its content, and its hash.
type document struct {
	text []byte
	app  *compose.App
	hash compose.Hash
}

// completeDocument adds the platform's defaults to a document. Sent members stay unchanged: a null member is present, and
// part of the hash.
func (s *Server) completeDocument(sent []byte) (*document, *response) {
	clean, err := compose.Canonicalize(sent)
	if err != nil {
		return nil, invalidCompose(err)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(clean, &members); err != nil {
		return nil, invalidCompose(err)
	}
	script, err := json.Marshal(s.script)
	if err != nil {
		return nil, invalidCompose(err)
	}
	full := map[string]json.RawMessage{"pre_launch_script": script}
	for name, value := range map[string]string{
		"allowed_envs": `[]`, "features": `["kms","tproxy-net"]`, "gateway_enabled": `true`, "kms_enabled": `true`,
		"local_key_provider_enabled": `false`, "manifest_version": `2`, "name": `""`, "no_instance_id": `false`,
		"public_logs": `true`, "public_sysinfo": `true`, "public_tcbinfo": `true`,
		"runner": `"docker-compose"`, "secure_time": `false`, "storage_fs": `"zfs"`, "tproxy_enabled": `true`,
	} {
		full[name] = json.RawMessage(value)
	}
	maps.Copy(full, members)
	if text, runner := string(full["docker_compose_file"]), string(full["runner"]); runner != `"bash"` && (text == "" || text == "null" || text == `""`) {
		return nil, codedError(http.StatusBadRequest, "ERR-01-002", "Compose file is required")
	}
	doc, err := readDocument(full)
	if err != nil {
		return nil, invalidCompose(err)
	}
	return doc, nil
}

func invalidCompose(err error) *response {
	return codedError(http.StatusBadRequest, "ERR-01-003", err.Error())
}

// with returns the document with changed members.
func (d *document) with(changed map[string]any) (*document, *response) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(d.text, &members); err != nil {
		return nil, invalidCompose(err)
	}
	for name, value := range changed {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, invalidCompose(err)
		}
		members[name] = raw
	}
	doc, err := readDocument(members)
	if err != nil {
		return nil, invalidCompose(err)
	}
	return doc, nil
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
	if err := app.Validate(); err != nil {
		return nil, err
	}
	if app.DockerComposeFile != nil && deref(app.Runner) != "bash" {
		if err := checkComposeText(*app.DockerComposeFile); err != nil {
			return nil, err
		}
	}
	return &document{text: text, app: app, hash: compose.Sum(text)}, nil
}

// checkComposeText refuses a docker-compose text as the platform does: one that does not parse, and a variable whose
// value is null, as "KEY:" is.
func checkComposeText(text string) error {
	var file struct {
		Services map[string]struct {
			Environment any `yaml:"environment"`
		} `yaml:"services"`
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		return fmt.Errorf("docker_compose_file: %w", err)
	}
	if file.Services == nil {
		return errors.New("docker_compose_file: no services")
	}
	for _, name := range sortedKeys(file.Services) {
		variables, _ := file.Services[name].Environment.(map[string]any)
		for _, key := range sortedKeys(variables) {
			if variables[key] == nil {
				return fmt.Errorf("docker_compose_file: services.%s.environment.%s: the value is null", name, key)
			}
		}
	}
	return nil
}

func (d *document) composeFile() string { return deref(d.app.DockerComposeFile) }

func (d *document) script() string { return deref(d.app.PreLaunchScript) }

// officialScript is inserted into a document without a pre-launch script. It is not the platform's script, whose text
// may not be copied.
const officialScript = "#!/bin/bash\n# phalatest pre-launch script v2\necho \"----------------------------------------------\"\n"

// olderScript is an earlier official script.
const olderScript = "#!/bin/bash\n# phalatest pre-launch script v1\n"

// PreLaunchScript returns the script that the cloud inserts into a document without one, and its SHA-256. It is none
// of the platform's published scripts, so package compose does not recognise it.
func (s *Server) PreLaunchScript() (text string, sum compose.Hash) {
	return s.script, compose.Sum([]byte(s.script))
}
