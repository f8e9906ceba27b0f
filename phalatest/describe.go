package phalatest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
)

const gatewayDomain = "dstack-test1.phala.test"

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// describeVM is the answer of the operations that change a CVM. Its id is a number in older versions.
func (s *Server) describeVM(vm *cvm, c *call) object {
	id, user := any(vm.number), any(1)
	if c.hashedIDs() {
		id, user = vm.id(), "usr_test1"
	}
	key, _ := s.keys.envPublicKey(vm.provision.key.app)
	return object{
		"id": id, "name": vm.name, "status": vm.status, "teepod_id": 1, "teepod": object{"id": 1, "name": "test1"},
		"user_id": user, "app_id": vm.provision.key.app.String(), "vm_uuid": dashed(vm.uuid),
		"instance_id": orNull(vm.instanceID()), "app_url": appURL(vm), "base_image": "dstack-0.5.5",
		"vcpu": 1, "memory": 2048, "disk_size": 20, "manifest_version": 2, "version": "0.5.5", "runner": "docker-compose",
		"docker_compose_file": vm.provision.app.DockerComposeFile, "features": vm.provision.app.Features,
		"created_at": vm.created.Format(time.RFC3339), "encrypted_env_pubkey": key.String(),
	}
}

func appURL(vm *cvm) string {
	return fmt.Sprintf("https://%s-80.%s", vm.provision.key.app, gatewayDomain)
}

// describeCVM is a CVM as lists show it.
func (s *Server) describeCVM(vm *cvm) object {
	key, _ := s.keys.envPublicKey(vm.provision.key.app)
	endpoints := []object{}
	if vm.booted {
		endpoints = append(endpoints, object{
			"app":      appURL(vm),
			"instance": fmt.Sprintf("https://%s-80.%s", vm.instanceID(), gatewayDomain),
		})
	}
	var progress any
	if vm.op != nil {
		progress = object{"target": vm.op.target, "started_at": vm.op.started.Format(time.RFC3339), "correlation_id": vm.op.id}
	}
	app := vm.provision.app
	return object{
		"id": vm.id(), "name": vm.name, "app_id": vm.provision.key.app.String(), "vm_uuid": dashed(vm.uuid),
		"instance_id": orNull(vm.instanceID()),
		"resource": object{
			"instance_type": "tdx.small", "vcpu": 1, "memory_in_gb": 2, "disk_in_gb": 20, "gpus": 0,
			"compute_billing_price": "0.058", "billing_period": "hourly",
		},
		"node_info": object{"object_type": "node", "id": 1, "node_id": 1, "name": "test1", "region": "test", "device_id": nodeDevice(), "status": "ONLINE"},
		"os":        object{"name": "dstack-0.5.5", "version": "0.5.5", "is_dev": false},
		"kms_type":  "phala",
		"kms_info": object{
			"chain_id": nil, "encrypted_env_pubkey": key.String(), "slug": kmsSlug, "id": kmsID,
			"k256_pubkey": s.KMSRoot().String(),
		},
		"status": vm.status, "in_progress": vm.op != nil, "progress": progress,
		"compose_hash":           vm.provision.key.hash.String(),
		"docker_compose_hash":    hashOf(app.DockerComposeFile),
		"pre_launch_script_hash": hashOf(app.PreLaunchScript),
		"gateway":                object{"base_domain": gatewayDomain, "cname": nil},
		"logs":                   object{"serial": nil, "stdout": nil, "stderr": nil, "container_log_base": nil},
		"services":               []object{}, "endpoints": endpoints,
		"public_logs": app.PublicLogs, "public_sysinfo": app.PublicSysInfo, "public_tcbinfo": app.PublicTCBInfo,
		"gateway_enabled": app.GatewayEnabled, "secure_time": app.SecureTime, "storage_fs": app.StorageFS,
		"workspace":  object{"object_type": "workspace", "id": "wks_test1", "name": "Test", "slug": "test"},
		"creator":    object{"object_type": "user", "id": "usr_test1", "username": "tester"},
		"created_at": vm.created.Format(time.RFC3339), "deleted_at": nil,
		"listed": vm.provision.request.Listed == nil || *vm.provision.request.Listed, "project_type": nil,
	}
}

func hashOf(text *string) any {
	if text == nil {
		return nil
	}
	sum := sha256.Sum256([]byte(*text))
	return hex.EncodeToString(sum[:])
}

func describeState(vm *cvm) object {
	return object{
		"id": vm.id(), "name": vm.name, "vm_uuid": dashed(vm.uuid), "instance_id": orNull(vm.instanceID()),
		"status": vm.status, "boot_progress": orNull(vm.boot), "boot_error": orNull(vm.failure),
		"uptime": nil, "exited_at": nil, "shutdown_progress": nil,
	}
}

func (s *Server) describeKMS() object {
	return object{
		"id": kmsID, "slug": kmsSlug, "url": "https://kms." + gatewayDomain, "version": "0.5.5", "chain_id": nil,
		"kms_contract_address": nil, "gateway_app_id": nil, "k256_pubkey": s.KMSRoot().String(),
	}
}
