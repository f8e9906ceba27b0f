package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/webhook"
)

const commitToken = "0f0e0d0c-0b0a-4908-8706-050403020100"

const approvalBody = `{"id":"evt_00000000000000aa","event":"cvm.update.pending_approval","version":"1",
"created_at":"2026-07-01T10:00:00.123456","workspace":{"id":"acme","name":"Acme"},"data":{
"cvm_id":"11111111-2222-3333-4444-555555555555","cvm_name":"web","compose_hash":"0x22","app_id":"0x11","device_id":"0x33",
"kms":{"chain_id":8453,"contract_address":"0x44"},
"onchain_action":{"to":"0x55","method":"addComposeHash(bytes32)","calldata":"22"},
"commit_token":"` + commitToken + `",
"commit_url":"https://cloud.phala.com/acme/cvms/1/confirm-update?token=` + commitToken + `",
"api_commit_url":"https://cloud-api.phala.com/api/v1/cvms/1/commit-update?token=` + commitToken + `",
"expires_at":"2026-07-15T10:00:00Z","initiated_by":{"user_id":7,"username":"ann"},"more":true}}`

func parse(t testing.TB, body string) webhook.Event {
	t.Helper()
	var event webhook.Event
	require.NoError(t, json.Unmarshal([]byte(body), &event))
	return event
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	for _, typ := range []webhook.Type{
		webhook.CVMCreated, webhook.CVMStarted, webhook.CVMRestarted, webhook.CVMUpdated, webhook.CVMStopped, webhook.CVMDeleted,
		"cvm.of_tomorrow",
	} {
		cvm, err := parse(t, string(eventBody("evt_1", typ))).Lifecycle()
		require.NoError(t, err, typ)
		assert.Equal(t, webhook.Lifecycle{
			CVMID: "11111111-2222-3333-4444-555555555555", CVMName: "web", AppID: "abc", Status: "running",
		}, cvm)
	}
	failed := parse(t, `{"id":"evt_1","event":"cvm.create_failed","data":{"cvm_name":"web","status":"error","error":"no image"}}`)
	cvm, err := failed.Lifecycle()
	require.NoError(t, err)
	assert.Equal(t, "no image", cvm.Error)
}

func TestPendingApproval(t *testing.T) {
	t.Parallel()
	event := parse(t, approvalBody)
	assert.Equal(t, time.Date(2026, 7, 1, 10, 0, 0, 123456000, time.UTC), event.CreatedAt, "no zone means UTC")
	p, err := event.PendingApproval()
	require.NoError(t, err)
	assert.Equal(t, commitToken, string(p.CommitToken))
	assert.Equal(t, "https://cloud-api.phala.com/api/v1/cvms/1/commit-update?token="+commitToken, string(p.APICommitURL))
	assert.Equal(t, webhook.KMSContract{ChainID: 8453, Address: "0x44"}, p.KMS)
	assert.Equal(t, webhook.OnChainAction{To: "0x55", Method: "addComposeHash(bytes32)", Calldata: "22"}, p.OnChainAction)
	assert.Equal(t, webhook.Initiator{UserID: "7", Username: "ann"}, p.InitiatedBy)
	assert.Equal(t, time.Date(2026, 7, 15, 10, 0, 0, 0, time.UTC), p.ExpiresAt)
	assert.Equal(t, "0x22", p.ComposeHash)

	again, err := webhook.Marshal(p)
	require.NoError(t, err)
	var same webhook.PendingApproval
	require.NoError(t, json.Unmarshal(again, &same))
	assert.Equal(t, p, same)
}

func TestCommitToken_IsNotPrinted(t *testing.T) {
	t.Parallel()
	event := parse(t, approvalBody)
	p, err := event.PendingApproval()
	require.NoError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{event, &event, p, &p, p.CommitToken, []webhook.Event{event}, struct{ P webhook.PendingApproval }{p}} {
			out := fmt.Sprintf(verb, v)
			assert.NotContains(t, out, commitToken, "%s of %T", verb, v)
			assert.NotContains(t, out, fmt.Sprintf("%x", commitToken), "%s of %T", verb, v)
		}
	}
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&log, nil), slog.NewTextHandler(&log, nil)} {
		slog.New(h).Info("x", "event", event, "approval", p, "token", p.CommitToken, "url", p.CommitURL)
	}
	assert.NotContains(t, log.String(), commitToken)
	assert.Contains(t, log.String(), "evt_00000000000000aa")
	assert.Equal(t, "cvm.update.pending_approval evt_00000000000000aa of workspace acme", fmt.Sprint(event))
}

