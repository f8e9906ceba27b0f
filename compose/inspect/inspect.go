// Package inspect reports the services of a docker-compose file, and finds what cannot work in a confidential VM or
// weakens it. It parses the file with compose-go, as Docker Compose does. It reads no other file and sends nothing.
// Variables need no value: a variable without a default is replaced by a placeholder in a number, a duration or a port,
// and unchanged elsewhere.
package inspect

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
)

// Report is the result of an inspection.
type Report struct {
	// Services in the order of their names, those of all profiles.
	Services []Service `json:"services"`
	// Env are the variables that the file uses; see [compose.EnvUses].
	Env []compose.EnvUse `json:"env"`
	// Findings are sorted, errors first.
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
		return nil, fmt.Errorf("docker-compose file: %s", cloudtext.Clean(err.Error()))
	}
	r := &Report{Env: env}
	check := checker{file: file, report: r}
	check.project(project)
	r.sort()
	return r, nil
}

// App inspects an app-compose document with its docker-compose file, if it has one.
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
