package phalatest

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// checkedAnswers validates every success of the cloud by the description.
type checkedAnswers struct {
	t      *testing.T
	server *Server
	next   http.RoundTripper

	mu   sync.Mutex
	seen map[operationName]bool
}

func (a *checkedAnswers) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := a.next.RoundTrip(req)
	if err != nil || resp.StatusCode >= 300 {
		return resp, err
	}
	r, _ := a.server.router.Find(req.Method, req.URL.EscapedPath())
	require.NotNil(a.t, r)
	a.mu.Lock()
	a.seen[r.operation] = true
	a.mu.Unlock()
	assert.Equal(a.t, r.status, resp.StatusCode, r.operation)
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "text/event-stream" {
		return resp, nil
	}
	data, err := io.ReadAll(resp.Body)
	require.NoError(a.t, err)
	require.NoError(a.t, resp.Body.Close())
	resp.Body = io.NopCloser(bytes.NewReader(data))
	if len(data) == 0 {
		return resp, nil
	}
	if media == "application/json" {
		wrong, err := a.server.described.CheckResponse(r.described(), r.status, data)
		require.NoError(a.t, err, "%s answers %s", r.operation, media)
		for _, m := range wrong {
			a.t.Errorf("%s: the answer does not fit the description: %s: %s", r.operation, m.Place(), m.Text)
		}
	}
	return resp, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

const yamlText = "services:\n  web:\n    image: nginx\n"

func sealed(t *testing.T, pub string, env ...kms.EnvVar) openapi.Secret {
	t.Helper()
	return openapi.Secret(must(kms.EncryptEnv(env, must(kms.ParsePublicKey(pub)))))
}

// fakeQuote has the form of a quote of version 4, and nothing else of one.
func fakeQuote() []byte {
	raw := make([]byte, 48+584+4)
	raw[0], raw[2], raw[4] = 4, 2, 0x81
	for i := 48; i < 48+584; i++ {
		raw[i] = byte(i)
	}
	return raw
}

// TestAnswers_EveryOperation drives all operations through the typed client, and validates each answer by the
// description.
func TestAnswers_EveryOperation(t *testing.T) {
	for _, version := range []string{"2026-01-21", "2026-05-22", "2026-06-23"} {
		t.Run(version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { everyOperation(t, version) })
		})
	}
}