func TestPendingApproval_LogsNoTextThatSteersATerminal(t *testing.T) {
	t.Parallel()
	p := webhook.PendingApproval{CVMID: "a\u202eb", ComposeHash: "a\u202eb", AppID: "a\u202eb", InitiatedBy: webhook.Initiator{Username: "a\u202eb"}}
	assert.NotContains(t, fmt.Sprint(p, p.LogValue()), "\u202e")
	err := json.Unmarshal([]byte("{\"id\":\"evt_1\",\"event\":\"x\",\"version\":[\"\u202e\"]}"), &webhook.Event{})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "\u202e")
}

func TestEvent_WrongAccessorFails(t *testing.T) {
	t.Parallel()
	_, err := parse(t, approvalBody).Lifecycle()
	require.EqualError(t, err, "webhook: cvm.update.pending_approval evt_00000000000000aa is no event of the lifecycle of a CVM")
	_, err = parse(t, string(eventBody("evt_1", webhook.CVMCreated))).PendingApproval()
	require.EqualError(t, err, "webhook: cvm.created evt_1 is no event of an approval")
	_, err = parse(t, `{"id":"evt_1","event":"gpu_rental.started","data":{}}`).Lifecycle()
	require.Error(t, err)
	_, err = parse(t, `{"id":"evt_1","event":"cvm.created","data":[]}`).Lifecycle()
	require.ErrorContains(t, err, "data of cvm.created evt_1")
	_, err = parse(t, `{"id":"evt_1","event":"cvm.created"}`).Lifecycle()
	require.Error(t, err, "no data")
}

func TestTolerantForms(t *testing.T) {
	t.Parallel()
	event := parse(t, `{"id":"evt_1","event":"gpu_rental.started","version":2,"created_at":1782900000,"workspace":null,"new":{},"data":{"order":7}}`)
	assert.Equal(t, "2", event.Version)
	assert.Equal(t, time.Unix(1782900000, 0).UTC(), event.CreatedAt)
	assert.JSONEq(t, `{"order":7}`, string(event.Data))
	assert.True(t, parse(t, `{"id":"evt_1","event":"x","created_at":null}`).CreatedAt.IsZero())

	replica := parse(t, `{"id":"evt_1","event":"cvm.replica.pending_approval","data":{"kms":{"chain_id":"1"},"initiated_by":{"user_id":"usr_1"}}}`)
	p, err := replica.PendingApproval()
	require.NoError(t, err)
	assert.Equal(t, uint64(1), p.KMS.ChainID)
	assert.Equal(t, "usr_1", p.InitiatedBy.UserID)
	assert.True(t, p.ExpiresAt.IsZero())

	bad := parse(t, `{"id":"evt_1","event":"cvm.replica.pending_approval","data":{"kms":{"chain_id":"base"}}}`)
	_, err = bad.PendingApproval()
	require.ErrorContains(t, err, `chain id "base"`)
}

// What was accepted can be kept as JSON, in a queue, and read again.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(approvalBody))
	f.Add(eventBody("evt_1", webhook.CVMCreated))
	f.Add([]byte(`{"id":"evt_1","event":"x","version":1e3,"created_at":-5,"data":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var event webhook.Event
		if json.Unmarshal(body, &event) != nil {
			return
		}
		_, _ = event.Lifecycle()
		_, _ = event.PendingApproval()
		again, err := webhook.Marshal(event)
		if err != nil {
			return // a year that RFC 3339 cannot write
		}
		var same webhook.Event
		require.NoError(t, json.Unmarshal(again, &same), "%s", again)
		require.Equal(t, event.ID, same.ID)
		require.Equal(t, event.Type, same.Type)
		require.Equal(t, event.Version, same.Version)
		require.True(t, event.CreatedAt.Equal(same.CreatedAt), "%s, then %s", event.CreatedAt, same.CreatedAt)
	})
}
