package openapi_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func read[T any](t *testing.T, answer string) T {
	t.Helper()
	var got T
	require.NoError(t, json.Unmarshal([]byte(answer), &got))
	return got
}

func TestKMS_ReadsNodesAndContracts(t *testing.T) {
	t.Parallel()
	page := read[openapi.KMSPage](t, `{"items":[
		{"id":"kms_9","slug":"kms-base-prod5","url":"https://kms.example","version":"0.5.4","chain_id":8453,"kms_contract_address":"0x2f83"},
		{"id":"kc_1","slug":"phala","label":"Phala KMS","contract_address":"phala","chain_id":0,"k256_pubkey":"0x0334c7","ca_pubkey":"0xca00","node_count":16}
	],"total":2,"page":1,"page_size":20,"pages":1}`)
	node, contract := page.Items[0], page.Items[1]
	assert.Equal(t, openapi.ID("kms_9"), node.ID)
	assert.Equal(t, "https://kms.example", node.URL)
	assert.Equal(t, int64(8453), *node.ChainID)
	assert.Nil(t, node.NodeCount)
	assert.Equal(t, openapi.ID("kc_1"), contract.ID)
	assert.Empty(t, contract.URL)
	assert.Equal(t, "phala", contract.ContractAddress)
	assert.Zero(t, *contract.ChainID)
	assert.Equal(t, "0x0334c7", contract.K256PublicKey)
	assert.Equal(t, "0xca00", contract.CAPublicKey)
	assert.Equal(t, 16, *contract.NodeCount)
}

func TestCVMStatus_ReadsOldAndNewOperations(t *testing.T) {
	t.Parallel()
	old := read[openapi.CVMStatusReport](t, `{"vm_uuid":"u","status":"updating","in_progress":true,"operation_type":"restart","operation_started_at":"2026-01-21T10:00:00","correlation_id":"c"}`)
	assert.Equal(t, "restart", old.OperationType)
	assert.Nil(t, old.Operation)
	assert.False(t, old.OperationStartedAt.IsZero())

	newer := read[openapi.CVMStatusReport](t, `{"vm_uuid":"u","status":"updating","in_progress":true,
		"operation":{"type":"restart","phase":"shutdown","started_at":"2026-06-23T10:00:00Z","correlation_id":"c"},
		"resource_usage":{"cpu_percent":12.5,"memory_used_bytes":5000000000,"memory_total_bytes":8589934592,"egress_bytes":0,"disk_used_bytes":1,"disk_total_bytes":2}}`)
	assert.Equal(t, "shutdown", newer.Operation.Phase)
	assert.InDelta(t, 12.5, *newer.ResourceUsage.CPUPercent, 0)
	assert.Equal(t, int64(5_000_000_000), *newer.ResourceUsage.MemoryUsedBytes)
	assert.Nil(t, read[openapi.CVMStatusReport](t, `{"vm_uuid":"u","status":"running","operation":null}`).Operation)
}

func TestCVMDetail_ReadsWhatNewerServersAdd(t *testing.T) {
	t.Parallel()
	vm := read[openapi.CVMDetail](t, `{"id":"cvm_1","name":"web","status":"running","resource":{},"gateway":{},
		"hourly_rate":{"total":"0.12","compute":0.1,"disk":"0.02"},"billing_interval":"hourly","managed_env":true,
		"gpu_rental_order":{"id":"gord_1"},"kms_info":{"k256_pubkey":"02ab"},
		"node_info":{"object_type":"node","id":7,"device_ids":[{"device_id":"aa","algorithm_version":2,"enabled":true},"bb"]}}`)
	assert.Equal(t, openapi.Decimal("0.12"), vm.HourlyRate.Total)
	assert.Equal(t, openapi.Decimal("0.1"), vm.HourlyRate.Compute)
	assert.Equal(t, "hourly", vm.BillingInterval)
	assert.True(t, *vm.ManagedEnv)
	assert.JSONEq(t, `{"id":"gord_1"}`, string(vm.GPURentalOrder))
	assert.Equal(t, "02ab", vm.KMSInfo.K256PublicKey)
	devices := vm.NodeInfo.DeviceIDs
	require.Len(t, devices, 2)
	assert.Equal(t, "aa", devices[0].DeviceID)
	assert.Equal(t, openapi.ID("2"), devices[0].AlgorithmVersion)
	assert.True(t, *devices[0].Enabled)
	assert.Equal(t, openapi.NodeDevice{DeviceID: "bb"}, devices[1], "a bare device id")
}

func TestNodeDevice_RefusesOtherThings(t *testing.T) {
	t.Parallel()
	var d openapi.NodeDevice
	require.Error(t, json.Unmarshal([]byte(`7`), &d))
	require.Error(t, json.Unmarshal([]byte(`["aa"]`), &d))
}

