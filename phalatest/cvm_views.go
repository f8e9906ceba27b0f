package phalatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/openapi"
)

const (
	gatewayDomain = "dstack-test1.phala.test"
	// platformVersion is the dstack version of the nodes and KMSs.
	platformVersion = "0.5.5"
)

// describeVM returns the response of the operations that change a CVM. Its id is a number in older versions.
func (vm *cvm) describeVM(c *call) openapi.VM {
	return openapi.VM{
		ID: vm.rowID(c), Name: vm.name, Status: vm.status, TeepodID: numbered(vm.node.teepod),
		Teepod: &openapi.NodeMeta{ID: numbered(vm.node.teepod), Name: vm.node.name}, UserID: vm.app.workspace.userRowID(c),
		AppID: vm.app.id.String(), VMUUID: dashed(vm.uuid), InstanceID: vm.instance, AppURL: appURL(vm.app), BaseImage: vm.image.name,
		VCPU: vm.size.vcpu, Memory: vm.size.memory, DiskSize: vm.size.disk, ManifestVersion: ref(2), Version: vm.image.versionText(),
		Runner: deref(vm.doc.app.Runner), DockerComposeFile: vm.doc.composeFile(), Features: vm.doc.app.Features,
		CreatedAt: second(vm.created), EncryptedEnvPublicKey: vm.app.key.String(),
	}
}

func appURL(a *app) string { return fmt.Sprintf("https://%s-80.%s", a.id, gatewayDomain) }

// urls returns the URLs of the app after its first boot.
func (vm *cvm) urls() []openapi.CVMURLs {
	if vm.instance == "" {
		return []openapi.CVMURLs{}
	}
	return []openapi.CVMURLs{{App: appURL(vm.app), Instance: fmt.Sprintf("https://%s-80.%s", vm.instance, gatewayDomain)}}
}

// describe returns a CVM as lists contain it.
func (vm *cvm) describe(c *call) openapi.CVM {
	app, k := vm.doc.app, vm.app.kms
	described := openapi.CVM{
		ID: openapi.ID(vm.id()), Name: vm.name, AppID: vm.app.id.String(), VMUUID: dashed(vm.uuid), InstanceID: vm.instance,
		Resource: openapi.CVMResources{
			InstanceType: vm.size.instanceType, VCPU: ref(vm.size.vcpu), MemoryInGB: ref(float64(vm.size.memory) / 1024), DiskInGB: ref(vm.size.disk),
			GPUs: ref(vm.size.gpus), ComputeBillingPrice: vm.rate(), BillingPeriod: openapi.BillingPeriodHourly,
		},
		NodeInfo: ref(vm.node.ref()),
		OS: &openapi.CVMOS{
			Name: vm.image.name, Version: vm.image.versionText(), IsDev: &vm.image.dev, OSImageHash: vm.image.hash(),
		},
		KMSType: openapi.KMSType(k.kind),
		KMSInfo: &openapi.CVMKMS{
			ChainID: k.chainID(), EncryptedEnvPublicKey: vm.app.key.String(), Slug: k.slug, ID: openapi.ID(k.id), URL: k.url,
			K256PublicKey: k.signer().String(), DstackKMSAddress: k.address(), DstackAppAddress: vm.app.contract(), DeployerAddress: vm.app.deployer,
		},
		Status: vm.status, InProgress: ref(vm.op != nil), ComposeHash: vm.doc.hash.String(),
		DockerComposeHash: hashOf(app.DockerComposeFile), PreLaunchScriptHash: hashOf(app.PreLaunchScript),
		Gateway: openapi.CVMGateway{BaseDomain: gatewayDomain}, Logs: ref(vm.logURLs(c)), Services: []openapi.RawJSON{}, Endpoints: vm.urls(),
		PublicLogs: ref(deref(app.PublicLogs)), PublicSysInfo: ref(deref(app.PublicSysInfo)), PublicTCBInfo: ref(deref(app.PublicTCBInfo)),
		GatewayEnabled: ref(deref(app.GatewayEnabled)), SecureTime: ref(deref(app.SecureTime)), StorageFS: deref(app.StorageFS),
		Workspace: ref(vm.app.workspace.ref()), Creator: ref(vm.app.workspace.userRef()), CreatedAt: second(vm.created), Listed: ref(vm.listed),
		HourlyRate: &openapi.HourlyRate{Total: vm.rate(), Compute: vm.rate(), Disk: "0"}, BillingInterval: "hourly",
	}
	if vm.op != nil {
		described.Progress = &openapi.CVMProgress{Target: string(vm.op.target), StartedAt: second(vm.op.started), CorrelationID: vm.op.id}
	}
	return described
}

