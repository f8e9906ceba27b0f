package client

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

// answerType is the type that the method of an operation decodes its answer into.
func (op wireOperation) answerType(t *testing.T) reflect.Type {
	t.Helper()
	return op.method(t, newTest(t, nil)).Type().Out(0)
}

// The API may send null for anything: each field, element and map value alone, and all of them at once.
func TestNullDecodesAnywhere(t *testing.T) {
	t.Parallel()
	ops, m := description(t)
	total := 0
	for _, op := range ops {
		if op.answer() == nil {
			continue
		}
		var places []string
		m.edit = func(place string, _ *schema, v any) any {
			if place != "" {
				places = append(places, place)
			}
			return v
		}
		m.sample(t, op.answer(), "answer")
		total += len(places)
		for _, null := range places {
			m.edit = func(place string, _ *schema, v any) any {
				if place == null {
					return nil
				}
				return v
			}
			into := reflect.New(op.answerType(t))
			assert.NoError(t, json.Unmarshal(m.sample(t, op.answer(), "answer"), into.Interface()), "%s: null at %s", op.name, null)
		}
		m.edit = func(place string, _ *schema, v any) any {
			if place != "" && !strings.HasSuffix(place, "[]") && !strings.HasSuffix(place, "{}") {
				return nil
			}
			return v
		}
		into := reflect.New(op.answerType(t))
		assert.NoError(t, json.Unmarshal(m.sample(t, op.answer(), "answer"), into.Interface()), "%s: null for every field", op.name)
	}
	assert.Greater(t, total, 1500)
}

// What the documented versions of the API write differently decodes into the same value, and a newer server
// may add fields and enum values.
func TestDriftDecodesEverywhere(t *testing.T) {
	t.Parallel()
	goType := func(name string) func(*schema) bool { return func(s *schema) bool { return s.GoType == name } }
	for name, tt := range map[string]struct {
		where      func(*schema) bool
		sent, want any
		least      int // places in all answers
	}{
		"ids as numbers":             {goType("ID"), 1042, "1042", 100},
		"ids beyond a float":         {goType("ID"), json.Number("9007199254740993"), "9007199254740993", 100},
		"ids as texts":               {goType("ID"), "cvm_Xk3", "cvm_Xk3", 100},
		"times without a zone":       {goType("Time"), "2026-01-21T08:30:05", "2026-01-21T08:30:05Z", 50},
		"times with a blank":         {goType("Time"), "2026-01-21 08:30:05.5", "2026-01-21T08:30:05.5Z", 50},
		"times with an offset":       {goType("Time"), "2026-01-21T09:30:05.000001+01:00", "2026-01-21T08:30:05.000001Z", 50},
		"times in seconds":           {goType("Time"), 1768984205, "2026-01-21T08:30:05Z", 50},
		"money as numbers":           {goType("Decimal"), json.Number("0.058"), "0.058", 20},
		"money as whole numbers":     {goType("Decimal"), 12, "12", 20},
		"money as texts":             {goType("Decimal"), "0.058000000000000000001", "0.058000000000000000001", 20},
		"flags as numbers":           {goType("Flag"), 1, true, 1},
		"values that an enum lacks":  {func(s *schema) bool { return len(s.Enum) > 0 }, "something-new", "something-new", 10},
		"any JSON where none is set": {goType("RawJSON"), []any{"x", 1, nil}, []any{"x", 1, nil}, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ops, m := description(t)
			places := 0
			put := func(value any) func(string, *schema, any) any {
				return func(_ string, s *schema, v any) any {
					if tt.where(s) {
						places++
						return value
					}
					return v
				}
			}
			for _, op := range ops {
				if op.answer() == nil || m.resolve(op.answer()).GoType == "RawJSON" {
					continue
				}
				m.edit = put(tt.sent)
				sent := m.sample(t, op.answer(), "answer")
				m.edit = put(tt.want)
				want := m.sample(t, op.answer(), "answer")
				m.edit = nil
				requireAnswer(t, op, m, sent, want)
			}
			assert.GreaterOrEqual(t, places/2, tt.least)
		})
	}
}

// requireAnswer calls an operation that is answered with sent, and compares what is decoded with want.
func requireAnswer(t *testing.T, op wireOperation, m *sampler, sent, want []byte) {
	t.Helper()
	status, _ := op.success()
	c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(status, string(sent)), nil })
	answer, err := callWith(t.Context(), t, c, op, m)
	if !assert.NoError(t, err, op.name) {
		return
	}
	data, err := openapi.Marshal(answer.Interface())
	require.NoError(t, err, op.name)
	assert.JSONEq(t, string(want), string(data), op.name)
	assert.Empty(t, zeroFields(answer, "answer"), op.name)
}