func TestAccount_ReadsMoneyAsTextAndNumber(t *testing.T) {
	t.Parallel()
	for balance, outstanding := range map[string]string{`"12.50"`: `null`, `12.5`: `"3"`} {
		a := read[openapi.Account](t, `{"user":{"username":"ada","email":"ada@example.org","role":"user","email_verified":true,"totp_enabled":false},
			"workspace":{"id":"wks_1","name":"Ada","slug":null,"tier":"free","role":"owner"},
			"credits":{"balance":`+balance+`,"granted_balance":5,"is_post_paid":false,"outstanding_amount":`+outstanding+`},"features":["gpu"]}`)
		rat, ok := a.Credits.Balance.Rat()
		require.True(t, ok)
		assert.Equal(t, "25/2", rat.String())
		assert.Equal(t, openapi.ID("wks_1"), a.Workspace.ID)
		assert.True(t, *a.User.EmailVerified)
		assert.JSONEq(t, `["gpu"]`, string(a.Features))
	}
}

// Ids are numbers before API version 2026-05-22 and prefixed text from then on.
func TestCreateResources_ReadBothKindsOfID(t *testing.T) {
	t.Parallel()
	for _, ids := range [][3]string{{`201`, `301`, `401`}, {`"kms_201"`, `"kc_301"`, `"gn_401"`}} {
		r := read[openapi.CreateResources](t, `{"tier":"free","capacity":{"max_instances":16,"max_disk":null},
			"nodes":[{"teepod_id":11,"name":"n","listed":true,"resource_score":0.75,"remaining_vcpu":8,"remaining_memory":16384,"remaining_cvm_slots":4,
				"images":[{"name":"dstack-0.5.0","is_dev":false,"version":[0,5,0],"os_image_hash":"ab"}],"kms_list":["kms-base"]}],
			"kms_nodes":[{"id":`+ids[0]+`,"url":"https://kms.example","kms_type":"BASE","kms_contract_id":`+ids[1]+`,"supported_os_images":["dstack-0.5.0"]}],
			"node_kms_relations":[{"teepod_id":11,"kms_id":`+ids[0]+`,"kms_type":"BASE","kms_contract_id":`+ids[1]+`}],
			"gateway_nodes":[{"id":`+ids[2]+`,"teepod_id":null,"kms_contract_id":`+ids[1]+`,"enabled":true}],
			"instance_types":[{"id":"tdx.small","name":"Small","vcpu":1,"memory_mb":2048,"requires_gpu":false,"requires_gpu_count":0}],
			"gpu_availability":{"has_reserved_gpus":false,"reserved_gpu_count":0,"has_public_gpus":true,"public_gpu_count":3}}`)
		assert.Equal(t, r.KMSNodes[0].ID, r.NodeKMSRelations[0].KMSID)
		assert.Equal(t, r.KMSNodes[0].KMSContractID, r.GatewayNodes[0].KMSContractID)
		assert.NotEmpty(t, r.GatewayNodes[0].ID)
		assert.Empty(t, r.GatewayNodes[0].TeepodID)
		assert.Equal(t, []int{0, 5, 0}, r.Nodes[0].Images[0].Version)
		assert.InDelta(t, 0.75, *r.Nodes[0].ResourceScore, 0)
		assert.Equal(t, 16, *r.Capacity.MaxInstances)
		assert.Nil(t, r.Capacity.MaxDisk)
		assert.Equal(t, 3, *r.GPUAvailability.PublicGPUCount)
	}
}

func TestContainers_CarryTheTimeInSeconds(t *testing.T) {
	t.Parallel()
	c := read[openapi.CVMComposition](t, `{"is_online":true,"error":null,"containers":[
		{"id":"c1","names":["/web"],"image":"nginx","image_id":"sha256:ab","created":1700000000,"state":"running","status":"Up 2 hours","log_endpoint":null}]}`)
	require.Len(t, c.Containers, 1)
	assert.Equal(t, "2023-11-14", c.Containers[0].Created.Format("2006-01-02"))
	assert.Empty(t, c.Containers[0].LogEndpoint)
}

func TestQuotas_KnowNoLimit(t *testing.T) {
	t.Parallel()
	q := read[openapi.WorkspaceQuotas](t, `{"team_slug":"ada","tier":"PRO","quotas":{"vm_slots":{"limit":10,"remaining":7},"vcpu":{"limit":-1,"remaining":-1},
		"memory_mb":{"limit":-1,"remaining":-1},"disk_gb":{"limit":-1,"remaining":-1}},"reserved_nodes":{"limit":0,"remaining":0},
		"reserved_gpu":{"gpus":{"limit":8,"remaining":6},"in_use":2,"misconfigured":0},"as_of":"2026-06-23T00:00:00Z"}`)
	assert.Equal(t, int64(7), q.Quotas.VMSlots.Remaining)
	assert.Equal(t, int64(-1), q.Quotas.MemoryMB.Limit)
	assert.Equal(t, 2, *q.ReservedGPU.InUse)
}
