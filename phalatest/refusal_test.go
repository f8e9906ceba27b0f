package phalatest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// send makes a request that the typed client would not make.
func send(t *testing.T, s *phalatest.Server, method, path, body string, header ...string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "https://phala.test/api/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-API-Key", s.APIKey)
	req.Header.Set("X-Phala-Version", "2026-01-21")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.Transport().RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, vm := running(t, "web-1")
		_, other := create(t, c, "web-2")
		_, third := create(t, c, "web-3")
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-3", "running"))
		replica, err := c.CVMs.Replicate(t.Context(), "web-1", nil, nil)
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), replica.VMUUID, "running"))
		_, err = c.CVMs.Restart(t.Context(), "web-3", nil)
		require.NoError(t, err)
		revisions, err := c.Apps.ListRevisions(t.Context(), vm.AppID, nil)
		require.NoError(t, err)
		app, one := "/apps/"+vm.AppID, "/cvms/"+vm.VMUUID
		redeploy := app + "/revisions/" + revisions.Revisions[0].RevisionID + "/redeploy"
		hash := strings.Repeat("a", 64)

		for _, tt := range []struct {
			method, path, body string
			status             int
			text               string
		}{
			{"GET", "/cvms/web-1", "", 409, "ERR-03-002"},
			{"GET", "/cvms/app_" + vm.AppID, "", 409, "ERR-03-010"},
			{"GET", "/apps/0x" + vm.AppID[2:], "", 404, "App not found"},
			{"POST", app + "/cvms/nobody/replicas", "", 404, "ERR-03-001"},
			{"POST", app + "/cvms/" + other.VMUUID + "/replicas", "", 404, "ERR-03-001"},
			{"POST", one + "/replicas", `{"node_id":9}`, 404, "ERR-01-001"},
			{"POST", one + "/replicas", `{"compose_hash":"x"}`, 422, "compose_hash"},
			{"POST", one + "/replicas", `{"compose_hash":"` + hash + `"}`, 466, "ERR-01-006"},
			{"POST", one + "/commit-replica", `{"token":"x"}`, 466, "ERR-01-006"},
			{"POST", app + "/instances", `{"token":"x"}`, 466, "ERR-01-006"},
			{"POST", app + "/instances", `{"docker_compose_file":""}`, 400, "ERR-01-003"},
			{"PATCH", one, `{"docker_compose_file":""}`, 400, "ERR-01-003"},
			{"PATCH", one, `{"image":"x"}`, 404, "ERR-02-010"},
			{"PATCH", one, `{"vcpu":-1}`, 400, "ERR-02-002"},
			{"PATCH", one + "/resources", `{"instance_type":"x"}`, 404, "ERR-02-001"},
			{"PATCH", one + "/os-image", `{"os_image_name":"x"}`, 404, "ERR-02-010"},
			{"PATCH", one + "/docker-compose", "", 400, "No file"},
			{"PATCH", one + "/envs", `{"encrypted_env":"00","env_keys":["A-B"]}`, 400, "ERR-01-003"},
			{"PATCH", one + "/compose_file", `{"compose_hash":"x"}`, 422, "compose_hash"},
			{"PATCH", one + "/compose_file", `{"compose_hash":"` + hash + `"}`, 466, "provision it first"},
			{"PATCH", one + "/name", `{"name":"a"}`, 422, "name"},
			{"PUT", "/cvms/web-3/ports", `{"ports":[]}`, 409, "in progress"},
			{"PATCH", "/cvms/web-3/network-config", `{"restart":true}`, 409, "in progress"},
			{"PUT", "/cvms/web-3/ssh-keys", `{"ssh_key_ids":[],"apply_now":true}`, 409, "in progress"},
			{"PUT", one + "/ssh-keys", `{"ssh_key_ids":["x"]}`, 404, "SSH key x not found"},
			{"PUT", one + "/ssh-keys", `{"ssh_key_ids":[],"usernames":["nobody"]}`, 404, "User nobody"},
			{"GET", one + "/operations?cursor=x", "", 400, "Invalid cursor"},
			{"GET", app + "/pending-updates/" + vm.VMUUID + "/" + hash + "/preview", "", 404, "No such pending update"},
			{"GET", app + "/revisions/rev_9", "", 404, "Revision not found"},
			{"POST", one + "/revisions/rev_9/redeploy", "", 404, "Revision not found"},
			{"POST", app + "/revisions/rev_9/redeploy", "", 404, "Revision not found"},
			{"POST", redeploy, "", 400, "vm_uuids is required"},
			{"POST", redeploy, `{"vm_uuids":["` + third.VMUUID + `"]}`, 404, "ERR-03-001"},
			{"GET", app + "/usage?start_date=2026-02-01T00:00:00Z&end_date=2026-01-01T00:00:00Z", "", 400, "end_date"},
			{"GET", "/workspaces/other", "", 404, "Workspace not found"},
			{"GET", "/instance-types/quantum", "", 404, "Unknown instance family"},
			{"GET", "/kms/on-chain/doge", "", 400, "Unknown chain"},
			{"GET", "/kms/phala/nodes", "", 404, "KMS not found"},
			{"GET", "/attestations/view/" + hash, "", 404, "No such quote"},
			{"POST", "/cvms/workload", `{"name":"model","instance_type":"h200.small","model_id":"x"}`, 400, "Unknown model"},
			{"POST", "/cvms", `{"app_id":"x","compose_hash":"` + hash + `"}`, 422, "x"},
		} {
			status, text := send(t, s, tt.method, tt.path, tt.body)
			assert.Equal(t, tt.status, status, "%s %s %s: %s", tt.method, tt.path, tt.body, text)
			assert.Contains(t, text, tt.text, "%s %s", tt.method, tt.path)
		}
		status, text := send(t, s, "GET", "/kms/phala", "", "X-Phala-Version", "2026-06-23")
		assert.Equal(t, 200, status, text)
		assert.Contains(t, text, `"contract_address":"phala"`)
		status, text = send(t, s, "GET", "/kms?is_onchain=true", "")
		assert.Equal(t, 200, status, text)
		assert.Contains(t, text, `"total":0`)
	})
}