// detail returns a CVM as its own operation returns it.
func (vm *cvm) detail(c *call) openapi.CVMDetail {
	d := vm.describe(c)
	return openapi.CVMDetail{
		ID: d.ID, Name: d.Name, AppID: d.AppID, VMUUID: d.VMUUID, InstanceID: d.InstanceID, Resource: d.Resource, NodeInfo: d.NodeInfo, OS: d.OS,
		KMSType: d.KMSType, KMSInfo: d.KMSInfo, Status: d.Status, InProgress: d.InProgress, Progress: d.Progress, ComposeHash: d.ComposeHash,
		DockerComposeHash: d.DockerComposeHash, PreLaunchScriptHash: d.PreLaunchScriptHash, Gateway: d.Gateway, Logs: d.Logs,
		Services: d.Services, Endpoints: d.Endpoints, PublicLogs: d.PublicLogs, PublicSysInfo: d.PublicSysInfo, PublicTCBInfo: d.PublicTCBInfo,
		GatewayEnabled: d.GatewayEnabled, SecureTime: d.SecureTime, StorageFS: d.StorageFS, Workspace: d.Workspace, Creator: d.Creator,
		CreatedAt: d.CreatedAt, DeletedAt: d.DeletedAt, Listed: d.Listed, ProjectType: d.ProjectType, HourlyRate: d.HourlyRate,
		BillingInterval: d.BillingInterval, GPURentalOrder: d.GPURentalOrder,
		ComposeFile: vm.doc.text, ManagedEnv: ref(false), EncryptedEnvPublicKey: vm.app.key.String(),
	}
}

// describeHosted returns a CVM as lists contained it before 2026-01-21.
func (vm *cvm) describeHosted(c *call) object {
	return object{
		"hosted": object{
			"id": vm.uuid, "name": vm.name, "status": vm.status, "uptime": vm.uptime(), "app_url": appURL(vm.app),
			"app_id": vm.app.id.String(), "instance_id": orNull(vm.instance), "configuration": nil, "exited_at": stampOrNull(vm.exited),
			"boot_progress": orNull(vm.boot), "boot_error": orNull(vm.failure), "shutdown_progress": nil,
			"image_version": vm.image.name, "events": []object{},
		},
		"name": vm.name, "managed_user": object{"id": vm.app.workspace.number, "username": vm.app.workspace.userName()},
		"node":   object{"id": vm.node.teepod, "name": vm.node.name, "region_identifier": vm.node.region},
		"listed": vm.listed, "status": vm.status, "in_progress": vm.op != nil, "dapp_dashboard_url": nil, "syslog_endpoint": orNull(vm.logURL(c, vmSource, "")),
		"allow_upgrade": true, "project_id": vm.app.project(), "project_type": nil, "billing_period": "hourly",
		"kms_info": vm.app.kms.describe(), "contract_address": orNull(vm.app.contract()), "deployer_address": orNull(vm.app.deployer), "vcpu": vm.size.vcpu,
		"memory": vm.size.memory, "disk_size": vm.size.disk, "gateway_domain": gatewayDomain, "public_urls": vm.urls(),
	}
}

