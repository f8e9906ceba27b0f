package phalatest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// running is a cloud with one running CVM.
func running(t *testing.T, name string, opts ...phalatest.Option) (*phalatest.Server, *client.Client, *openapi.VM) {
	t.Helper()
	s, c := start(t, opts...)
	_, vm := create(t, c, name)
	require.NoError(t, c.CVMs.WaitFor(t.Context(), vm.VMUUID, "running"))
	return s, c, vm
}

func code(t *testing.T, err error) string {
	t.Helper()
	var api *client.APIError
	require.ErrorAs(t, err, &api)
	return string(api.Code)
}

func TestReplicas_ShareNameAndAppID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, vm := running(t, "web-1")
		ctx := t.Context()
		replica, err := c.CVMs.Replicate(ctx, "web-1", &openapi.ReplicateRequest{NodeID: openapi.Ptr(12)}, nil)
		require.NoError(t, err)
		assert.Equal(t, vm.AppID, replica.AppID)
		assert.Equal(t, openapi.ID("7"), replica.TeepodID, "node 12 is teepod 7")
		assert.NotEqual(t, vm.VMUUID, replica.VMUUID)

		_, err = c.CVMs.Get(ctx, "web-1")
		assert.Equal(t, string(client.CodeMultipleCVMsWithSameName), code(t, err))
		_, err = c.CVMs.Get(ctx, vm.AppID)
		assert.Equal(t, string(client.CodeMultipleCVMsForIdentifier), code(t, err))
		app, err := c.Apps.Get(ctx, vm.AppID)
		require.NoError(t, err)
		assert.Equal(t, 2, *app.CVMCount)

		require.NoError(t, c.CVMs.Rename(ctx, replica.VMUUID, openapi.RenameRequest{Name: "web-2"}))
		got, err := c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err, "the name is unique again")
		assert.Equal(t, vm.VMUUID, got.VMUUID)
		err = c.CVMs.Rename(ctx, "web-2", openapi.RenameRequest{Name: "web-1"})
		assert.Equal(t, string(client.CodeDuplicateCVMName), code(t, err))

		// With two revisions alive a replica must say which.
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-2", "running"))
		_, err = c.CVMs.UpdateDockerCompose(ctx, "web-2", "services: {b: {image: b}}\n", nil)
		require.NoError(t, err)
		_, err = c.CVMs.Replicate(ctx, "web-1", nil, nil)
		assert.Equal(t, "ERR-03-009", code(t, err))
		third, err := c.CVMs.Replicate(ctx, "web-1", &openapi.ReplicateRequest{ComposeHash: &got.ComposeHash}, nil)
		require.NoError(t, err)

		for _, id := range []string{third.VMUUID, "web-2"} {
			require.NoError(t, c.CVMs.Delete(ctx, id))
		}
		time.Sleep(time.Second)
		_, err = c.CVMs.Get(ctx, vm.AppID)
		require.NoError(t, err, "one is left")
		require.NoError(t, c.CVMs.Delete(ctx, "web-1"))
		time.Sleep(time.Second)
		_, err = c.Apps.Get(ctx, vm.AppID)
		require.ErrorIs(t, err, client.ErrNotFound)
	})
}

