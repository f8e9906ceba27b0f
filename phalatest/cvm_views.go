package phalatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/openapi"
)

const gatewayDomain = "dstack-test1.phala.test"

// ref makes an optional member of a value.
func ref[T any](v T) *T { return &v }

// numbered is an id that is a number.
func numbered(n int) openapi.ID { return openapi.ID(strconv.Itoa(n)) }

// describeVM returns the response of the operations that change a CVM. Its id is a number in older versions.
func (vm *cvm) describeVM(c *call) openapi.VM {
	return openapi.VM{
		ID: vm.numberOrID(c), Name: vm.name, Status: vm.status, TeepodID: numbered(vm.node.teepod),
		Teepod: &openapi.NodeMeta{ID: numbered(vm.node.teepod), Name: vm.node.name}, UserID: vm.tenant().userRowID(c),
		AppID: vm.app.id.String(), VMUUID: dashed(vm.uuid), InstanceID: vm.instance, AppURL: appURL(vm.app), BaseImage: vm.image.name,
		VCPU: vm.size.vcpu, Memory: vm.size.memory, DiskSize: vm.size.disk, ManifestVersion: ref(2), Version: vm.image.versionText(),
		Runner: deref(vm.doc.app.Runner), DockerComposeFile: vm.doc.composeFile(), Features: vm.doc.app.Features,
		CreatedAt: second(vm.created), EncryptedEnvPublicKey: vm.app.key.String(),
	}
}

func appURL(a *app) string { return fmt.Sprintf("https://%s-80.%s", a.id, gatewayDomain) }

// urls returns the URLs of the app, from its first boot on.
func (vm *cvm) urls() []openapi.CVMURLs {
	if vm.instance == "" {
		return []openapi.CVMURLs{}
	}
	return []openapi.CVMURLs{{App: appURL(vm.app), Instance: fmt.Sprintf("https://%s-80.%s", vm.instance, gatewayDomain)}}
}

// describe returns a CVM as lists contain it.
func (vm *cvm) describe(s *Server, c *call) openapi.CVM {
	app, k := vm.doc.app, vm.app.kms
	described := openapi.CVM{
		ID: openapi.ID(vm.id()), Name: vm.name, AppID: vm.app.id.String(), VMUUID: dashed(vm.uuid), InstanceID: vm.instance,
		Resource: openapi.CVMResources{
			InstanceType: vm.size.kind, VCPU: ref(vm.size.vcpu), MemoryInGB: ref(float64(vm.size.memory) / 1024), DiskInGB: ref(vm.size.disk),
			GPUs: ref(vm.size.gpus), ComputeBillingPrice: s.rate(vm), BillingPeriod: openapi.BillingPeriodHourly,
		},
		NodeInfo: ref(s.nodeRef(vm.node)),
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
		Workspace: ref(vm.tenant().workspaceRef()), Creator: ref(vm.tenant().userRef()), CreatedAt: second(vm.created), Listed: ref(vm.listed),
		HourlyRate: &openapi.HourlyRate{Total: s.rate(vm), Compute: s.rate(vm), Disk: "0"}, BillingInterval: "hourly",
	}
	if vm.op != nil {
		described.Progress = &openapi.CVMProgress{Target: string(vm.op.target), StartedAt: second(vm.op.started), CorrelationID: vm.op.id}
	}
	return described
}