func TestUnknownFields_DoNotDisturb(t *testing.T) {
	t.Parallel()
	ops, m := description(t)
	objects := 0
	for _, op := range ops {
		if op.answer() == nil || m.resolve(op.answer()).GoType == "RawJSON" {
			continue
		}
		m.edit = nil
		want := m.sample(t, op.answer(), "answer")
		m.edit = func(_ string, s *schema, v any) any {
			object, ok := v.(map[string]any)
			if ok && s.Properties != nil && s.GoType == "" {
				objects++
				object["a field of next year"] = map[string]any{"with": []any{1, "2", nil}}
			}
			return v
		}
		sent := m.sample(t, op.answer(), "answer")
		m.edit = nil
		requireAnswer(t, op, m, sent, want)
	}
	assert.Greater(t, objects, 200)
}

// The description names the wire type wherever it is known that versions differ.
func TestDrift_IsDescribed(t *testing.T) {
	t.Parallel()
	_, m := description(t)
	at := func(place string) *schema {
		name, property, _ := strings.Cut(place, ".")
		property, list := strings.CutSuffix(property, "[]")
		require.Contains(t, m.schemas, name)
		s := m.schemas[name].Properties[property]
		require.NotNil(t, s, place)
		if list {
			return s.Items
		}
		return s
	}
	// Integers up to one version of the API, texts from another on.
	for _, place := range []string{
		"VM.id", "VM.user_id", "VM.teepod_id", "CVM.id", "CVMDetail.id", "CVMState.id", "App.id", "CVMAllowance.cvm_id",
		"CVMAllowances.skipped_cvm_ids[]", "AllowlistDevice.cvm_ids[]", "InstanceIDRefresh.cvm_id", "KMS.id", "UserRef.id",
		"WorkspaceRef.id", "NodeRef.id", "NodeMeta.id", "QuoteHeader.ak_type", "QuoteHeader.tee_type", "Provision.node_id", "Provision.teepod_id",
	} {
		assert.Equal(t, "ID", at(place).GoType, place)
	}
	for name, s := range m.schemas {
		for property, p := range s.Properties {
			place := name + "." + property
			if p.Format == "date-time" {
				assert.Equal(t, "Time", p.GoType, place)
			}
			for _, money := range []string{"cost", "price", "_rate", "balance", "amount"} {
				if strings.HasSuffix(property, money) && property != "success_rate" && p.Ref == "" {
					assert.Equal(t, "Decimal", p.GoType, place)
				}
			}
			// An int has 32 bits on small machines.
			for _, large := range []string{"bytes", "timestamp", "snowflake_id", "nonce", "chain_id"} {
				if strings.HasSuffix(property, large) && string(p.Type) == `"integer"` {
					assert.Equal(t, "int64", p.Format, place)
				}
			}
		}
	}
}