// An update is visible in the detail, the compose file, the revisions, the operations, and the
// environment of the guest.
func TestUpdate_ShowsEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, vm := running(t, "web-1")
		ctx := t.Context()
		before, err := c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err)
		key, err := kms.ParsePublicKey(vm.EncryptedEnvPublicKey)
		require.NoError(t, err)
		blob, err := kms.EncryptEnv([]kms.EnvVar{{Key: "TOKEN", Value: "1"}, {Key: "NEW", Value: "2"}}, key)
		require.NoError(t, err)

		done, err := c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{
			DockerComposeFile: openapi.Ptr("services: {b: {image: b}}\n"), AllowedEnvs: []string{"TOKEN", "NEW"},
			EncryptedEnv: openapi.Ptr(openapi.Secret(blob)), VCPU: openapi.Ptr(4), DiskSize: openapi.Ptr(50), Image: openapi.Ptr("dstack-0.5.6"),
		}, nil)
		require.NoError(t, err)
		assert.True(t, *done.AllowedEnvsChanged)
		_, err = c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{VCPU: openapi.Ptr(1)}, nil)
		require.ErrorIs(t, err, client.ErrBusy)
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))

		after, err := c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err)
		assert.NotEqual(t, before.ComposeHash, after.ComposeHash)
		assert.Equal(t, []any{4, "tdx.large", 50, "dstack-0.5.6"}, []any{*after.Resource.VCPU, after.Resource.InstanceType, *after.Resource.DiskInGB, after.OS.Name})
		doc, err := c.CVMs.GetComposeFile(ctx, "web-1", nil)
		require.NoError(t, err)
		assert.Equal(t, after.ComposeHash, compose.Sum(doc).String())
		env, err := s.Env("web-1")
		require.NoError(t, err)
		assert.Len(t, env, 2)
		revisions, err := c.Apps.ListRevisions(ctx, vm.AppID, nil)
		require.NoError(t, err)
		require.Len(t, revisions.Revisions, 2)
		assert.Equal(t, []string{after.ComposeHash, before.ComposeHash}, []string{revisions.Revisions[0].ComposeHash, revisions.Revisions[1].ComposeHash})
		operations, err := c.CVMs.ListOperations(ctx, "web-1", &openapi.CVMsListOperationsParams{OperationTypes: []string{"compose_update"}})
		require.NoError(t, err)
		require.Len(t, operations.Items, 1)
		assert.Equal(t, done.CorrelationID, operations.Items[0].CorrelationID)
		assert.Equal(t, "completed", operations.Items[0].Status)
		assert.Equal(t, revisions.Revisions[0].TraceID, done.CorrelationID)

		same, err := c.CVMs.UpdateDockerCompose(ctx, "web-1", "services: {b: {image: b}}\n", nil)
		require.NoError(t, err)
		assert.Equal(t, "no_change", same.Status)
		_, err = c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{DiskSize: openapi.Ptr(10)}, nil)
		require.ErrorContains(t, err, "can only grow")

		// Back to the first revision, environment and all.
		_, err = c.CVMs.RedeployRevision(ctx, "web-1", revisions.Revisions[1].RevisionID, nil)
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))
		back, err := c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err)
		assert.Equal(t, before.ComposeHash, back.ComposeHash)
		assert.Equal(t, after.VMUUID, back.VMUUID)
	})
}

