package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// checker adds the findings of a docker-compose file to a report.
type checker struct {
	file   *source
	report *Report
}

// find adds a finding about a part of the file. Parts lead to it, such as services, web, image; the line is that of
// the innermost one that the file has.
func (c *checker) find(f Finding, parts ...string) {
	if len(parts) > 1 {
		f.Subject = strings.TrimSuffix(parts[0], "s") + " " + parts[1]
	}
	for ; len(parts) > 0 && f.Line == 0; parts = parts[:len(parts)-1] {
		f.Line = c.file.lines[strings.Join(parts, ".")]
	}
	c.report.add(f)
}

func (c *checker) project(p *types.Project) {
	for _, name := range p.ServiceNames() {
		c.service(p.Services[name])
	}
	for _, v := range c.file.nulls {
		c.find(Finding{Severity: Error, Rule: NullVariable, Line: v.line,
			Detail: fmt.Sprintf("the platform refuses %s: without a value; write %s: ${%s}, or a list with - %s", v.name, v.name, v.name, v.name)}, "services", v.service)
	}
	if line, ok := c.file.lines["include"]; ok {
		c.find(Finding{Severity: Error, Rule: LocalFile, Line: line, Detail: "include reads another file, and a CVM has this one alone; put its content here"})
	}
	for name, v := range p.Volumes {
		c.external(bool(v.External), "volumes", name)
	}
	for name, n := range p.Networks {
		c.external(bool(n.External), "networks", name)
	}
	for name, s := range p.Secrets {
		c.fileObject(types.FileObjectConfig(s), "secrets", name)
	}
	for name, s := range p.Configs {
		c.fileObject(types.FileObjectConfig(s), "configs", name)
	}
}

func (c *checker) external(external bool, parts ...string) {
	if external {
		c.find(Finding{Severity: Error, Rule: External, Detail: "it must exist before the app starts, and a CVM has none"}, append(parts, "external")...)
	}
}

func (c *checker) fileObject(f types.FileObjectConfig, parts ...string) {
	c.external(bool(f.External), parts...)
	if f.File != "" {
		c.find(Finding{Severity: Error, Rule: LocalFile, Detail: fmt.Sprintf("a CVM has no file %q; use environment: with a variable, or content:", f.File)},
			append(parts, "file")...)
	}
}

func (c *checker) service(s types.ServiceConfig) {
	service := Service{Name: s.Name, Image: s.Image, Restart: s.Restart}
	if s.Deploy != nil && s.Deploy.RestartPolicy != nil && service.Restart == "" {
		service.Restart = s.Deploy.RestartPolicy.Condition
	}
	for _, p := range s.Ports {
		if p.Published != "" && !isLoopback(p.HostIP) {
			service.Ports = append(service.Ports, p.Published+"/"+cmp.Or(p.Protocol, "tcp"))
		}
	}
	for _, v := range s.Volumes {
		c.volume(s.Name, v)
		if v.Type == types.VolumeTypeVolume && v.Source != "" {
			service.Volumes = append(service.Volumes, v.Source)
		}
	}
	slices.Sort(service.Volumes)
	c.report.Services = append(c.report.Services, service)

	c.image(s)
	for _, file := range s.EnvFiles {
		severity := Error
		if !file.Required {
			severity = Warning
		}
		c.find(Finding{Severity: severity, Rule: EnvFile, Detail: fmt.Sprintf("a CVM has no file %q; list the variables in environment:", file.Path)}, "services", s.Name, "env_file")
	}
	for _, file := range s.LabelFiles {
		c.find(Finding{Severity: Error, Rule: LocalFile, Detail: fmt.Sprintf("a CVM has no file %q", file)}, "services", s.Name, "label_file")
	}
	if s.Privileged {
		c.find(Finding{Severity: Warning, Rule: Privileged, Detail: "the container can do what the guest can"}, "services", s.Name, "privileged")
	}
	for _, d := range s.Devices {
		c.find(Finding{Severity: Warning, Rule: Device, Detail: fmt.Sprintf("the container gets the device %q, if the CVM has it", d.Source)}, "services", s.Name, "devices")
	}
	if s.Extends != nil && s.Extends.File != "" {
		c.find(Finding{Severity: Error, Rule: LocalFile, Detail: fmt.Sprintf("a CVM has no file %q to extend", s.Extends.File)}, "services", s.Name, "extends")
	}
}

// image adds the findings about the source of the image.
func (c *checker) image(s types.ServiceConfig) {
	switch b := s.Build; {
	case b != nil && (b.DockerfileInline != "" || isRemote(b.Context)):
		c.find(Finding{Severity: Warning, Rule: NoDigest, Detail: "the image is built in the CVM, and what the build fetches is not part of the compose hash"}, "services", s.Name, "build")
	case b != nil && s.Image == "":
		c.find(Finding{Severity: Error, Rule: Build, Detail: fmt.Sprintf("a CVM has no files %q to build from; push an image and use it by digest", b.Context)}, "services", s.Name, "build")
	case b != nil:
		c.find(Finding{Severity: Warning, Rule: Build, Detail: fmt.Sprintf("a CVM has no files %q to build from; the image must be in a registry", b.Context)}, "services", s.Name, "build")
		fallthrough
	default:
		if s.Image != "" && !strings.Contains(s.Image, "@sha256:") && s.Provider == nil {
			c.find(Finding{Severity: Warning, Rule: NoDigest, Detail: fmt.Sprintf("%q can become another image without another compose hash; add @sha256:…", s.Image)}, "services", s.Name, "image")
		}
	}
}

func (c *checker) volume(service string, v types.ServiceVolumeConfig) {
	if v.Type != types.VolumeTypeBind || inGuest(v.Source) || strings.HasPrefix(v.Source, "/${") {
		return
	}
	if strings.HasPrefix(v.Source, "/dev/") {
		c.find(Finding{Severity: Warning, Rule: Device, Detail: fmt.Sprintf("the container gets the device %q, if the CVM has it", v.Source)}, "services", service, "volumes")
		return
	}
	f := Finding{Severity: Warning, Rule: Bind, Detail: fmt.Sprintf("a CVM has no %q, and Docker makes an empty directory of it; use a volume, or configs: with content:", v.Source)}
	if v.Bind != nil && !v.Bind.CreateHostPath {
		f.Severity, f.Detail = Error, fmt.Sprintf("a CVM has no %q; use a volume, or configs: with content:", v.Source)
	}
	c.find(f, "services", service, "volumes")
}

// inGuest reports whether a path exists in a guest: the sockets of dstack and Docker, and the kernel's file systems.
func inGuest(source string) bool {
	source = path.Clean(source)
	for _, root := range []string{"/var/run", "/run", "/sys", "/proc", "/dev/shm", "/dev/log", "/dev/null", "/dev/net", "/tapp", "/dstack", "/etc/localtime", "/lib/modules"} {
		if source == root || strings.HasPrefix(source, root+"/") {
			return true
		}
	}
	return source == "/dev" || source == "/"
}

// isRemote reports whether a build takes its files from elsewhere.
func isRemote(context string) bool {
	return strings.Contains(context, "://") || strings.HasPrefix(context, "git@") || strings.HasPrefix(context, "github.com/")
}

func isLoopback(address string) bool {
	a, err := netip.ParseAddr(address)
	return err == nil && a.IsLoopback()
}