// The shapes of whole answers that the versions of the API are known to have.
func TestDrift_EachVersionsShapeDecodes(t *testing.T) {
	t.Parallel()
	const hash = "2f5a1433619a164a6c479e7f4d73e4f75e73f60ab01b2b8594777f0888c959bf"
	type check = func(context.Context, *testing.T, *Client)
	statuses := func(want func(*testing.T, openapi.CVMStatusReport)) check {
		return func(ctx context.Context, t *testing.T, c *Client) {
			all, err := c.CVMs.GetStatuses(ctx, openapi.GetStatusesRequest{VMUUIDs: []string{"a"}})
			require.NoError(t, err)
			want(t, all["a"])
		}
	}
	vm := func(id, user openapi.ID) check {
		return func(ctx context.Context, t *testing.T, c *Client) {
			vm, err := c.CVMs.Start(ctx, "web")
			require.NoError(t, err)
			assert.Equal(t, id, vm.ID)
			assert.Equal(t, user, vm.UserID)
			assert.Equal(t, "web", vm.Name)
		}
	}
	for name, tt := range map[string]struct {
		answer string
		check  check
	}{
		"VM, 2026-01-21": {`{"id":7,"name":"web","status":"starting","teepod_id":3,"teepod":{"id":3,"name":"prod5"},"user_id":9,"app_id":"ab","vcpu":1,"memory":2048,"disk_size":20,"created_at":"2026-01-21T08:30:05.123456","encrypted_env_pubkey":null,"features":null}`, vm("7", "9")},
		"VM, 2026-05-22": {`{"id":"cvm_Xk3","name":"web","status":"starting","teepod_id":"tp_1","teepod":null,"user_id":"usr_1","app_id":"ab","vcpu":1,"memory":2048,"disk_size":20,"created_at":"2026-05-22T08:30:05Z"}`, vm("cvm_Xk3", "usr_1")},
		"CVM list, 2025-10-28": {`{"items":[{"hosted":{"id":"x","name":"web","status":"running","uptime":"3h","app_id":"ab","configuration":{"vcpu":1}},"name":"web","managed_user":null,"node":{"id":3,"name":"prod5","region_identifier":null},"listed":false,"status":"running","in_progress":false,"project_id":"prj_1","kms_info":{"id":"kms_1","slug":null,"url":"https://kms","version":"v0.5","chain_id":null},"vcpu":1,"memory":2048,"disk_size":20,"gateway_domain":null,"public_urls":[{"app":"a","instance":"b"}]}],"total":1,"page":1,"page_size":30,"pages":1}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				page, err := c.CVMs.List(ctx, nil)
				require.NoError(t, err)
				require.Len(t, page.Items, 1)
				assert.EqualValues(t, "running", page.Items[0].Status)
			}},
		"CVM, 2025-10-28": {`{"id":7,"teepod_id":3,"teepod":{"id":3,"name":"prod5","region_identifier":"us"},"name":"web","status":"running","in_progress":true,"app_id":"ab","vm_uuid":null,"instance_id":null,"vcpu":1,"memory":2048,"disk_size":20,"listed":false,"project_id":null,"kms_info":null,"scheduled_delete_at":null,"public_urls":null,"gateway_domain":null}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				cvm, err := c.CVMs.Get(ctx, "web")
				require.NoError(t, err)
				assert.Equal(t, openapi.ID("7"), cvm.ID)
				assert.True(t, *cvm.InProgress)
			}},
		"app, 2025-10-28": {`{"id":"prj_1","name":"web","app_id":"ab","created_at":"2025-10-28T00:00:00","kms_type":"phala","profile":null,"current_cvm":{"vm_uuid":null,"app_id":"ab","status":"running","vcpu":1,"memory":2048,"disk_size":20,"teepod_id":3,"teepod_name":"prod5","region_identifier":null,"kms_type":null,"instance_type":null,"machine_info":null},"cvms":[],"cvm_count":1}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				app, err := c.Apps.Get(ctx, "ab")
				require.NoError(t, err)
				assert.EqualValues(t, "running", app.CurrentCVM.Status)
			}},
		"statuses, flat": {`{"a":{"vm_uuid":"a","status":"starting","uptime":null,"in_progress":true,"boot_progress":null,"boot_error":null,"shutdown_progress":null,"events":[],"operation_type":"create","operation_started_at":"2026-01-21T08:30:05","correlation_id":"c"}}`,
			statuses(func(t *testing.T, s openapi.CVMStatusReport) { assert.Equal(t, "create", s.OperationType) })},
		"statuses, with an operation": {`{"a":{"vm_uuid":"a","status":"starting","in_progress":true,"operation":{"type":"create","phase":"booting","started_at":"2026-06-23T08:30:05Z","correlation_id":"c"},"resource_usage":{"cpu_percent":1.5,"memory_used_bytes":8589934592,"memory_total_bytes":17179869184,"egress_bytes":0,"disk_used_bytes":null,"disk_total_bytes":1}}}`,
			statuses(func(t *testing.T, s openapi.CVMStatusReport) {
				assert.Equal(t, "create", s.Operation.Type)
				assert.Equal(t, int64(8589934592), *s.ResourceUsage.MemoryUsedBytes)
			})},
		"provision, on chain": {`{"compose_hash":"` + hash + `","app_id":null,"app_env_encrypt_pubkey":null,"kms_info":{"id":"kms_1","slug":"kms-base-prod5","url":"https://kms","version":"v0.5","chain_id":8453,"kms_contract_address":"0x2f","gateway_app_id":null},"teepod_id":3,"kms_id":null,"kms_contract_id":"kc_1","token":"t"}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				p, err := c.CVMs.Provision(ctx, openapi.ProvisionRequest{})
				require.NoError(t, err)
				assert.Empty(t, p.AppID)
				assert.Equal(t, openapi.ID("3"), p.TeepodID)
			}},
		"provision, newer": {`{"compose_hash":"` + hash + `","app_id":"0xab","node_id":"nd_3","kms_id":"kms_1"}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				p, err := c.CVMs.Provision(ctx, openapi.ProvisionRequest{})
				require.NoError(t, err)
				assert.Equal(t, openapi.ID("nd_3"), p.NodeID)
			}},
		"update, no change": {`{"status":"no_change","message":"nothing to do"}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				accepted, err := c.CVMs.UpdateDockerCompose(ctx, "web", "services: {}", nil)
				require.NoError(t, err)
				assert.Equal(t, "no_change", accepted.Status)
			}},
		"allowances, 2026-01-21": {`{"is_onchain":true,"results":[{"cvm_id":7,"app_contract_address":"0x","compose_hash":"x","device_id":"d","compose_hash_allowed":true,"allow_any_device":true,"device_id_allowed":null,"is_allowed":true,"error":null}],"total":1,"skipped_cvm_ids":[8,9]}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				all, err := c.Apps.CheckCVMsAllowed(ctx, "ab")
				require.NoError(t, err)
				assert.Equal(t, []openapi.ID{"8", "9"}, all.SkippedCVMIDs)
			}},
		"allowances, 2026-05-22": {`{"is_onchain":true,"results":[{"cvm_id":"cvm_7","app_contract_address":"0x","compose_hash":"x","device_id":"d","compose_hash_allowed":true,"allow_any_device":true,"is_allowed":true}],"skipped_cvm_ids":["cvm_8"]}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				all, err := c.Apps.CheckCVMsAllowed(ctx, "ab")
				require.NoError(t, err)
				assert.Equal(t, openapi.ID("cvm_7"), all.Results[0].CVMID)
			}},
		"instance ids, newer": {`{"total":1,"scanned":1,"updated":0,"unchanged":0,"skipped":0,"conflicts":0,"errors":1,"items":[{"cvm_id":null,"identifier":"web","status":"error","old_instance_id":null,"new_instance_id":null,"source":"none","reason":"x"}]}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				all, err := c.CVMs.RefreshInstanceIDs(ctx, openapi.RefreshInstanceIDsRequest{})
				require.NoError(t, err)
				assert.Empty(t, all.Items[0].CVMID)
			}},
		"KMS, one contract of 2026-06-23": {`{"id":"kc_1","slug":"kms-base","label":"Base","contract_address":"0x2f","chain_id":8453,"k256_pubkey":"02","ca_pubkey":"04","node_count":3}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				kms, err := c.KMS.Get(ctx, "kms-base", WithAPIVersion("2026-06-23"))
				require.NoError(t, err)
				assert.Equal(t, openapi.ID("kc_1"), kms.ID)
			}},
		"quote, by names": {`{"header":{"version":4,"ak_type":"ECDSA_P256","tee_type":"TEE_TDX","qe_vendor":"0x93","user_data":"0x00"},"cert_data":null,"body":{},"verified":true,"checksum":"c","can_download":true,"uploaded_at":"2026-01-21T08:30:05"}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				view, err := c.Attestations.View(ctx, strings.Repeat("0c", 32))
				require.NoError(t, err)
				assert.Equal(t, openapi.ID("TEE_TDX"), view.Header.TEEType)
			}},
		"quote, by numbers": {`{"header":{"version":4,"ak_type":2,"tee_type":129,"qe_vendor":"0x93","user_data":"0x00"},"cert_data":null,"body":{},"verified":null,"checksum":"c"}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				view, err := c.Attestations.View(ctx, strings.Repeat("0c", 32))
				require.NoError(t, err)
				assert.Equal(t, openapi.ID("129"), view.Header.TEEType)
			}},
		"webhook secret within the webhook": {`{"id":"wh_1","url":"https://x","secret":"whsec_a","events":[],"enabled":true,"created_at":"2026-01-21T08:30:05Z","updated_at":null}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				secret, err := c.Webhooks.RotateSecret(ctx, "wh_1")
				require.NoError(t, err)
				assert.Equal(t, openapi.Secret("whsec_a"), secret.Secret)
			}},
		"cancelled, without an id": {`{"cancelled":true,"correlation_id":null}`,
			func(ctx context.Context, t *testing.T, c *Client) {
				cancelled, err := c.CVMs.CancelOperation(ctx, "web")
				require.NoError(t, err)
				assert.True(t, cancelled.Cancelled)
			}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.check(t.Context(), t, newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, tt.answer), nil }))
		})
	}
}