// describeFlat returns a CVM as its own operation did before 2026-01-21.
func (vm *cvm) describeFlat(c *call) object {
	return object{
		"id": vm.number, "teepod_id": vm.node.teepod, "teepod": object{"id": vm.node.teepod, "name": vm.node.name, "region_identifier": vm.node.region},
		"name": vm.name, "status": vm.status, "in_progress": vm.op != nil, "app_id": vm.app.id.String(), "vm_uuid": dashed(vm.uuid),
		"instance_id": orNull(vm.instance), "vcpu": vm.size.vcpu, "memory": vm.size.memory, "disk_size": vm.size.disk,
		"base_image": vm.image.name, "encrypted_env_pubkey": vm.app.key.String(), "listed": vm.listed, "project_id": vm.app.project(),
		"project_type": nil, "instance_type": vm.size.instanceType, "public_sysinfo": deref(vm.doc.app.PublicSysInfo),
		"public_logs": deref(vm.doc.app.PublicLogs), "dapp_dashboard_url": nil, "syslog_endpoint": orNull(vm.logURL(c, vmSource, "")), "kms_info": vm.app.kms.describe(),
		"contract_address": nil, "deployer_address": nil, "scheduled_delete_at": stampOrNull(vm.deleteAt), "public_urls": vm.urls(),
		"gateway_domain": gatewayDomain,
	}
}

// describeBasic returns a CVM as apps contained it before 2026-01-21.
func (vm *cvm) describeBasic() object {
	return object{
		"vm_uuid": dashed(vm.uuid), "app_id": vm.app.id.String(), "name": vm.name, "status": vm.status, "vcpu": vm.size.vcpu,
		"memory": vm.size.memory, "disk_size": vm.size.disk, "teepod_id": vm.node.teepod, "teepod_name": vm.node.name,
		"region_identifier": vm.node.region, "kms_type": vm.app.kms.kind, "instance_type": vm.size.instanceType, "listed": vm.listed,
		"base_image": vm.image.name, "kms_slug": vm.app.kms.slug, "kms_id": vm.app.kms.id, "instance_id": orNull(vm.instance),
		"machine_info": object{"vcpu": vm.size.vcpu, "memory": vm.size.memory, "disk_size": vm.size.disk, "gpu_count": vm.size.gpus},
		"updated_at":   nil,
	}
}

// inList returns a CVM as lists contain it in the version of the call.
func (vm *cvm) inList(c *call) any {
	if c.nested() {
		return vm.describe(c)
	}
	return vm.describeHosted(c)
}

func (*Server) answerCVMsGet(c *call) *response {
	if !c.nested() {
		return ok(c.vm.describeFlat(c))
	}
	return ok(c.vm.detail(c))
}

// hashOf returns the SHA-256 of a text in hexadecimal, or "" without one.
func hashOf(text *string) string {
	if text == nil {
		return ""
	}
	return hashHex([]byte(*text))
}

// rate returns the price of an hour in USD.
func (vm *cvm) rate() openapi.Decimal {
	return openapi.Decimal(vm.app.workspace.server.instanceType(vm.size.instanceType).rate)
}

// filtered returns the CVMs that match the filters of a list, in the order of their creation.
func (s *Server) filtered(c *call) (listing[*cvm], *response) {
	query := c.URL.Query()
	for _, removed := range []string{"user_id", "teepod_id"} {
		if query.Has(removed) {
			return listing[*cvm]{}, invalidField(removed+" is no longer a filter", "query", removed)
		}
	}
	family, types := query.Get("family"), query["instance_types"]
	anyFamily := family == "" || family == "all"
	if anyFamily && len(types) == 0 {
		return inOrder(c.workspace.cvms), nil
	}
	var lists [][]*cvm
	for _, t := range s.types {
		if (anyFamily || family == t.family) && (len(types) == 0 || slices.Contains(types, t.id)) {
			lists = append(lists, c.workspace.byType[t.id])
		}
	}
	return merged(lists, (*cvm).order), nil
}

func (s *Server) answerCVMsListAll(c *call) *response {
	list, bad := s.filtered(c)
	if bad != nil {
		return bad
	}
	return ok(mapped(list.items(0, list.total), func(vm *cvm) any { return vm.inList(c) }))
}

func (s *Server) answerCVMsList(c *call) *response {
	list, bad := s.filtered(c)
	if bad != nil {
		return bad
	}
	return page(c, list, pageStyle{"items", "pages", 30}, func(vm *cvm) any { return vm.inList(c) })
}