// detail returns a CVM by itself.
func (vm *cvm) detail(s *Server, c *call) openapi.CVMDetail {
	d := vm.describe(s, c)
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

// describeHosted is a CVM as lists showed it before 2026-01-21.
func (vm *cvm) describeHosted(s *Server, c *call) object {
	return object{
		"hosted": object{
			"id": vm.uuid, "name": vm.name, "status": vm.status, "uptime": vm.uptime(), "app_url": appURL(vm.app),
			"app_id": vm.app.id.String(), "instance_id": orNull(vm.instance), "configuration": nil, "exited_at": stampOrNull(vm.exited),
			"boot_progress": orNull(vm.boot), "boot_error": orNull(vm.failure), "shutdown_progress": nil,
			"image_version": vm.image.name, "events": []object{},
		},
		"name": vm.name, "managed_user": object{"id": vm.tenant().number, "username": vm.tenant().userName()},
		"node":   object{"id": vm.node.teepod, "name": vm.node.name, "region_identifier": vm.node.region},
		"listed": vm.listed, "status": vm.status, "in_progress": vm.op != nil, "dapp_dashboard_url": nil, "syslog_endpoint": orNull(vm.logURL(c, vmSource, "")),
		"allow_upgrade": true, "project_id": vm.app.project(), "project_type": nil, "billing_period": "hourly",
		"kms_info": vm.app.kms.describe(), "contract_address": orNull(vm.app.contract()), "deployer_address": orNull(vm.app.deployer), "vcpu": vm.size.vcpu,
		"memory": vm.size.memory, "disk_size": vm.size.disk, "gateway_domain": gatewayDomain, "public_urls": vm.urls(),
	}
}

// describeFlat is a CVM by itself as it was shown before 2026-01-21.
func (vm *cvm) describeFlat(s *Server, c *call) object {
	return object{
		"id": vm.number, "teepod_id": vm.node.teepod, "teepod": object{"id": vm.node.teepod, "name": vm.node.name, "region_identifier": vm.node.region},
		"name": vm.name, "status": vm.status, "in_progress": vm.op != nil, "app_id": vm.app.id.String(), "vm_uuid": dashed(vm.uuid),
		"instance_id": orNull(vm.instance), "vcpu": vm.size.vcpu, "memory": vm.size.memory, "disk_size": vm.size.disk,
		"base_image": vm.image.name, "encrypted_env_pubkey": vm.app.key.String(), "listed": vm.listed, "project_id": vm.app.project(),
		"project_type": nil, "instance_type": vm.size.kind, "public_sysinfo": deref(vm.doc.app.PublicSysInfo),
		"public_logs": deref(vm.doc.app.PublicLogs), "dapp_dashboard_url": nil, "syslog_endpoint": orNull(vm.logURL(c, vmSource, "")), "kms_info": vm.app.kms.describe(),
		"contract_address": nil, "deployer_address": nil, "scheduled_delete_at": stampOrNull(vm.deleteAt), "public_urls": vm.urls(),
		"gateway_domain": gatewayDomain,
	}
}

// describeBasic is a CVM as apps showed it before 2026-01-21.
func (vm *cvm) describeBasic(_ *Server) object {
	return object{
		"vm_uuid": dashed(vm.uuid), "app_id": vm.app.id.String(), "name": vm.name, "status": vm.status, "vcpu": vm.size.vcpu,
		"memory": vm.size.memory, "disk_size": vm.size.disk, "teepod_id": vm.node.teepod, "teepod_name": vm.node.name,
		"region_identifier": vm.node.region, "kms_type": vm.app.kms.kind, "instance_type": vm.size.kind, "listed": vm.listed,
		"base_image": vm.image.name, "kms_slug": vm.app.kms.slug, "kms_id": vm.app.kms.id, "instance_id": orNull(vm.instance),
		"machine_info": object{"vcpu": vm.size.vcpu, "memory": vm.size.memory, "disk_size": vm.size.disk, "gpu_count": vm.size.gpus},
		"updated_at":   nil,
	}
}

// inList is a CVM as lists show it in the version of the call.
func (vm *cvm) inList(s *Server, c *call) any {
	if c.nested() {
		return vm.describe(s, c)
	}
	return vm.describeHosted(s, c)
}

func describeAll(s *Server, c *call, cvms []*cvm) []any {
	all := make([]any, len(cvms))
	for i, vm := range cvms {
		all[i] = vm.inList(s, c)
	}
	return all
}

func getCVM(s *Server, c *call, vm *cvm) answer {
	if !c.nested() {
		return ok(vm.describeFlat(s, c))
	}
	return ok(vm.detail(s, c))
}

// hashOf is the SHA-256 of a text in hexadecimal; empty without one.
func hashOf(text *string) string {
	if text == nil {
		return ""
	}
	return hashHex([]byte(*text))
}

// state returns the state of a CVM. Empty members are left out, which every official client accepts; some refuse a
// null there.
func (vm *cvm) state() openapi.CVMState {
	state := openapi.CVMState{
		ID: openapi.ID(vm.id()), Name: vm.name, VMUUID: dashed(vm.uuid), Status: vm.status, InstanceID: vm.instance, Uptime: vm.uptime(),
		BootProgress: vm.boot, BootError: vm.failure,
	}
	if vm.status == "shutting_down" {
		state.ShutdownProgress = "stopping containers"
	}
	if !vm.exited.IsZero() {
		state.ExitedAt = stamp(vm.exited)
	}
	return state
}

// contract is the address of the app's contract; empty under the central KMS.
func (a *app) contract() string {
	if !a.kms.onChain() {
		return ""
	}
	return a.id.Address().Hex()
}

// rate is the price of an hour in USD.
func (s *Server) rate(vm *cvm) openapi.Decimal {
	if t := s.instanceType(vm.size.kind); t != nil {
		return openapi.Decimal(t.rate)
	}
	return "0"
}

func (s *Server) rateNumber(vm *cvm) float64 {
	rate, _ := strconv.ParseFloat(string(s.rate(vm)), 64) // our own table
	return rate
}

// chosen returns the CVMs that match the filters of a list, in the order of their creation.
func (s *Server) chosen(c *call) (listing[*cvm], *answer) {
	query := c.URL.Query()
	for _, gone := range []string{"user_id", "teepod_id"} {
		if query.Has(gone) {
			bad := invalid(gone+" is no longer a filter", "value_error", "query", gone)
			return listing[*cvm]{}, &bad
		}
	}
	family, kinds := query.Get("family"), query["instance_types"]
	if (family == "" || family == "all") && len(kinds) == 0 {
		return all(c.tenant.cvms), nil
	}
	var lists [][]*cvm
	for _, t := range s.types {
		if (family == "" || family == "all" || family == t.family) && (len(kinds) == 0 || slices.Contains(kinds, t.id)) {
			lists = append(lists, c.tenant.byKind[t.id])
		}
	}
	return merged(lists, (*cvm).order), nil
}

func listAllCVMs(s *Server, c *call) answer {
	chosen, bad := s.chosen(c)
	if bad != nil {
		return *bad
	}
	return ok(describeAll(s, c, chosen.items(0, chosen.total)))
}

func listCVMs(s *Server, c *call) answer {
	chosen, bad := s.chosen(c)
	if bad != nil {
		return *bad
	}
	return page(c, chosen, pageNames{"items", "pages", 30}, func(vm *cvm) any { return vm.inList(s, c) })
}

// getComposeFile returns the app-compose as JSON, or as its exact text.
func getComposeFile(_ *Server, c *call, vm *cvm) answer {
	if c.URL.Query().Get("raw") != "" {
		return text("text/plain; charset=utf-8", string(vm.doc.text))
	}
	return answer{status: http.StatusOK, raw: vm.doc.text, media: "application/json"}
}

func getDockerCompose(_ *Server, _ *call, vm *cvm) answer {
	return text("text/yaml", vm.doc.composeFile())
}

func getPreLaunchScript(_ *Server, _ *call, vm *cvm) answer {
	return text("text/plain", vm.doc.script())
}

func getStatuses(s *Server, c *call) answer {
	var request openapi.GetStatusesRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	all := map[string]openapi.CVMStatusReport{}
	for _, id := range request.VMUUIDs {
		vm, bad := c.tenant.find(id)
		if bad != nil {
			continue
		}
		all[id] = vm.describeStatus(c)
	}
	return ok(all)
}

// describeStatus is a CVM in a batch. The newest version has what is under way in a member of its own.
func (vm *cvm) describeStatus(c *call) openapi.CVMStatusReport {
	status := openapi.CVMStatusReport{
		VMUUID: dashed(vm.uuid), Status: vm.status, Uptime: vm.uptime(), InProgress: ref(vm.op != nil), BootProgress: vm.boot,
		BootError: vm.failure, Events: []openapi.GuestEvent{},
	}
	if vm.boot != "" {
		status.Events = append(status.Events, openapi.GuestEvent{Event: "boot.progress", Body: vm.boot, Timestamp: ref(int64(0))})
	}
	op := vm.op
	switch {
	case op == nil:
	case c.version >= "2026-06-23":
		status.Operation = &openapi.CVMOperation{Type: op.kind, Phase: string(vm.status), StartedAt: second(op.started), CorrelationID: op.id}
	default:
		status.OperationType, status.OperationStartedAt, status.CorrelationID = op.kind, second(op.started), op.id
	}
	return status
}

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
