package phalatest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/phalatest"
)

// foreign is a client in another language, which may send more and accept less than this one.
type foreign struct {
	t       *testing.T
	cloud   *phalatest.Server
	version string
}

func newForeign(t *testing.T) foreign {
	t.Helper()
	return foreign{t: t, cloud: phalatest.New(t, phalatest.Lenient(), phalatest.WithManualTicks()), version: "2026-01-21"}
}

func (f foreign) send(method, path string, body any) *httptest.ResponseRecorder {
	f.t.Helper()
	data, err := json.Marshal(body)
	require.NoError(f.t, err)
	request := httptest.NewRequest(method, "/api/v1"+path, bytes.NewReader(data))
	request.Header.Set("X-API-Key", f.cloud.APIKey)
	request.Header.Set("X-Phala-Version", f.version)
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	f.cloud.ServeHTTP(answer, request)
	return answer
}

// get gives the JSON object of an answer.
func (f foreign) get(path string) map[string]any {
	f.t.Helper()
	return f.object(f.send(http.MethodGet, path, nil))
}

func (f foreign) object(answer *httptest.ResponseRecorder) map[string]any {
	f.t.Helper()
	require.Less(f.t, answer.Code, 300, answer.Body.String())
	var body map[string]any
	require.NoError(f.t, json.Unmarshal(answer.Body.Bytes(), &body))
	return body
}

// create gives the app id of a new CVM.
func (f foreign) create(name string) (appID string) {
	f.t.Helper()
	provisioned := f.object(f.send(http.MethodPost, "/cvms/provision", map[string]any{
		"name": name, "compose_file": map[string]any{"name": name, "docker_compose_file": "services: {}"},
	}))
	f.object(f.send(http.MethodPost, "/cvms", map[string]any{
		"app_id": provisioned["app_id"], "compose_hash": provisioned["compose_hash"],
	}))
	return provisioned["app_id"].(string)
}

func (f foreign) tick(times int) {
	for range times {
		f.cloud.Tick()
	}
}

// The official JavaScript SDK accepts text or no member in a state, and refuses null.
func TestState_HasNoNulls(t *testing.T) {
	t.Parallel()
	f := newForeign(t)
	f.create("web-1")
	for _, status := range []string{"created", "running", "stopped"} {
		state := f.get("/cvms/web-1/state")
		require.Equal(t, status, state["status"])
		for name, value := range state {
			assert.NotNil(t, value, name)
		}
		assert.Equal(t, status != "created", state["instance_id"] != nil, "an instance has an id from its first boot on")
		if status == "running" {
			f.object(f.send(http.MethodPost, "/cvms/web-1/stop", nil))
		}
		f.tick(3)
	}
	stream := f.send(http.MethodGet, "/cvms/web-1/state?target=stopped", nil)
	assert.Contains(t, stream.Body.String(), "event: state\n")
	assert.NotContains(t, stream.Body.String(), "null")
}

// The official JavaScript SDK accepts only text for the contract of an app, which is empty if there is none.
func TestAttestations_OfAnAppWithoutContract(t *testing.T) {
	t.Parallel()
	f := newForeign(t)
	attestations := f.get("/apps/" + f.create("web-1") + "/attestations")
	assert.Empty(t, attestations["contract_address"])
	assert.Empty(t, attestations["kms_info"].(map[string]any)["contract_address"])
}

// The official JavaScript SDK sends true instead of the described 1, and repeats the identifier.
func TestResize_WithARestartAsBoolean(t *testing.T) {
	t.Parallel()
	for _, restart := range []any{true, false, 0, 1, nil} {
		f := newForeign(t)
		f.create("web-1")
		f.tick(3)
		answer := f.send(http.MethodPatch, "/cvms/web-1/resources", map[string]any{"id": "web-1", "instance_type": "tdx.medium", "allow_restart": restart})
		assert.Equal(t, http.StatusAccepted, answer.Code, answer.Body.String())
		f.tick(3)
		assert.Equal(t, "tdx.medium", f.get("/cvms/web-1")["resource"].(map[string]any)["instance_type"])
	}
	f := newForeign(t)
	f.create("web-1")
	f.tick(3)
	answer := f.send(http.MethodPatch, "/cvms/web-1/resources", map[string]any{"instance_type": "tdx.medium", "allow_restart": "often"})
	assert.Equal(t, http.StatusUnprocessableEntity, answer.Code)
	assert.Contains(t, answer.Body.String(), "allow_restart", answer.Body.String())
}

// The official clients name the KMS in upper case, the published description in lower case.
func TestKMSInUpperCase(t *testing.T) {
	t.Parallel()
	f := newForeign(t)
	for kms, status := range map[string]int{"PHALA": 200, "phala": 200, "BASE": 404, "base": 404, "solana": 422} {
		answer := f.send(http.MethodPost, "/cvms/provision", map[string]any{
			"name": "web-1", "kms": kms, "compose_file": map[string]any{"name": "", "docker_compose_file": "services: {}"},
		})
		assert.Equal(t, status, answer.Code, "%s: %s", kms, answer.Body)
	}
}