// answerCVMsGetComposeFile returns the app-compose as JSON, or as its exact text.
func (*Server) answerCVMsGetComposeFile(c *call) *response {
	if c.URL.Query().Get("raw") != "" {
		return text("text/plain; charset=utf-8", string(c.vm.doc.text))
	}
	return text("application/json", string(c.vm.doc.text))
}

func (*Server) answerCVMsGetDockerCompose(c *call) *response {
	return text("text/yaml", c.vm.doc.composeFile())
}

func (*Server) answerCVMsGetPreLaunchScript(c *call) *response {
	return text("text/plain", c.vm.doc.script())
}

func (*Server) answerCVMsGetStats(c *call) *response {
	stats := openapi.CVMStats{
		IsOnline: c.vm.running(), IsPublic: ref(deref(c.vm.doc.app.PublicSysInfo)), Status: c.vm.status, InProgress: ref(c.vm.op != nil),
		BootProgress: c.vm.boot, BootError: c.vm.failure,
	}
	if c.vm.running() {
		const mb, gb = 1 << 20, 1 << 30
		memory, disk := int64(c.vm.size.memory)*mb, int64(c.vm.size.disk)*gb
		stats.SysInfo = &openapi.SystemInfo{
			OSName: "DStack", OSVersion: c.vm.image.versionText(), KernelVersion: "6.9.0-dstack", CPUModel: "Intel(R) Xeon(R) Platinum",
			NumCPUs: c.vm.size.vcpu, TotalMemory: memory, AvailableMemory: memory / 2, UsedMemory: memory / 2, FreeMemory: memory / 2,
			Uptime: int64(time.Since(c.vm.started) / time.Second),
			Disks:  []openapi.Disk{{Name: "vda", MountPoint: "/", TotalSize: disk, FreeSize: disk / 2}},
		}
	}
	return ok(stats)
}

// answerCVMsGetUserConfig reads the user configuration as the guest does, if it is JSON.
func (*Server) answerCVMsGetUserConfig(c *call) *response {
	var config struct {
		Hostname             string   `json:"hostname"`
		SSHAuthorizedKeys    []string `json:"ssh_authorized_keys"`
		DefaultGatewayDomain string   `json:"default_gateway_domain"`
	}
	if c.vm.userConfig != "" && json.Unmarshal([]byte(c.vm.userConfig), &config) != nil {
		return plainError(http.StatusBadRequest, "The user configuration is no JSON")
	}
	return ok(openapi.CVMUserConfig{
		Hostname: config.Hostname, SSHAuthorizedKeys: append([]string{}, config.SSHAuthorizedKeys...), DefaultGatewayDomain: config.DefaultGatewayDomain,
	})
}

type service struct{ name, image string }

// container returns the name of its container in Docker.
func (s service) container() string { return "dstack-" + s.name + "-1" }

// services returns the services of a running CVM, or none if its docker-compose file cannot be parsed.
func (vm *cvm) services() []service {
	var file struct {
		Services map[string]struct {
			Image string `yaml:"image"`
		} `yaml:"services"`
	}
	if !vm.running() || yaml.Unmarshal([]byte(vm.doc.composeFile()), &file) != nil {
		return nil
	}
	return mapped(sortedKeys(file.Services), func(name string) service { return service{name, file.Services[name].Image} })
}

func (vm *cvm) containers(c *call) []openapi.CVMContainer {
	return mapped(vm.services(), func(s service) openapi.CVMContainer {
		return openapi.CVMContainer{
			ID: hashHex([]byte(vm.uuid + s.name)), Names: []string{"/" + s.container()}, Image: s.image,
			ImageID: "sha256:" + hashHex([]byte(s.image)), Created: second(vm.started), State: "running", Status: "Up " + vm.uptime(),
			LogEndpoint: vm.logURL(c, s.container(), ""),
		}
	})
}

func (*Server) answerCVMsGetComposition(c *call) *response {
	return ok(openapi.CVMComposition{
		IsOnline: c.vm.running(), IsPublic: ref(true), DockerComposeFile: c.vm.doc.composeFile(), ManifestVersion: ref(2),
		Version: c.vm.image.versionText(), Runner: deref(c.vm.doc.app.Runner), Features: c.vm.doc.app.Features, Containers: c.vm.containers(c),
	})
}
