package phalatest

import (
	"encoding/json"
	"time"

	"go.yaml.in/yaml/v3"
)

// uptime is how long a CVM has run, as text.
func (vm *cvm) uptime() string {
	if !vm.running() {
		return ""
	}
	return time.Since(vm.started).Round(time.Second).String()
}

func getStats(_ *Server, _ *call, vm *cvm) answer {
	stats := object{
		"is_online": vm.running(), "is_public": deref(vm.doc.app.PublicSysInfo), "error": nil, "sysinfo": nil, "status": vm.status,
		"in_progress": vm.op != nil, "boot_progress": orNull(vm.boot), "boot_error": orNull(vm.failure),
	}
	if vm.running() {
		const mb, gb = 1 << 20, 1 << 30
		memory, disk := int64(vm.size.memory)*mb, int64(vm.size.disk)*gb
		stats["sysinfo"] = object{
			"os_name": "DStack", "os_version": vm.image.versionText(), "kernel_version": "6.9.0-dstack", "cpu_model": "Intel(R) Xeon(R) Platinum",
			"num_cpus": vm.size.vcpu, "total_memory": memory, "available_memory": memory / 2, "used_memory": memory / 2, "free_memory": memory / 2,
			"total_swap": 0, "used_swap": 0, "free_swap": 0, "uptime": int64(time.Since(vm.started) / time.Second),
			"loadavg_one": 0, "loadavg_five": 0, "loadavg_fifteen": 0,
			"disks": []object{{"name": "vda", "mount_point": "/", "total_size": disk, "free_size": disk / 2}},
		}
	}
	return ok(stats)
}

// getUserConfig reads the user configuration as the guest does, where it is JSON.
func getUserConfig(_ *Server, _ *call, vm *cvm) answer {
	var config struct {
		Hostname             *string  `json:"hostname"`
		SSHAuthorizedKeys    []string `json:"ssh_authorized_keys"`
		DefaultGatewayDomain *string  `json:"default_gateway_domain"`
	}
	if vm.userConfig != "" && json.Unmarshal([]byte(vm.userConfig), &config) != nil {
		return plain(400, "The user configuration is no JSON")
	}
	keys := config.SSHAuthorizedKeys
	if keys == nil {
		keys = []string{}
	}
	return ok(object{"hostname": config.Hostname, "ssh_authorized_keys": keys, "default_gateway_domain": config.DefaultGatewayDomain})
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

func (vm *cvm) containers(c *call) []object {
	all := []object{}
	for _, s := range vm.services() {
		all = append(all, object{
			"id": hashHex([]byte(vm.uuid + s.name)), "names": []string{"/" + s.container()}, "image": s.image,
			"image_id": "sha256:" + hashHex([]byte(s.image)), "command": nil, "created": vm.started.Unix(), "state": "running",
			"status": "Up " + vm.uptime(), "log_endpoint": vm.logURL(c, s.container(), ""),
		})
	}
	return all
}

func getComposition(_ *Server, c *call, vm *cvm) answer {
	return ok(object{
		"is_online": vm.running(), "is_public": true, "error": nil, "docker_compose_file": vm.doc.composeFile(), "manifest_version": 2,
		"version": vm.image.versionText(), "runner": deref(vm.doc.app.Runner), "features": vm.doc.app.Features, "containers": vm.containers(c),
	})
}
