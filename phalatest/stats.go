package phalatest

import (
	"encoding/json"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/openapi"
)

// uptime is how long a CVM has run, as text.
func (vm *cvm) uptime() string {
	if !vm.running() {
		return ""
	}
	return time.Since(vm.started).Round(time.Second).String()
}

func getStats(_ *Server, _ *call, vm *cvm) answer {
	stats := openapi.CVMStats{
		IsOnline: vm.running(), IsPublic: ref(deref(vm.doc.app.PublicSysInfo)), Status: vm.status, InProgress: ref(vm.op != nil),
		BootProgress: vm.boot, BootError: vm.failure,
	}
	if vm.running() {
		const mb, gb = 1 << 20, 1 << 30
		memory, disk := int64(vm.size.memory)*mb, int64(vm.size.disk)*gb
		stats.SysInfo = &openapi.SystemInfo{
			OSName: "DStack", OSVersion: vm.image.versionText(), KernelVersion: "6.9.0-dstack", CPUModel: "Intel(R) Xeon(R) Platinum",
			NumCPUs: vm.size.vcpu, TotalMemory: memory, AvailableMemory: memory / 2, UsedMemory: memory / 2, FreeMemory: memory / 2,
			Uptime: int64(time.Since(vm.started) / time.Second),
			Disks:  []openapi.Disk{{Name: "vda", MountPoint: "/", TotalSize: disk, FreeSize: disk / 2}},
		}
	}
	return ok(stats)
}

// getUserConfig reads the user configuration as the guest does, where it is JSON.
func getUserConfig(_ *Server, _ *call, vm *cvm) answer {
	var config struct {
		Hostname             string   `json:"hostname"`
		SSHAuthorizedKeys    []string `json:"ssh_authorized_keys"`
		DefaultGatewayDomain string   `json:"default_gateway_domain"`
	}
	if vm.userConfig != "" && json.Unmarshal([]byte(vm.userConfig), &config) != nil {
		return plain(400, "The user configuration is no JSON")
	}
	keys := config.SSHAuthorizedKeys
	if keys == nil {
		keys = []string{}
	}
	return ok(openapi.CVMUserConfig{
		Hostname: config.Hostname, SSHAuthorizedKeys: keys, DefaultGatewayDomain: config.DefaultGatewayDomain,
	})
}

// service is a service of a docker-compose file.
type service struct{ name, image string }

// container is the name that Docker gives it.
func (s service) container() string { return "dstack-" + s.name + "-1" }

// services run in a CVM, as far as its docker-compose file is readable.
func (vm *cvm) services() []service {
	var file struct {
		Services map[string]struct {
			Image string `yaml:"image"`
		} `yaml:"services"`
	}
	if !vm.running() || yaml.Unmarshal([]byte(vm.doc.composeFile()), &file) != nil {
		return nil
	}
	var all []service
	for _, name := range sortedKeys(file.Services) {
		all = append(all, service{name, file.Services[name].Image})
	}
	return all
}

func (vm *cvm) containers(c *call) []openapi.CVMContainer {
	all := []openapi.CVMContainer{}
	for _, s := range vm.services() {
		all = append(all, openapi.CVMContainer{
			ID: hashHex([]byte(vm.uuid + s.name)), Names: []string{"/" + s.container()}, Image: s.image,
			ImageID: "sha256:" + hashHex([]byte(s.image)), Created: second(vm.started), State: "running", Status: "Up " + vm.uptime(),
			LogEndpoint: vm.logURL(c, s.container(), ""),
		})
	}
	return all
}

func getComposition(_ *Server, c *call, vm *cvm) answer {
	return ok(openapi.CVMComposition{
		IsOnline: vm.running(), IsPublic: ref(true), DockerComposeFile: vm.doc.composeFile(), ManifestVersion: ref(2),
		Version: vm.image.versionText(), Runner: deref(vm.doc.app.Runner), Features: vm.doc.app.Features, Containers: vm.containers(c),
	})
}
