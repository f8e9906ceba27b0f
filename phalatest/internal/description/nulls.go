package description

// acceptNulls accepts the nulls that the published description of the API accepts; all others are refused. Our description
// leaves them out, because no request needs one.
func acceptNulls(doc any) {
	document := []string{
		"bash_script", "default_gateway_domain", "docker_compose_file", "init_script", "pre_launch_script", "salt", "storage_fs",
	}
	for name, members := range map[string][]string{
		"AppCompose":          document,
		"CheckAllowedRequest": {"node_id", "device_id", "chain_id"}, "CheckCVMAllowedRequest": {"compose_hash", "node_id", "device_id"},
		"CommitComposeUpdateRequest": {"encrypted_env", "env_keys", "update_env_vars"},
		"CreateCVMRequest":           {"encrypted_env", "kms_id", "contract_address", "deployer_address", "env_keys"},
		"CreateInstanceRequest": {
			"teepod_id", "node_id", "encrypted_env", "compose_hash", "docker_compose_file", "pre_launch_script", "token", "transaction_hash",
		},
		"CreateWebhookRequest":          {"name", "secret"},
		"CreateWorkloadRequest":         {"scheduled_delete_at"},
		"ProvisionComposeUpdateRequest": append([]string{"update_env_vars"}, document...),
		"ProvisionElizaRequest":         {"teepod_id", "image", "kms_id"},
		"ProvisionRequest": {
			"instance_type", "vcpu", "memory", "disk_size", "image", "prefer_dev", "teepod_id", "region", "kms_id", "kms", "nonce", "app_id",
			"ports", "encrypted_env", "user_config", "gpus", "experimental_vpc_server_app_id",
		},
		"RedeployRevisionRequest":    {"vm_uuids"},
		"RefreshInstanceIDsRequest":  {"cvm_ids"},
		"ReplicateRequest":           {"teepod_id", "node_id", "encrypted_env", "compose_hash"},
		"ScheduleDeleteRequest":      {"scheduled_delete_at"},
		"SubmitComposeFileRequest":   {"encrypted_env", "env_keys"},
		"UpdateEnvsRequest":          {"env_keys", "compose_hash", "transaction_hash"},
		"UpdateNetworkConfigRequest": {"kms_urls", "gateway_urls"},
		"UpdateResourcesRequest":     {"vcpu", "memory", "disk_size", "instance_type", "allow_restart"},
		"UpdateWebhookRequest":       {"url", "events", "name", "enabled"},
		"UpdateCVMRequest": {
			"docker_compose_file", "pre_launch_script", "allowed_envs", "public_logs", "public_sysinfo", "public_tcbinfo", "encrypted_env",
			"user_config", "gpus", "vcpu", "memory", "disk_size", "image", "shutdown_timeout",
		},
	} {
		for _, m := range members {
			accept(doc, name, m, map[string]any{"type": "null"})
		}
	}
}

// acceptDocuments accepts the app-compose documents that the platform accepts and our types cannot represent: version 3 of
// the manifest, which is text, and a list of init scripts, which newer guests run.
func acceptDocuments(doc any) {
	for _, name := range []string{"AppCompose", "ProvisionComposeUpdateRequest"} {
		accept(doc, name, "manifest_version", map[string]any{"type": "string"})
		accept(doc, name, "init_script", map[string]any{"type": "array", "items": map[string]any{"type": "string"}})
	}
}

// accept adds an alternative to the schema of a member.
func accept(doc any, schema, name string, also map[string]any) {
	members := member(doc, "components", "schemas", schema, "properties")
	if was, known := members[name]; known {
		members[name] = map[string]any{"anyOf": []any{was, also}}
	}
}

// member returns an object within others, or nil.
func member(doc any, path ...string) map[string]any {
	node, _ := doc.(map[string]any)
	for _, name := range path {
		node, _ = node[name].(map[string]any)
	}
	return node
}