// A change of the settings of a CVM is visible in other responses.
func TestSettingsShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, vm := running(t, "web-1")
		ctx := t.Context()
		key, err := c.SSHKeys.Create(ctx, openapi.CreateSSHKeyRequest{Name: "k", PublicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})
		require.NoError(t, err)
		later, err := c.CVMs.SetSSHKeys(ctx, "web-1", openapi.SetCVMSSHKeysRequest{SSHKeyIDs: []string{}, Usernames: []string{"tester"}})
		require.NoError(t, err)
		require.Len(t, later.Keys, 1)
		assert.Equal(t, key.ID, later.Keys[0].ID)
		assert.True(t, *later.RestartRequired)
		now, err := c.CVMs.SetSSHKeys(ctx, "web-1", openapi.SetCVMSSHKeysRequest{SSHKeyIDs: []string{}, ApplyNow: openapi.Ptr(true)})
		require.NoError(t, err)
		assert.False(t, *now.RestartRequired)
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))

		_, err = c.CVMs.UpdateNetworkConfig(ctx, "web-1", openapi.UpdateNetworkConfigRequest{KMSURLs: []string{"https://kms.test"}, Restart: openapi.Ptr(true)})
		require.NoError(t, err)
		config, err := c.CVMs.GetNetworkConfig(ctx, "web-1")
		require.NoError(t, err)
		assert.Equal(t, []string{"https://kms.test"}, config.KMSURLs)
		firewall, err := c.CVMs.GetFirewallStatus(ctx, "web-1")
		require.NoError(t, err)
		assert.False(t, firewall.Available, "it boots")
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))

		_, err = c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{Memory: openapi.Ptr(8192), UserConfig: openapi.Ptr("no json"), GPUs: &openapi.GPUConfig{GPUs: []openapi.GPU{{Slot: "0"}}}}, nil)
		require.NoError(t, err)
		cvm, err := c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err)
		assert.Equal(t, []any{"tdx.large", 8.0, 1}, []any{cvm.Resource.InstanceType, *cvm.Resource.MemoryInGB, *cvm.Resource.GPUs})
		_, err = c.CVMs.GetUserConfig(ctx, "web-1")
		require.ErrorIs(t, err, client.ErrBadRequest)
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))

		p, fresh := create(t, c, "web-2")
		ids, err := c.CVMs.RefreshInstanceIDs(ctx, openapi.RefreshInstanceIDsRequest{
			CVMIDs: []string{"nobody", "web-1", "web-2"}, RunningOnly: openapi.Ptr(false), MissingOnly: openapi.Ptr(false), Limit: openapi.Ptr(2),
		})
		require.NoError(t, err)
		assert.Equal(t, []int{3, 1, 1, 1}, []int{ids.Total, ids.Unchanged, ids.Skipped, ids.Errors})
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-2", "running"))

		// An instance with another compose is a revision of its own, which redeploying levels.
		instance, err := c.Apps.CreateInstance(ctx, p.AppID, &openapi.CreateInstanceRequest{DockerComposeFile: openapi.Ptr("services: {b: {}}\n"), NodeID: openapi.Ptr(12)})
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(ctx, instance.VMUUID, "running"))
		revisions, err := c.Apps.ListRevisions(ctx, p.AppID, nil)
		require.NoError(t, err)
		require.Len(t, revisions.Revisions, 2)
		raw, err := c.Apps.GetRevision(ctx, p.AppID, revisions.Revisions[0].RevisionID, &openapi.AppsGetRevisionParams{RawComposeFile: openapi.Ptr(true)})
		require.NoError(t, err)
		assert.Equal(t, byte('"'), raw.ComposeFile[0], "text")
		_, err = c.Apps.RedeployRevision(ctx, p.AppID, revisions.Revisions[0].RevisionID, &openapi.RedeployRevisionRequest{VMUUIDs: []string{fresh.VMUUID}}, nil)
		require.NoError(t, err)
		cvms, err := c.Apps.ListCVMs(ctx, p.AppID)
		require.NoError(t, err)
		assert.Equal(t, cvms[0].ComposeHash, cvms[1].ComposeHash)

		// A CVM that fails to boot says so everywhere.
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))
		s.FailBoot("web-1", "no such image")
		_, err = c.CVMs.Restart(ctx, "web-1", nil)
		require.NoError(t, err)
		time.Sleep(time.Second)
		cvm, err = c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err)
		assert.EqualValues(t, "error", cvm.Status)
		operations, err := c.CVMs.ListOperations(ctx, vm.VMUUID, nil)
		require.NoError(t, err)
		assert.Equal(t, "failed no such image", operations.Items[0].Status+" "+operations.Items[0].ErrorMessage)
		require.NoError(t, c.CVMs.Delete(ctx, "web-1"))
		require.NoError(t, c.CVMs.Delete(ctx, "web-1"), "it is being deleted")
		_, err = c.CVMs.CancelOperation(ctx, "web-1")
		require.ErrorIs(t, err, client.ErrConflict)
	})
}

// The confirmation of an update on chain has no body.
func TestUpdate_IsConfirmedByHeadersAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, vm := running(t, "web-1")
		_, err := c.CVMs.Update(t.Context(), "web-1", openapi.UpdateCVMRequest{DockerComposeFile: openapi.Ptr("services: {b: {}}\n")}, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)})
		var required *client.HashRegistrationRequired
		require.ErrorAs(t, err, &required)
		status, _ := send(t, s, "PATCH", "/cvms/web-1/docker-compose", "", "X-Compose-Hash", strings.Repeat("b", 64))
		assert.Equal(t, 466, status)
		status, text := send(t, s, "PATCH", "/cvms/"+vm.VMUUID, "", "X-Compose-Hash", "0x"+required.ComposeHash, "X-Transaction-Hash", "already-registered")
		assert.Equal(t, 202, status, text)
		cvm, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err)
		assert.Equal(t, required.ComposeHash, cvm.ComposeHash)
	})
}
