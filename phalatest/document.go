package phalatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// document is an app-compose: its exact text, its content, and its hash.
type document struct {
	text []byte
	app  *compose.App
	hash compose.Hash
}

// completed adds the platform's defaults, and returns the text of the CVM. Sent members stay unchanged: a null member
// is present, and part of the hash.
func (s *Server) completed(sent []byte) (*document, *answer) {
	clean, err := compose.Canonicalize(sent)
	if err != nil {
		bad := invalidCompose(err)
		return nil, &bad
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(clean, &members); err != nil {
		bad := invalidCompose(err)
		return nil, &bad
	}
	script, err := json.Marshal(s.script)
	if err != nil {
		bad := invalidCompose(err)
		return nil, &bad
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
		return nil, refuse(http.StatusBadRequest, "ERR-01-002", "Compose file is required")
	}
	doc, err := readDocument(full)
	if err != nil {
		bad := invalidCompose(err)
		return nil, &bad
	}
	return doc, nil
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

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// officialScript is what the cloud adds if an app has no pre-launch script. It is not the platform's, whose text is
// not free to copy.
const officialScript = "#!/bin/bash\n# phalatest pre-launch script v2\necho \"----------------------------------------------\"\n"

// olderScript was the official one once.
const olderScript = "#!/bin/bash\n# phalatest pre-launch script v1\n"

// WithPreLaunchScript sets the script that the cloud inserts into a document without one.
func WithPreLaunchScript(text string) Option {
	return func(s *Server) error {
		if text == "" {
			return errors.New("pre-launch script: empty")
		}
		s.script = text
		return nil
	}
}

// PreLaunchScript returns the script that the cloud inserts into a document without one, and its SHA-256. It is none
// of the platform's published scripts, so package compose does not know it.
func (s *Server) PreLaunchScript() (text string, sum compose.Hash) {
	return s.script, compose.Sum([]byte(s.script))
}

// upgradeStatus compares a CVM's pre-launch script with the official ones.
func upgradeStatus(s *Server, _ *call, vm *cvm) answer {
	script := vm.doc.script()
	latest, older := script == s.script, script == olderScript
	return ok(openapi.PreLaunchUpgrade{
		CurrentHash: hashOf(vm.doc.app.PreLaunchScript), LatestOfficialHash: hashHex([]byte(s.script)), IsOfficial: latest || older,
		IsLatest: latest, CanUpgrade: older,
	})
}

func upgradePreLaunch(s *Server, c *call, vm *cvm) answer {
	doc, err := vm.doc.with(map[string]any{"pre_launch_script": s.script})
	if err != nil {
		return invalidCompose(err)
	}
	return s.change(vm, change{kind: "compose_update", doc: doc}, approvalOf(c))
}