func TestPreparedUpdate_WaitsForItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, vm := running(t, "web-1")
		ctx := t.Context()
		prepare := func(text string) *client.HashRegistrationRequired {
			_, err := c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{DockerComposeFile: &text}, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)})
			var required *client.HashRegistrationRequired
			require.ErrorAs(t, err, &required)
			return required
		}
		commit := func(token openapi.Secret, hash string) error {
			_, err := c.CVMs.CommitUpdate(ctx, vm.VMUUID, &openapi.CommitUpdateRequest{Token: &token, ComposeHash: &hash}, nil)
			return err
		}
		hash := func() string {
			cvm, err := c.CVMs.Get(ctx, "web-1")
			require.NoError(t, err)
			return cvm.ComposeHash
		}
		before := hash()
		first, second := prepare("services: {b: {}}\n"), prepare("services: {c: {}}\n")
		assert.Equal(t, before, hash(), "nothing changes")
		assert.Equal(t, vm.AppID, first.AppID)
		require.ErrorIs(t, commit(first.CommitToken, first.ComposeHash), client.ErrHashInvalidOrExpired, "superseded")
		require.ErrorIs(t, commit(second.CommitToken, first.ComposeHash), client.ErrHashInvalidOrExpired, "another hash")
		require.ErrorIs(t, commit("nonsense", first.ComposeHash), client.ErrHashInvalidOrExpired)
		pending, err := c.Apps.ListPendingUpdates(ctx, vm.AppID)
		require.NoError(t, err)
		require.Len(t, pending.Items, 1)
		assert.Equal(t, second.ComposeHash, pending.Items[0].ComposeHash)
		require.NoError(t, commit(second.CommitToken, second.ComposeHash))
		assert.Equal(t, second.ComposeHash, hash())
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))
		require.ErrorIs(t, commit(second.CommitToken, second.ComposeHash), client.ErrHashInvalidOrExpired, "once")

		// The other way is to name the hash in a request without changes.
		third := prepare("services: {d: {}}\n")
		_, err = c.CVMs.Update(ctx, "web-1", openapi.UpdateCVMRequest{}, &openapi.CVMsUpdateParams{
			ComposeHash: &third.ComposeHash, TransactionHash: openapi.Ptr("already-registered"),
		})
		require.NoError(t, err)
		assert.Equal(t, third.ComposeHash, hash())
		require.NoError(t, c.CVMs.WaitFor(ctx, "web-1", "running"))

		old := prepare("services: {e: {}}\n")
		time.Sleep(14*24*time.Hour + time.Second)
		require.ErrorIs(t, commit(old.CommitToken, old.ComposeHash), client.ErrHashInvalidOrExpired, "expired")
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.WithManualTicks())
	create(t, c, "web-1")
	ctx := t.Context()
	cancelled, err := c.CVMs.CancelOperation(ctx, "web-1")
	require.NoError(t, err)
	assert.True(t, cancelled.Cancelled)
	s.Tick()
	cvm, err := c.CVMs.Get(ctx, "web-1")
	require.NoError(t, err)
	assert.EqualValues(t, "stopped", cvm.Status)
	_, err = c.CVMs.CancelOperation(ctx, "web-1")
	require.ErrorIs(t, err, client.ErrConflict)
	_, err = c.CVMs.Start(ctx, "web-1")
	require.NoError(t, err)
	_, err = c.CVMs.Stop(ctx, "web-1")
	require.NoError(t, err, "stopping goes before everything")
	operations, err := c.CVMs.ListOperations(ctx, "web-1", &openapi.CVMsListOperationsParams{Limit: openapi.Ptr(2)})
	require.NoError(t, err)
	assert.Equal(t, 3, operations.Total)
	assert.Equal(t, "power_off in_progress, power_on failed", fmt.Sprintf("%s %s, %s %s",
		operations.Items[0].OperationType, operations.Items[0].Status, operations.Items[1].OperationType, operations.Items[1].Status))
	rest, err := c.CVMs.ListOperations(ctx, "web-1", &openapi.CVMsListOperationsParams{Cursor: &operations.NextCursor})
	require.NoError(t, err)
	require.Len(t, rest.Items, 1)
	assert.Equal(t, "create", rest.Items[0].OperationType)
	assert.Equal(t, "cancelled", rest.Items[0].ErrorMessage)
}

func TestUsage_FollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, vm := running(t, "web-1")
		ctx := t.Context()
		time.Sleep(90 * time.Minute)
		_, err := c.CVMs.Stop(ctx, "web-1")
		require.NoError(t, err)
		time.Sleep(24 * time.Hour)
		usage, err := c.Apps.GetUsage(ctx, vm.AppID, nil)
		require.NoError(t, err)
		minutes := 0.0
		for _, record := range usage.Usage {
			minutes += record.DurationMinutes
		}
		assert.InDelta(t, 90, minutes, 0.01)
		cost, exact := usage.TotalCost.Rat()
		require.True(t, exact)
		dollars, _ := cost.Float64()
		assert.InDelta(t, 1.5*0.058, dollars, 0.0001)
		page, err := c.Apps.GetUsage(ctx, vm.AppID, &openapi.AppsGetUsageParams{Limit: openapi.Ptr(1), Offset: openapi.Ptr(1)})
		require.NoError(t, err)
		assert.Len(t, page.Usage, 1)
		none, err := c.Apps.GetUsage(ctx, vm.AppID, &openapi.AppsGetUsageParams{StartDate: openapi.Ptr(time.Now())})
		require.NoError(t, err)
		assert.Empty(t, none.Usage)
	})
}