func everyOperation(t *testing.T, version string) {
	received := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	s := New(t, WithWebhookReceiver(received))
	answers := &checkedAnswers{t: t, server: s, next: s.Transport(), seen: map[operationName]bool{}}
	c := must(s.Client(client.WithAPIVersion(version), client.WithoutRetry(), client.WithHTTPClient(&http.Client{Transport: answers})))
	ctx := t.Context()
	wait := func(id string) { require.NoError(t, c.CVMs.WaitFor(ctx, id, "running")) }

	assert.Equal(t, "tester", must(c.Account.Get(ctx)).User.Username)
	assert.Len(t, must(c.InstanceTypes.List(ctx)).Result, 2)
	assert.Equal(t, 1, must(c.InstanceTypes.ListFamily(ctx, "gpu")).Total)
	assert.Len(t, must(c.Nodes.ListAvailable(ctx)).Nodes, 2)
	assert.Len(t, must(c.Nodes.ListCreateResources(ctx)).InstanceTypes, 5)
	assert.Equal(t, 2, must(c.OSImages.List(ctx, &openapi.OSImagesListParams{IsDev: openapi.Ptr(true)})).Total)
	assert.Len(t, must(c.Workspaces.List(ctx, nil)).Data, 1)
	assert.Equal(t, "Test", must(c.Workspaces.Get(ctx, "test")).Name)
	assert.Equal(t, 2, must(c.Workspaces.ListNodes(ctx, "test", nil)).Total)
	assert.EqualValues(t, -1, must(c.Workspaces.GetQuotas(ctx, "test")).Quotas.VMSlots.Limit)

	assert.Len(t, must(c.KMS.List(ctx, nil)).Items, 1)
	must(c.KMS.Get(ctx, "kms_test1", client.WithAPIVersion("2026-05-22")))
	must(c.KMS.Inspect(ctx, "kms_test1"))
	assert.Len(t, must(c.KMS.GetNextAppIDs(ctx, nil)).AppIDs, 1)
	assert.EqualValues(t, 8453, must(c.KMS.GetOnChain(ctx, "base")).ChainID)
	assert.Len(t, must(c.KMS.ListContractNodes(ctx, "phala")).Items, 1)

	// Create.
	p := must(c.CVMs.Provision(ctx, openapi.ProvisionRequest{Name: "web-1", ComposeFile: openapi.AppCompose{
		DockerComposeFile: openapi.Ptr(yamlText), AllowedEnvs: []string{"A"}, PreLaunchScript: openapi.Ptr(olderScript),
	}, UserConfig: openapi.Ptr(`{"hostname":"web"}`)}))
	env := sealed(t, p.AppEnvEncryptPublicKey, kms.EnvVar{Key: "A", Value: "1"})
	vm := must(c.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash, EncryptedEnv: &env}))
	id := vm.VMUUID
	must(c.KMS.GetAppEnvPublicKey(ctx, "phala-test1", p.AppID))
	wait(id)
	e := must(c.CVMs.ProvisionEliza(ctx, openapi.ProvisionElizaRequest{Name: "agent", Characterfile: "{}", EnvKeys: []string{"KEY"}}))
	var eliza openapi.Provision
	require.NoError(t, json.Unmarshal(e, &eliza))
	must(c.CVMs.CreateEliza(ctx, openapi.CreateCVMRequest{AppID: eliza.AppID, ComposeHash: eliza.ComposeHash}))
	must(c.CVMs.CreateWorkload(ctx, openapi.CreateWorkloadRequest{Name: "model", InstanceType: "h200.small", ModelID: models()[0]}))
	wait("agent")
	wait("model")

	// Read.
	assert.Len(t, must(c.CVMs.ListAll(ctx, nil)), 3)
	assert.Equal(t, 3, must(c.CVMs.List(ctx, nil)).Total)
	assert.Equal(t, "web-1", must(c.CVMs.Get(ctx, id)).Name)
	assert.EqualValues(t, "running", must(c.CVMs.GetState(ctx, id, nil)).Status)
	assert.Len(t, must(c.CVMs.GetStatuses(ctx, openapi.GetStatusesRequest{VMUUIDs: []string{id}})), 1)
	assert.Equal(t, 1, must(c.CVMs.GetStats(ctx, id)).SysInfo.NumCPUs)
	must(c.CVMs.GetComposeFile(ctx, id, nil))
	assert.Equal(t, yamlText, must(c.CVMs.GetDockerCompose(ctx, id)))
	assert.Equal(t, olderScript, must(c.CVMs.GetPreLaunchScript(ctx, id)))
	assert.Equal(t, "web", must(c.CVMs.GetUserConfig(ctx, id)).Hostname)
	assert.Len(t, must(c.CVMs.GetComposition(ctx, id)).Containers, 1)
	assert.Equal(t, string(must(c.CVMs.GetComposeFile(ctx, id, nil))), must(c.CVMs.GetAttestation(ctx, id)).TCBInfo.AppCompose)
	assert.Len(t, must(c.CVMs.ListAvailableOSImages(ctx, id)), 2)

	// Settings.
	require.NoError(t, c.CVMs.Rename(ctx, id, openapi.RenameRequest{Name: "web-2"}))
	must(c.CVMs.SetListed(ctx, "web-2", openapi.SetListedRequest{Listed: false}))
	must(c.CVMs.RefreshInstanceID(ctx, id, nil))
	must(c.CVMs.RefreshInstanceIDs(ctx, openapi.RefreshInstanceIDsRequest{MissingOnly: openapi.Ptr(false)}))
	assert.Len(t, must(c.CVMs.GetNetwork(ctx, id)).PublicURLs, 1)
	must(c.CVMs.GetNetworkConfig(ctx, id))
	must(c.CVMs.UpdateNetworkConfig(ctx, id, openapi.UpdateNetworkConfigRequest{GatewayURLs: []string{"https://other.test"}}))
	assert.Len(t, must(c.CVMs.SetPorts(ctx, id, openapi.SetPortsRequest{Ports: []openapi.PortRequest{{VMPort: 22}}})), 1)
	assert.Len(t, must(c.CVMs.ListPorts(ctx, id)), 1)
	assert.True(t, must(c.CVMs.GetFirewallStatus(ctx, id)).Available)
	must(c.CVMs.DiagnoseDomains(ctx, id, openapi.DiagnoseDomainsRequest{Domains: []openapi.DomainCheck{{Domain: "shop.test", Port: 443}}}))

	// SSH keys.
	s.SetGitHubKeys("octo", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB8bZ8p5tT5yJtXGCg1Oqj8K2Q8XG0Tz1qHkF0l0aZ0m")
	key := must(c.SSHKeys.Create(ctx, openapi.CreateSSHKeyRequest{Name: "mine", PublicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA me"}))
	assert.Equal(t, 1, must(c.SSHKeys.ImportGitHub(ctx, openapi.ImportGitHubRequest{GitHubUsername: "octo"})).KeysAdded)
	assert.Equal(t, 1, must(c.SSHKeys.SyncGitHub(ctx)).KeysUpdated)
	assert.Len(t, must(c.SSHKeys.List(ctx)), 2)
	assert.Len(t, must(c.CVMs.SetSSHKeys(ctx, id, openapi.SetCVMSSHKeysRequest{SSHKeyIDs: []string{string(key.ID)}})).Keys, 1)
	assert.Len(t, must(c.CVMs.ListSSHKeys(ctx, id)).Keys, 1)
	require.NoError(t, c.SSHKeys.Delete(ctx, string(key.ID)))
	assert.Empty(t, must(c.CVMs.ListSSHKeys(ctx, id)).Keys)

	// Updates.
	step := func(u *openapi.UpdateAccepted, err error) {
		t.Helper()
		require.NoError(t, err)
		require.NotEmpty(t, u.CorrelationID)
		assert.Equal(t, u.CorrelationID, must(c.CVMs.Get(ctx, id)).Progress.CorrelationID)
		wait(id)
	}
	assert.True(t, must(c.CVMs.GetPreLaunchUpgrade(ctx, id)).CanUpgrade)
	step(c.CVMs.UpgradePreLaunch(ctx, id, nil))
	step(c.CVMs.Update(ctx, id, openapi.UpdateCVMRequest{AllowedEnvs: []string{"A", "B"}, VCPU: openapi.Ptr(2)}, nil))
	step(c.CVMs.UpdateDockerCompose(ctx, id, yamlText+"# 2\n", nil))
	step(c.CVMs.UpdatePreLaunchScript(ctx, id, "#!/bin/sh\n", nil))
	step(c.CVMs.UpdateEnvs(ctx, id, openapi.UpdateEnvsRequest{EncryptedEnv: env}))
	step(c.CVMs.UpdateOSImage(ctx, id, openapi.UpdateOSImageRequest{OSImageName: "dstack-0.5.6"}))
	step(c.CVMs.Update(ctx, id, openapi.UpdateCVMRequest{InstanceType: openapi.Ptr("tdx.medium"), AllowRestart: openapi.Ptr(true)}, nil))
	wait(id)
	assert.Equal(t, "tdx.medium", must(c.CVMs.Get(ctx, id)).Resource.InstanceType)
	step(c.CVMs.UpdateResources(ctx, id, openapi.UpdateResourcesRequest{InstanceType: openapi.Ptr("tdx.large")}))
	must(c.CVMs.UpdateVisibility(ctx, id, openapi.UpdateVisibilityRequest{PublicLogs: false, PublicSysInfo: true}))
	wait(id)
	next := must(c.CVMs.ProvisionComposeUpdate(ctx, id, openapi.ProvisionComposeUpdateRequest{Name: "", DockerComposeFile: openapi.Ptr(yamlText + "# 3\n")}))
	must(c.CVMs.CommitComposeUpdate(ctx, id, openapi.CommitComposeUpdateRequest{ComposeHash: next.ComposeHash}))
	wait(id)
	file := openapi.AppCompose{DockerComposeFile: openapi.Ptr(yamlText + "# 4\n"), AllowedEnvs: []string{"A"}, PreLaunchScript: openapi.Ptr("#!/bin/sh\n")}
	_, err := c.CVMs.SubmitComposeFile(ctx, id, openapi.SubmitComposeFileRequest{ComposeFile: file, ComposeHash: next.ComposeHash})
	require.ErrorContains(t, err, "is not the hash of compose_file, which is ")
	_, hash, _ := strings.Cut(err.Error(), "which is ")
	must(c.CVMs.SubmitComposeFile(ctx, id, openapi.SubmitComposeFileRequest{ComposeFile: file, ComposeHash: hash[:64]}))
	assert.NotEmpty(t, must(c.CVMs.GetOperationStatus(ctx, id)))
	assert.True(t, must(c.CVMs.CancelOperation(ctx, id)).Cancelled)
	assert.Equal(t, "failed", must(c.CVMs.ListOperations(ctx, id, nil)).Items[0].Status)

	// Prepared changes.
	yes := openapi.Ptr(true)
	_, err = c.CVMs.Update(ctx, id, openapi.UpdateCVMRequest{DockerComposeFile: openapi.Ptr(yamlText + "# 5\n")}, &openapi.CVMsUpdateParams{PrepareOnly: yes})
	var required *client.HashRegistrationRequired
	require.ErrorAs(t, err, &required)
	token := openapi.Secret(required.CommitToken)
	must(c.CVMs.GetCommitUpdate(ctx, id, &openapi.CVMsGetCommitUpdateParams{Token: token}))
	assert.Len(t, must(c.Apps.ListPendingUpdates(ctx, p.AppID)).Items, 1)
	preview := must(c.Apps.PreviewPendingUpdate(ctx, p.AppID, id, required.ComposeHash))
	assert.Equal(t, yamlText+"# 5\n", preview.PendingDockerCompose)
	step(c.CVMs.CommitUpdate(ctx, id, &openapi.CommitUpdateRequest{Token: &token}, nil))
	_, err = c.CVMs.Replicate(ctx, id, nil, &openapi.CVMsReplicateParams{PrepareOnly: yes})
	require.ErrorAs(t, err, &required)
	token = openapi.Secret(required.CommitToken)
	must(c.CVMs.CommitReplica(ctx, id, &openapi.CommitUpdateRequest{Token: &token}, nil))

	// Replicas, revisions, and the app.
	must(c.CVMs.Replicate(ctx, id, &openapi.ReplicateRequest{NodeID: openapi.Ptr(12)}, nil))
	replica := must(c.Apps.Replicate(ctx, p.AppID, id, nil, nil))
	assert.Equal(t, "web-9", must(c.Apps.CreateInstance(ctx, p.AppID, &openapi.CreateInstanceRequest{Name: openapi.Ptr("web-9")})).Name)
	_, err = c.Apps.CreateInstance(ctx, p.AppID, &openapi.CreateInstanceRequest{Name: openapi.Ptr("web-9")})
	require.ErrorIs(t, err, client.ErrConflict)
	for _, vm := range must(c.Apps.ListCVMs(ctx, p.AppID)) {
		wait(vm.VMUUID)
	}
	assert.Equal(t, 5, *must(c.Apps.Get(ctx, p.AppID)).CVMCount)
	assert.Equal(t, 3, must(c.Apps.List(ctx, nil)).Total)
	assert.Contains(t, must(c.Apps.GetFilterOptions(ctx)).InstanceTypes, "tdx.large")
	revisions := must(c.Apps.ListRevisions(ctx, p.AppID, nil))
	oldest := revisions.Revisions[len(revisions.Revisions)-1]
	assert.Equal(t, p.ComposeHash, must(c.Apps.GetRevision(ctx, p.AppID, oldest.RevisionID, nil)).ComposeHash)
	must(c.CVMs.RedeployRevision(ctx, id, oldest.RevisionID, nil))
	must(c.Apps.RedeployRevision(ctx, p.AppID, oldest.RevisionID, &openapi.RedeployRevisionRequest{VMUUIDs: []string{replica.VMUUID}}, nil))
	wait(id)
	wait(replica.VMUUID)
	assert.Equal(t, p.ComposeHash, must(c.CVMs.Get(ctx, replica.VMUUID)).ComposeHash)
	assert.NotEmpty(t, must(c.Apps.GetUsage(ctx, p.AppID, nil)).Usage)

	// The chain, which the central KMS does without.
	assert.False(t, must(c.Apps.CheckCVMsAllowed(ctx, p.AppID)).IsOnchain)
	must(c.Apps.GetDeviceAllowlist(ctx, p.AppID))
	must(c.Apps.GetKMSInfo(ctx, p.AppID))
	_, err = c.Apps.CheckAllowed(ctx, p.AppID, openapi.CheckAllowedRequest{ComposeHash: p.ComposeHash})
	require.ErrorIs(t, err, client.ErrBadRequest)
	_, err = c.CVMs.CheckAllowed(ctx, id, nil)
	require.ErrorIs(t, err, client.ErrBadRequest)

	// Attestation.
	assert.Len(t, must(c.Apps.GetAttestations(ctx, p.AppID)).Instances, 5)
	assert.Len(t, must(c.Apps.EvaluateTCB(ctx, p.AppID)).Instances, 5)
	quote := fakeQuote()
	uploaded := must(c.Attestations.Verify(ctx, openapi.VerifyQuoteRequest{Hex: "0x" + hex.EncodeToString(quote)}))
	assert.False(t, uploaded.Success, "nobody can tell")
	assert.Len(t, must(c.Attestations.ListRecent(ctx, nil)), 1)
	assert.Equal(t, uploaded.Checksum, must(c.Attestations.View(ctx, uploaded.Checksum)).Checksum)
	assert.Equal(t, quote, must(c.Attestations.GetRaw(ctx, uploaded.Checksum)))
	require.NoError(t, c.Attestations.CheckRaw(ctx, uploaded.Checksum))
	_, err = c.Attestations.GetCollateral(ctx, uploaded.Checksum)
	require.ErrorIs(t, err, client.ErrBadRequest)
	assert.Len(t, must(c.Attestations.ListNodes(ctx)), 2)
	assert.Equal(t, must(c.Attestations.ListDeviceIDs(ctx))[0], p.DeviceID)
	assert.Len(t, must(c.Attestations.ListPPIDs(ctx)), 2)

	everyWebhookOperation(t, c)

	// Life and death.
	must(c.CVMs.Restart(ctx, id, nil))
	wait(id)
	must(c.CVMs.Shutdown(ctx, id))
	require.NoError(t, c.CVMs.WaitFor(ctx, id, "stopped"))
	must(c.CVMs.Start(ctx, id))
	must(c.CVMs.Stop(ctx, id))
	assert.Equal(t, 1, must(c.CVMs.StopBatch(ctx, openapi.StopBatchRequest{CVMIDs: []string{"agent", id}})).Stopped)
	at := openapi.Time{Time: time.Now().Add(time.Hour)}
	must(c.CVMs.ScheduleDelete(ctx, id, &openapi.ScheduleDeleteRequest{ScheduledDeleteAt: &at}))
	require.NoError(t, c.CVMs.Delete(ctx, "model"))
	require.NoError(t, c.Account.RevokeToken(ctx))
	_, err = c.Account.Get(ctx)
	require.ErrorIs(t, err, client.ErrUnauthorized)

	refused := map[operationName]bool{opAppsCheckAllowed: true, opCVMsCheckAllowed: true, opAttestationsGetCollateral: true}
	for _, r := range routes() {
		if !refused[r.operation] {
			assert.True(t, answers.seen[r.operation], "%s was not answered", r.operation)
		}
	}
	for _, r := range s.Requests() {
		assert.NotEqual(t, http.StatusNotImplemented, r.Status, r.Operation)
	}
}

func everyWebhookOperation(t *testing.T, c *client.Client) {
	ctx := t.Context()
	hook := must(c.Webhooks.Create(ctx, openapi.CreateWebhookRequest{URL: "https://app.example.com/x", Events: []string{"cvm.stopped"}}))
	id := string(hook.ID)
	assert.Len(t, must(c.Webhooks.List(ctx)), 1)
	assert.NotEqual(t, hook.Secret, must(c.Webhooks.Get(ctx, id)).Secret, "it is masked")
	assert.Equal(t, hook.Secret, must(c.Webhooks.RevealSecret(ctx, id)).Secret)
	assert.NotEqual(t, hook.Secret, must(c.Webhooks.RotateSecret(ctx, id)).Secret)
	assert.Equal(t, "renamed", must(c.Webhooks.Update(ctx, id, openapi.UpdateWebhookRequest{Name: openapi.Ptr("renamed")})).Name)
	must(c.Webhooks.Test(ctx, id))
	synctest.Wait()
	rows := must(c.Webhooks.ListDeliveries(ctx, id, nil))
	require.Len(t, rows, 1)
	assert.Equal(t, "success", rows[0].Status)
	must(c.Webhooks.Resend(ctx, id, rows[0].EventID))
	synctest.Wait()
	assert.Equal(t, 2, must(c.Webhooks.GetStats(ctx, id)).Total)
	require.NoError(t, c.Webhooks.Delete(ctx, id))
}

func TestQuoteRegistry_Refuses(t *testing.T) {
	t.Parallel()
	s := New(t)
	post := func(media, body string) int {
		req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, "https://phala.test/api/v1/attestations/verify", strings.NewReader(body)))
		req.Header.Set("Content-Type", media)
		resp := must(s.Transport().RoundTrip(req))
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	const form = "multipart/form-data; boundary=b"
	part := func(name, data string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"q\"\r\n\r\n" + data + "\r\n--b--\r\n"
	}
	assert.Equal(t, 200, post(form, part("file", string(fakeQuote()))))
	assert.Equal(t, 200, post(form, part("hex", "0x"+hex.EncodeToString(fakeQuote()))))
	assert.Len(t, s.quotes, 1, "the same quote")
	assert.Equal(t, 400, post("application/json", `{"hex":"xyz"}`))
	assert.Equal(t, 400, post("application/json", `{"hex":""}`))
	assert.Equal(t, 400, post(form, part("file", "")))
	assert.Equal(t, 422, post("application/json", `{"hex":"0400"}`))
	assert.Equal(t, 422, post(form, part("file", string(fakeQuote()[:600]))))
}
