package phalatest

import (
	"encoding/json"
	"fmt"
	"strconv"
)

const gatewayDomain = "dstack-test1.phala.test"

// describeVM is the answer of the operations that change a CVM. Its id is a number in older versions.
func (vm *cvm) describeVM(c *call) object {
	user := any(vm.tenant().userNumber())
	if c.hashedIDs() {
		user = vm.tenant().userID()
	}
	return object{
		"id": vm.numberOrID(c), "name": vm.name, "status": vm.status, "teepod_id": vm.node.teepod,
		"teepod": object{"id": vm.node.teepod, "name": vm.node.name}, "user_id": user, "app_id": vm.app.id.String(),
		"vm_uuid": dashed(vm.uuid), "instance_id": orNull(vm.instance), "app_url": appURL(vm.app), "base_image": vm.image.name,
		"vcpu": vm.size.vcpu, "memory": vm.size.memory, "disk_size": vm.size.disk, "manifest_version": 2,
		"version": vm.image.versionText(), "runner": deref(vm.doc.app.Runner), "docker_compose_file": vm.doc.app.DockerComposeFile,
		"features": vm.doc.app.Features, "created_at": stamp(vm.created), "encrypted_env_pubkey": vm.app.key.String(),
	}
}

func appURL(a *app) string { return fmt.Sprintf("https://%s-80.%s", a.id, gatewayDomain) }

// urls are where the app answers, from its first boot on.
func (vm *cvm) urls() []object {
	if vm.instance == "" {
		return []object{}
	}
	return []object{{"app": appURL(vm.app), "instance": fmt.Sprintf("https://%s-80.%s", vm.instance, gatewayDomain)}}
}

// describe is a CVM as lists show it.
func (vm *cvm) describe(s *Server, c *call) object {
	var progress any
	if vm.op != nil {
		progress = object{"target": vm.op.target, "started_at": stamp(vm.op.started), "correlation_id": vm.op.id}
	}
	app := vm.doc.app
	return object{
		"id": vm.id(), "name": vm.name, "app_id": vm.app.id.String(), "vm_uuid": dashed(vm.uuid), "instance_id": orNull(vm.instance),
		"resource": object{
			"instance_type": vm.size.kind, "vcpu": vm.size.vcpu, "memory_in_gb": float64(vm.size.memory) / 1024,
			"disk_in_gb": vm.size.disk, "gpus": vm.size.gpus, "compute_billing_price": s.rate(vm), "billing_period": "hourly",
		},
		"node_info": s.nodeRef(vm.node),
		"os": object{
			"name": vm.image.name, "version": vm.image.versionText(), "is_dev": vm.image.dev, "os_image_hash": vm.image.hash(),
		},
		"kms_type": vm.app.kms.kind,
		"kms_info": object{
			"chain_id": vm.app.kms.chainID(), "encrypted_env_pubkey": vm.app.key.String(), "slug": vm.app.kms.slug, "id": vm.app.kms.id,
			"url": vm.app.kms.url, "k256_pubkey": vm.app.kms.signer().String(), "dstack_kms_address": vm.app.kms.address(),
			"dstack_app_address": vm.app.contract(), "deployer_address": orNull(vm.app.deployer),
		},
		"status": vm.status, "in_progress": vm.op != nil, "progress": progress,
		"compose_hash":           vm.doc.hash.String(),
		"docker_compose_hash":    hashOf(app.DockerComposeFile),
		"pre_launch_script_hash": hashOf(app.PreLaunchScript),
		"gateway":                object{"base_domain": gatewayDomain, "cname": nil},
		"logs":                   vm.logURLs(c),
		"services":               []object{}, "endpoints": vm.urls(),
		"public_logs": deref(app.PublicLogs), "public_sysinfo": deref(app.PublicSysInfo), "public_tcbinfo": deref(app.PublicTCBInfo),
		"gateway_enabled": deref(app.GatewayEnabled), "secure_time": deref(app.SecureTime), "storage_fs": deref(app.StorageFS),
		"workspace": vm.tenant().workspaceRef(), "creator": vm.tenant().userRef(), "created_at": stamp(vm.created), "deleted_at": nil,
		"listed": vm.listed, "project_type": nil,
		"hourly_rate": object{"total": s.rate(vm), "compute": s.rate(vm), "disk": "0"}, "billing_interval": "hourly", "gpu_rental_order": nil,
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
		"name": vm.name, "managed_user": object{"id": vm.tenant().userNumber(), "username": vm.tenant().userName()},
		"node":   object{"id": vm.node.teepod, "name": vm.node.name, "region_identifier": vm.node.region},
		"listed": vm.listed, "status": vm.status, "in_progress": vm.op != nil, "dapp_dashboard_url": nil, "syslog_endpoint": vm.logURL(c, vmSource, ""),
		"allow_upgrade": true, "project_id": vm.app.project(), "project_type": nil, "billing_period": "hourly",
		"kms_info": vm.app.kms.describe(), "contract_address": vm.app.contract(), "deployer_address": orNull(vm.app.deployer), "vcpu": vm.size.vcpu,
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
		"public_logs": deref(vm.doc.app.PublicLogs), "dapp_dashboard_url": nil, "syslog_endpoint": vm.logURL(c, vmSource, ""), "kms_info": vm.app.kms.describe(),
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

// listed is a CVM as lists show it in the version of the call.
func (vm *cvm) inList(s *Server, c *call) object {
	if c.nested() {
		return vm.describe(s, c)
	}
	return vm.describeHosted(s, c)
}

func describeAll(s *Server, c *call, cvms []*cvm) []object {
	all := make([]object, len(cvms))
	for i, vm := range cvms {
		all[i] = vm.inList(s, c)
	}
	return all
}

func getCVM(s *Server, c *call, vm *cvm) answer {
	if !c.nested() {
		return ok(vm.describeFlat(s, c))
	}
	detail := vm.describe(s, c)
	detail["compose_file"] = json.RawMessage(vm.doc.text)
	detail["managed_env"], detail["encrypted_env_pubkey"] = false, vm.app.key.String()
	return ok(detail)
}

func hashOf(text *string) any {
	if text == nil {
		return nil
	}
	return hashHex([]byte(*text))
}

// describeState is what a CVM does now. What there is nothing to say about is left out, which every official
// client reads; some refuse a null there.
func (vm *cvm) describeState() object {
	state := object{"id": vm.id(), "name": vm.name, "vm_uuid": dashed(vm.uuid), "status": vm.status}
	shutdown := ""
	if vm.status == "shutting_down" {
		shutdown = "stopping containers"
	}
	for name, text := range map[string]string{
		"instance_id": vm.instance, "uptime": vm.uptime(), "boot_progress": vm.boot, "boot_error": vm.failure,
		"shutdown_progress": shutdown,
	} {
		if text != "" {
			state[name] = text
		}
	}
	if !vm.exited.IsZero() {
		state["exited_at"] = stamp(vm.exited)
	}
	return state
}

// contract is the address of the app's contract; null under the central KMS.
func (a *app) contract() any {
	if !a.kms.onChain() {
		return nil
	}
	return a.id.Address().Hex()
}

// rate is the price of an hour in USD.
func (s *Server) rate(vm *cvm) string {
	if t := s.instanceType(vm.size.kind); t != nil {
		return t.rate
	}
	return "0"
}

func (s *Server) rateNumber(vm *cvm) float64 {
	rate, _ := strconv.ParseFloat(s.rate(vm), 64) // our own table
	return rate
}