func TestQuotas(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.WithQuotas(phalatest.Quotas{CVMs: 2, VCPUs: 5}))
	ctx := t.Context()
	create(t, c, "web-1")
	left := func() (cvms, vcpus int64) {
		q, err := c.Workspaces.GetQuotas(ctx, "test")
		require.NoError(t, err)
		assert.EqualValues(t, -1, q.Quotas.DiskGB.Limit)
		return q.Quotas.VMSlots.Remaining, q.Quotas.VCPU.Remaining
	}
	cvms, vcpus := left()
	assert.Equal(t, []int64{1, 4}, []int64{cvms, vcpus})
	big := request("web-2")
	big.InstanceType = openapi.Ptr("tdx.xlarge")
	_, err := c.CVMs.Provision(ctx, big)
	assert.Equal(t, string(client.CodeQuotaExceeded), code(t, err))
	create(t, c, "web-2")
	_, err = c.CVMs.Replicate(ctx, "web-1", nil, nil)
	require.ErrorContains(t, err, "Quota exceeded: 3 CVMs of 2")
	_, err = phalatest.Start(phalatest.WithQuotas(phalatest.Quotas{CVMs: -1}))
	require.Error(t, err)
	assert.NotEmpty(t, s.Requests())
}

func TestProvision_NodeAndSize(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	for want, change := range map[string]func(*openapi.ProvisionRequest){
		"ERR-02-001": func(r *openapi.ProvisionRequest) { r.InstanceType = openapi.Ptr("tdx.huge") },
		"ERR-02-002": func(r *openapi.ProvisionRequest) { r.VCPU = openapi.Ptr(64) },
		"ERR-01-001": func(r *openapi.ProvisionRequest) { r.NodeID = openapi.Ptr(9) },
		"No node in": func(r *openapi.ProvisionRequest) { r.Region = openapi.Ptr("moon") },
		"ERR-02-010": func(r *openapi.ProvisionRequest) { r.Image = openapi.Ptr("dstack-9") },
	} {
		r := request("web-1")
		change(&r)
		_, err := c.CVMs.Provision(t.Context(), r)
		require.ErrorContains(t, err, want)
	}
	r := request("web-1")
	r.VCPU, r.Memory, r.Region, r.PreferDev = openapi.Ptr(3), openapi.Ptr(1024), openapi.Ptr("test-2"), openapi.Ptr(true)
	p, err := c.CVMs.Provision(t.Context(), r)
	require.NoError(t, err)
	vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
	require.NoError(t, err)
	assert.Equal(t, []any{"tdx.large", 4, openapi.ID("7"), "dstack-dev-0.5.5"}, []any{p.InstanceType, vm.VCPU, vm.TeepodID, vm.BaseImage})
	filtered, err := c.Apps.List(t.Context(), &openapi.AppsListParams{Region: openapi.Ptr("test-2"), InstanceType: openapi.Ptr("tdx.large")})
	require.NoError(t, err)
	assert.Equal(t, 1, filtered.Total)
	filtered, err = c.Apps.List(t.Context(), &openapi.AppsListParams{Region: openapi.Ptr("test")})
	require.NoError(t, err)
	assert.Zero(t, filtered.Total)
	_, err = c.CVMs.List(t.Context(), &openapi.CVMsListParams{TeepodID: openapi.Ptr(12)})
	require.ErrorIs(t, err, client.ErrValidation, "newer servers refuse the filter")
	for want, params := range map[int]openapi.CVMsListParams{
		0: {Family: openapi.Ptr("gpu")}, 1: {Family: openapi.Ptr("cpu"), InstanceTypes: []string{"tdx.small", "tdx.large"}},
	} {
		some, err := c.CVMs.List(t.Context(), &params)
		require.NoError(t, err)
		assert.Equal(t, want, some.Total)
	}
}

