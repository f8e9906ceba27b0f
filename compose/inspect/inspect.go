// Package inspect reports what a docker-compose file contains, and what of it cannot work in a confidential
// VM or weakens it. It reads the file with compose-go, as Docker Compose does, reads no other file and sends
// nothing. Variables need no value: one without a default is replaced by a placeholder if a number, a
// duration or a port belongs there, and stays as it is anywhere else.
package inspect

import (
	"context"
	"fmt"
	"strings"

	"github.com/phala-go/phala/compose"
)

// Report is the result of an inspection.
type Report struct {
	// Services in the order of their names, those of all profiles.
	Services []Service `json:"services"`
	// Env are the variables that the file uses; see [compose.EnvUses].
	Env []compose.EnvUse `json:"env"`
	// Findings are what should be looked at before the file is deployed, errors first.
	Findings []Finding `json:"findings"`
}

// Service is one service of the file.
type Service struct {
	Name  string `json:"name"`
	Image string `json:"image,omitempty"`
	// Ports are the ports of the CVM that lead to the service, such as "80/tcp"; not those of a loopback address.
	Ports []string `json:"ports,omitempty"`
	// Volumes are the names of the volumes that it mounts.
	Volumes []string `json:"volumes,omitempty"`
	// Restart is the restart policy, "" if there is none.
	Restart string `json:"restart,omitempty"`
}

// Load reads the text of a docker-compose file. It returns an error if Docker Compose refuses the file.
func Load(ctx context.Context, dockerCompose string) (*Report, error) {
	env, err := compose.EnvUses(dockerCompose)
	if err != nil {
		return nil, err
	}
	file, err := readSource(dockerCompose)
	if err != nil {
		return nil, err
	}
	project, err := file.project(ctx)
	if err != nil {
		return nil, fmt.Errorf("docker-compose file: %s", readable(err))
	}
	r := &Report{Env: env}
	check := checker{file: file, report: r}
	check.project(project)
	r.sort()
	return r, nil
}

// App inspects the docker-compose file of an app-compose document, and what the rest of the document does to it.
// A document without one, such as that of a bash script, has findings of its own only.
func App(ctx context.Context, app *compose.App) (*Report, error) {
	r := &Report{}
	if app.DockerComposeFile != nil && *app.DockerComposeFile != "" {
		var err error
		if r, err = Load(ctx, *app.DockerComposeFile); err != nil {
			return nil, err
		}
	}
	r.document(app)
	r.sort()
	return r, nil
}

// readable returns the text of an error on one line, at most 500 bytes of it.
func readable(err error) string {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	if len(text) > 500 {
		text = strings.ToValidUTF8(text[:500], "") + "…"
	}
	return text
}
