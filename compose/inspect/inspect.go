// Package inspect tells what a docker-compose file asks for, and what of it cannot work in a confidential
// VM or weakens it. It reads the file with compose-go, as Docker Compose does, and touches no other file.
package inspect

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/phala-go/phala/compose"
)

// Report is what a docker-compose file asks for.
type Report struct {
	// Services in the order of their names.
	Services []Service
	// EnvNames are the variables that the file mentions, in order of appearance; see [compose.EnvNames].
	EnvNames []string
	// Findings are what should be changed before the file is deployed.
	Findings []Finding
}

// Service is one service of the file.
type Service struct {
	Name  string
	Image string
	// Ports are the ports of the CVM that lead to the service, such as "80/tcp".
	Ports []string
	// Volumes are the names of the volumes that it mounts.
	Volumes []string
}

// Finding is one thing that should be changed.
type Finding struct {
	// Service that it is about.
	Service string
	// Rule names the kind of finding.
	Rule Rule
	// Detail says what was found.
	Detail string
}

// String gives the finding as one line.
func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Service, f.Rule, f.Detail) }

// Rule is a kind of finding.
type Rule string

// The kinds of findings.
const (
	// NoDigest is an image without a digest: the registry can put another one in its place, and the compose
	// hash stays the same.
	NoDigest Rule = "image without a digest"
	// Build is an image that would have to be built, for which a CVM has no sources.
	Build Rule = "image that must be built"
	// EnvFile is a file of variables that a CVM does not have.
	EnvFile Rule = "env_file"
	// LocalFile is a mount, an include or an extension of a file that a CVM does not have.
	LocalFile Rule = "local file"
	// Privileged is a container that can do what the guest can.
	Privileged Rule = "privileged"
)

// Load reads the text of a docker-compose file. It fails where Docker Compose would.
func Load(ctx context.Context, dockerCompose string) (*Report, error) {
	names, err := compose.EnvNames(dockerCompose)
	if err != nil {
		return nil, err
	}
	project, err := loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(dockerCompose)}},
	}, func(o *loader.Options) {
		o.SetProjectName("app", true)
		// Nothing outside of the text is read, and its variables stay as they are.
		o.SkipInterpolation = true
		o.SkipInclude = true
		o.SkipExtends = true
		o.SkipResolveEnvironment = true
		o.ResolvePaths = false
	})
	if err != nil {
		return nil, fmt.Errorf("docker-compose file: %w", err)
	}
	r := &Report{EnvNames: names}
	for _, name := range project.ServiceNames() {
		r.add(project.Services[name])
	}
	return r, nil
}

func (r *Report) add(s types.ServiceConfig) {
	service := Service{Name: s.Name, Image: s.Image}
	for _, p := range s.Ports {
		published := p.Published
		if published == "" {
			continue
		}
		service.Ports = append(service.Ports, published+"/"+p.Protocol)
	}
	for _, v := range s.Volumes {
		switch v.Type {
		case types.VolumeTypeVolume:
			if v.Source != "" {
				service.Volumes = append(service.Volumes, v.Source)
			}
		case types.VolumeTypeBind:
			if !inGuest(v.Source) {
				r.find(s.Name, LocalFile, v.Source)
			}
		}
	}
	slices.Sort(service.Volumes)
	r.Services = append(r.Services, service)

	switch {
	case s.Build != nil:
		r.find(s.Name, Build, s.Build.Context)
	case !strings.Contains(s.Image, "@sha256:"):
		r.find(s.Name, NoDigest, s.Image)
	}
	for _, file := range s.EnvFiles {
		r.find(s.Name, EnvFile, file.Path)
	}
	if s.Privileged {
		r.find(s.Name, Privileged, "the container can do what the guest can")
	}
	if s.Extends != nil && s.Extends.File != "" {
		r.find(s.Name, LocalFile, s.Extends.File)
	}
}

// inGuest tells the paths that exist in a guest: the sockets and devices that apps of a CVM mount.
func inGuest(path string) bool {
	for _, root := range []string{"/var/run/", "/run/", "/dev/", "/sys/", "/proc/", "/tapp", "/dstack"} {
		if strings.HasPrefix(path, root) {
			return true
		}
	}
	return false
}

func (r *Report) find(service string, rule Rule, detail string) {
	r.Findings = append(r.Findings, Finding{Service: service, Rule: rule, Detail: detail})
}