func TestPorts_KeepTheirHostPort(t *testing.T) {
	t.Parallel()
	_, c, _ := running(t, "web-1")
	ctx := t.Context()
	set := func(ports ...openapi.PortRequest) ([]openapi.PortMapping, error) {
		return c.CVMs.SetPorts(ctx, "web-1", openapi.SetPortsRequest{Ports: ports})
	}
	first, err := set(openapi.PortRequest{VMPort: 22})
	require.NoError(t, err)
	both, err := set(openapi.PortRequest{VMPort: 53, Protocol: openapi.Ptr("udp")}, openapi.PortRequest{VMPort: 22})
	require.NoError(t, err)
	require.Len(t, both, 2)
	assert.Equal(t, first[0], both[1])
	assert.NotEqual(t, both[0].HostPort, both[1].HostPort)
	_, err = set(openapi.PortRequest{VMPort: 22}, openapi.PortRequest{VMPort: 22})
	require.ErrorIs(t, err, client.ErrBadRequest)
	config, err := c.CVMs.GetNetworkConfig(ctx, "web-1")
	require.NoError(t, err)
	assert.Len(t, config.Ports, 2)
}

func TestDomains(t *testing.T) {
	t.Parallel()
	s, c, vm := running(t, "web-1")
	valid := func() bool {
		d, err := c.CVMs.DiagnoseDomains(t.Context(), "web-1", openapi.DiagnoseDomainsRequest{Domains: []openapi.DomainCheck{{Domain: "shop.test", Port: 443}}})
		require.NoError(t, err)
		require.Len(t, d.Results, 1)
		return d.Results[0].IsValid
	}
	assert.False(t, valid())
	s.SetDNS("CNAME", "shop.test", "dstack-test1.phala.test.")
	s.SetDNS("TXT", "_dstack-app-address.shop.test", vm.AppID+":443")
	assert.True(t, valid())
}

func TestCloud_ScheduledDeletionHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, _ := running(t, "web-1")
		ctx := t.Context()
		at := func(d time.Duration) *openapi.ScheduleDeleteRequest {
			return &openapi.ScheduleDeleteRequest{ScheduledDeleteAt: &openapi.Time{Time: time.Now().Add(d)}}
		}
		_, err := c.CVMs.ScheduleDelete(ctx, "web-1", at(time.Hour))
		require.NoError(t, err)
		_, err = c.CVMs.ScheduleDelete(ctx, "web-1", nil)
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		_, err = c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err, "taken back")
		_, err = c.CVMs.ScheduleDelete(ctx, "web-1", at(time.Hour))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		cvm, err := c.CVMs.Get(ctx, "web-1")
		require.NoError(t, err)
		assert.EqualValues(t, "deleting", cvm.Status)
		time.Sleep(time.Second)
		_, err = c.CVMs.Get(ctx, "web-1")
		require.ErrorIs(t, err, client.ErrNotFound)
	})
}

func TestGitHubKeys_FollowTheProfile(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	ctx := t.Context()
	key := func(b byte) string { return "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + strings.Repeat(string(b), 43) }
	s.SetGitHubKeys("octo", key('A'), key('E'))
	imported, err := c.SSHKeys.ImportGitHub(ctx, openapi.ImportGitHubRequest{GitHubUsername: "octo"})
	require.NoError(t, err)
	assert.Equal(t, 2, imported.KeysAdded)
	s.SetGitHubKeys("octo", key('E'), key('I'))
	synced, err := c.SSHKeys.SyncGitHub(ctx)
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1, 1}, []int{synced.KeysAdded, synced.KeysUpdated, synced.KeysRemoved})
	_, err = c.SSHKeys.ImportGitHub(ctx, openapi.ImportGitHubRequest{GitHubUsername: "nobody"})
	require.ErrorIs(t, err, client.ErrBadRequest)
	for name, bad := range map[string]string{"not a key": "x", "not base64": "ssh-ed25519 %", "already": key('E')} {
		_, err = c.SSHKeys.Create(ctx, openapi.CreateSSHKeyRequest{Name: name, PublicKey: bad})
		require.ErrorIs(t, err, client.ErrBadRequest, name)
	}
	require.ErrorIs(t, c.SSHKeys.Delete(ctx, "sshkey_9"), client.ErrNotFound)
}

func TestShapes_OfTheOldestVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, vm := running(t, "web-1")
		get := func(path string, into any) {
			require.NoError(t, c.Do(t.Context(), http.MethodGet, path, nil, into, client.WithAPIVersion("2025-10-28")))
		}
		var list []struct {
			Hosted struct {
				ID    string `json:"id"`
				AppID string `json:"app_id"`
			} `json:"hosted"`
		}
		get("/cvms", &list)
		require.Len(t, list, 1)
		assert.Equal(t, vm.AppID, list[0].Hosted.AppID)
		var detail struct {
			ID       json.Number `json:"id"`
			TeepodID int         `json:"teepod_id"`
		}
		get("/cvms/web-1", &detail)
		assert.Equal(t, json.Number("1"), detail.ID)
		assert.Equal(t, 12, detail.TeepodID)
		var app struct {
			CVMs []struct {
				TeepodName string `json:"teepod_name"`
			} `json:"cvms"`
		}
		get("/apps/"+vm.AppID, &app)
		require.Len(t, app.CVMs, 1)
		assert.Equal(t, "test1", app.CVMs[0].TeepodName)
		var me struct {
			Username string `json:"username"`
		}
		get("/auth/me", &me)
		assert.Equal(t, "tester", me.Username)
	})
}

func TestStatuses_OfTheNewestVersionNestTheOperation(t *testing.T) {
	t.Parallel()
	_, c := start(t, phalatest.WithManualTicks())
	_, vm := create(t, c, "web-1")
	ask := func(version string) openapi.CVMStatusReport {
		all, err := c.CVMs.GetStatuses(t.Context(), openapi.GetStatusesRequest{VMUUIDs: []string{vm.VMUUID}}, client.WithAPIVersion(version))
		require.NoError(t, err)
		return all[vm.VMUUID]
	}
	assert.Equal(t, "create", ask("2026-01-21").OperationType)
	assert.Nil(t, ask("2026-01-21").Operation)
	assert.Equal(t, "create", ask("2026-06-23").Operation.Type)
	assert.Empty(t, ask("2026-06-23").OperationType)
	assert.Equal(t, "create", ask("LATEST").Operation.Type)
}

func TestUploads_ComeAsFormsToo(t *testing.T) {
	t.Parallel()
	s, c, _ := running(t, "web-1")
	form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"c.yml\"\r\n\r\nservices: {f: {}}\n\r\n--b--\r\n"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, "https://phala.test/api/v1/cvms/web-1/docker-compose", strings.NewReader(form))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	req.Header.Set("X-API-Key", s.APIKey)
	req.Header.Set("X-Phala-Version", "2026-01-21")
	resp, err := s.Transport().RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusAccepted, resp.StatusCode)
	text, err := c.CVMs.GetDockerCompose(t.Context(), "web-1")
	require.NoError(t, err)
	assert.Equal(t, "services: {f: {}}\n", text)
}

func TestCloud_ThousandAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("a second or two")
	}
	t.Parallel()
	s, c := start(t)
	thousand(t, s, c)
}

func TestCloud_GuestExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, vm := running(t, "web-1")
		require.NoError(t, s.Exit("web-1"))
		state, err := c.CVMs.GetState(t.Context(), vm.VMUUID, nil)
		require.NoError(t, err)
		assert.EqualValues(t, "exited", state.Status)
		assert.NotEmpty(t, state.ExitedAt)
		require.Error(t, s.Exit("web-1"), "once")
		require.Error(t, s.Exit("nobody"))
		_, err = c.CVMs.Start(t.Context(), "web-1")
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
	})
}
