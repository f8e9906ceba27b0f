package phalatest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a test that only notes what fails it.
type recorder struct {
	*testing.T
	failures []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func start(t testing.TB, opts ...phalatest.Option) (*phalatest.Server, *client.Client) {
	t.Helper()
	s := phalatest.New(t, opts...)
	c, err := s.Client(client.WithoutRetry())
	require.NoError(t, err)
	return s, c
}

func request(name string) openapi.ProvisionRequest {
	return openapi.ProvisionRequest{Name: name, ComposeFile: openapi.AppCompose{
		DockerComposeFile: openapi.Ptr("services:\n  a: {image: nginx}\n"), PreLaunchScript: openapi.Ptr("#!/bin/sh\n"),
		AllowedEnvs: []string{"TOKEN"},
	}}
}

func create(t testing.TB, c *client.Client, name string) (*openapi.Provision, *openapi.VM) {
	t.Helper()
	p, err := c.CVMs.Provision(t.Context(), request(name))
	require.NoError(t, err)
	vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
	require.NoError(t, err)
	return p, vm
}

func TestStrictness(t *testing.T) {
	t.Parallel()
	for want, tt := range map[string]struct {
		method, path, body string
		header             map[string]string
		status             int
	}{
		"GET /api/v1/nothing is no operation":  {"GET", "/nothing", "", nil, 404},
		"POST /api/v1/cvms/web-1 is no op":     {"POST", "/cvms/web-1", "", nil, 404},
		"CVMs.Get: no X-API-Key":               {"GET", "/cvms/web-1", "", map[string]string{"X-API-Key": ""}, 401},
		"CVMs.Get: no X-Phala-Version":         {"GET", "/cvms/web-1", "", map[string]string{"X-Phala-Version": ""}, 404},
		`X-Phala-Version "v1" is no date`:      {"GET", "/cvms/web-1", "", map[string]string{"X-Phala-Version": "v1"}, 400},
		`body: unknown field "kms_type"`:       {"PATCH", "/cvms/web-1", `{"kms_type":"PHALA"}`, nil, 404},
		"body.vcpu: got string, want integer":  {"PATCH", "/cvms/web-1", `{"vcpu":"2"}`, nil, 422},
		"body.gpus.gpus.0: missing property":   {"PATCH", "/cvms/web-1", `{"gpus":{"gpus":[{}]}}`, nil, 422},
		"body: Field required":                 {"POST", "/cvms", ``, nil, 422},
		"body: JSON decode error":              {"POST", "/cvms", `{`, nil, 422},
		"the operation takes no body":          {"POST", "/cvms/web-1/start", `{}`, nil, 404},
		`content type "text/plain" is none of`: {"POST", "/cvms", `{}`, map[string]string{"Content-Type": "text/plain"}, 422},
		`unknown query parameter "pages"`:      {"GET", "/cvms?pages=2", "", nil, 200},
		"body.cvm_ids: maxItems: got 51":       {"POST", "/cvms/batch-stop", `{"cvm_ids":[` + strings.Repeat(`"a",`, 50) + `"a"]}`, nil, 422},
		"query.page: got string, want integer": {"GET", "/cvms/paginated?page=two", "", nil, 422},
		"query.page_size: maximum":             {"GET", "/cvms/paginated?page_size=101", "", nil, 422},
		"query.interval: minimum":              {"GET", "/cvms/web-1/state?interval=4", "", nil, 422},
		"query.start_time: is no date-time":    {"GET", "/cvms/web-1/operations?start_time=now", "", nil, 422},
		"query.token: Field required":          {"GET", "/cvms/web-1/commit-update", "", nil, 422},
	} {
		for _, lenient := range []bool{false, true} {
			r := &recorder{T: t}
			var opts []phalatest.Option
			if lenient {
				opts = append(opts, phalatest.Lenient())
			}
			s := phalatest.New(r, opts...)
			req, err := http.NewRequestWithContext(t.Context(), tt.method, "https://phala.test/api/v1"+tt.path, strings.NewReader(tt.body))
			require.NoError(t, err)
			req.Header.Set("X-API-Key", s.APIKey)
			req.Header.Set("X-Phala-Version", "2026-01-21")
			if tt.body != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			for k, v := range tt.header {
				req.Header.Set(k, v)
			}
			resp, err := s.Transport().RoundTrip(req)
			require.NoError(t, err)
			assert.Equal(t, tt.status, resp.StatusCode, want)
			require.NoError(t, resp.Body.Close())
			if lenient {
				assert.Empty(t, r.failures, want)
			} else if assert.NotEmpty(t, r.failures, want) {
				assert.Contains(t, r.failures[0], want)
			}
		}
	}
}

func TestServer_WrongKeyIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := start(t)
	c, err := s.Client(client.WithAPIKey("phak_other"))
	require.NoError(t, err)
	_, err = c.CVMs.ListAll(t.Context(), nil)
	require.ErrorIs(t, err, client.ErrUnauthorized)
}

func TestHash_OfTheCompletedDocument(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	p, err := c.CVMs.Provision(t.Context(), request("web-1"))
	require.NoError(t, err)
	app, err := compose.New("services:\n  a: {image: nginx}\n", compose.WithPreLaunchScript("#!/bin/sh\n"), compose.WithAllowedEnvs("TOKEN"))
	require.NoError(t, err)
	hash, err := app.Hash()
	require.NoError(t, err)
	assert.Equal(t, hash.String(), p.ComposeHash)

	r := request("web-2")
	r.ComposeFile.PreLaunchScript = nil
	other, err := c.CVMs.Provision(t.Context(), r)
	require.NoError(t, err)
	assert.NotEqual(t, p.ComposeHash, other.ComposeHash, "the cloud adds a script")
	assert.NotEqual(t, p.AppID, other.AppID)
}

func TestProvisionRefuses(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	create(t, c, "taken")
	for want, change := range map[string]func(*openapi.ProvisionRequest){
		"422":        func(r *openapi.ProvisionRequest) { r.Name = "a" },
		"ERR-01-004": func(r *openapi.ProvisionRequest) { r.Name = "taken" },
		"ERR-01-002": func(r *openapi.ProvisionRequest) { r.ComposeFile.DockerComposeFile = nil },
		"ERR-01-003": func(r *openapi.ProvisionRequest) { r.ComposeFile.AllowedEnvs = []string{"A-B"} },
		"ERR-02-011": func(r *openapi.ProvisionRequest) { r.KMS = openapi.Ptr(openapi.KMSTypeBase) },
		"ERR-02-008": func(r *openapi.ProvisionRequest) { r.Nonce = openapi.Ptr(int64(3)) },
		"does not follow": func(r *openapi.ProvisionRequest) {
			r.Nonce, r.AppID = openapi.Ptr(int64(3)), openapi.Ptr(strings.Repeat("a", 40))
		},
		"has been used": func(r *openapi.ProvisionRequest) {
			r.Nonce, r.AppID = openapi.Ptr(int64(0)), openapi.Ptr(kms.DeriveAppID(s.TeamWallet(), 0).String())
			r.ComposeFile.DockerComposeFile = openapi.Ptr("services: {b: {}}")
		},
	} {
		r := request("web-1")
		change(&r)
		_, err := c.CVMs.Provision(t.Context(), r)
		require.ErrorContains(t, err, want)
	}
}

func TestCreate_IsIdempotent(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	p, vm := create(t, c, "web-1")
	again, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: "0x" + p.AppID, ComposeHash: p.ComposeHash})
	require.NoError(t, err)
	assert.Equal(t, vm.VMUUID, again.VMUUID)

	_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: strings.Repeat("a", 64)})
	require.ErrorIs(t, err, client.ErrHashInvalidOrExpired)
}

func TestAnotherCompose_OnALiveAppID(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	first, second := request("web-1"), request("web-2")
	second.ComposeFile.DockerComposeFile = openapi.Ptr("services: {b: {}}")
	id := kms.DeriveAppID(s.TeamWallet(), 0).String()
	first.Nonce, first.AppID = openapi.Ptr(int64(0)), &id
	p, err := c.CVMs.Provision(t.Context(), first)
	require.NoError(t, err)
	_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
	require.NoError(t, err)
	again, err := c.CVMs.Provision(t.Context(), func() openapi.ProvisionRequest { r := first; r.Name = "web-3"; return r }())
	require.NoError(t, err, "the same pair may be provisioned again")
	assert.Equal(t, p.ComposeHash, again.ComposeHash)
	_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: again.ComposeHash})
	require.NoError(t, err)
}

func TestProvision_Expires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := start(t)
		p, err := c.CVMs.Provision(t.Context(), request("web-1"))
		require.NoError(t, err)
		time.Sleep(14*24*time.Hour + time.Second)
		_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash})
		require.ErrorIs(t, err, client.ErrHashInvalidOrExpired)
	})
}

func TestIdentifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := start(t)
		p, vm := create(t, c, "web-1")
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
		cvm, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err)
		require.Len(t, cvm.InstanceID, 40)
		for _, id := range []string{
			"web-1", string(cvm.ID), string(vm.ID), vm.VMUUID, strings.ToUpper(vm.VMUUID), strings.ReplaceAll(vm.VMUUID, "-", ""),
			p.AppID, "app_" + p.AppID, "instance_" + cvm.InstanceID,
		} {
			got, err := c.CVMs.Get(t.Context(), id)
			require.NoError(t, err, id)
			assert.Equal(t, cvm.ID, got.ID)
		}
		_, err = c.CVMs.Get(t.Context(), "web-2")
		var api *client.APIError
		require.ErrorAs(t, err, &api)
		assert.Equal(t, client.CodeCVMNotFound, api.Code)
		assert.NotEmpty(t, api.RequestID)
	})
}

func TestIDs_FollowTheVersion(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	p, vm := create(t, c, "web-1")
	assert.Equal(t, openapi.ID("1"), vm.ID)
	vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash}, client.WithAPIVersion("2026-05-22"))
	require.NoError(t, err)
	assert.Equal(t, openapi.ID("cvm_000001"), vm.ID)
	nodes, err := c.KMS.List(t.Context(), nil)
	require.NoError(t, err)
	assert.Len(t, nodes.Items, 1)
	contracts, err := c.KMS.List(t.Context(), nil, client.WithAPIVersion("2026-06-23"))
	require.NoError(t, err)
	require.Len(t, contracts.Items, 1)
	assert.Equal(t, openapi.ID("kc_phala"), contracts.Items[0].ID)
}

func TestServer_ManualTicks(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.WithManualTicks())
	create(t, c, "web-1")
	status := func() string {
		cvm, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err)
		return fmt.Sprintf("%s %t", cvm.Status, *cvm.InProgress)
	}
	walk := func(want ...string) {
		t.Helper()
		for _, w := range want {
			assert.Equal(t, w, status())
			s.Tick()
		}
	}
	walk("created true", "starting true", "starting true", "running false", "running false")
	_, err := c.CVMs.Restart(t.Context(), "web-1", nil)
	require.NoError(t, err)
	_, err = c.CVMs.Shutdown(t.Context(), "web-1")
	require.ErrorIs(t, err, client.ErrBusy)
	walk("restarting true", "starting true", "starting true", "running false")
	_, err = c.CVMs.Stop(t.Context(), "web-1")
	require.NoError(t, err)
	walk("stopping true", "stopping true", "stopped false")
	_, err = c.CVMs.Start(t.Context(), "web-1")
	require.NoError(t, err)
	walk("starting true", "starting true", "starting true", "running false")
	_, err = c.CVMs.Start(t.Context(), "web-1")
	require.ErrorIs(t, err, client.ErrBadRequest)
	require.NoError(t, c.CVMs.Delete(t.Context(), "web-1"))
	walk("deleting true", "deleting true")
	_, err = c.CVMs.Get(t.Context(), "web-1")
	require.ErrorIs(t, err, client.ErrNotFound)
	_, err = c.CVMs.Provision(t.Context(), request("web-1"))
	require.NoError(t, err, "the name is free again")
}

func TestSecrets_AreDecryptedAndFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := start(t)
		p, err := c.CVMs.Provision(t.Context(), request("web-1"))
		require.NoError(t, err)
		key, err := kms.ParsePublicKey(p.AppEnvEncryptPublicKey)
		require.NoError(t, err)
		blob, err := kms.EncryptEnv([]kms.EnvVar{{Key: "TOKEN", Value: "hunter2"}, {Key: "OTHER", Value: "x"}}, key)
		require.NoError(t, err)
		_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash, EncryptedEnv: openapi.Ptr(openapi.Secret(blob))})
		require.NoError(t, err)
		env, err := s.Env("web-1")
		require.NoError(t, err)
		require.Len(t, env, 1, "the guest drops what is not allowed")
		assert.Equal(t, kms.EnvVar{Key: "TOKEN", Value: "hunter2"}, env[0])
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))

		_, err = c.CVMs.UpdateEnvs(t.Context(), "web-1", openapi.UpdateEnvsRequest{EncryptedEnv: openapi.Secret(flipLastDigit(blob))})
		require.NoError(t, err)
		_, err = s.Env("web-1")
		require.ErrorContains(t, err, "not encrypted for this key")
		var wait *client.WaitError
		require.ErrorAs(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"), &wait)
		assert.Contains(t, wait.State.BootError, "not encrypted for this key")
		_, err = s.Env("nobody")
		require.Error(t, err)
	})
}

func TestKMS_SignaturesVerify(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	next, err := c.KMS.GetNextAppIDs(t.Context(), &openapi.KMSGetNextAppIDsParams{Counts: openapi.Ptr(3)})
	require.NoError(t, err)
	require.Len(t, next.AppIDs, 3)
	for _, pair := range next.AppIDs {
		app, err := kms.ParseAppID(pair.AppID)
		require.NoError(t, err)
		assert.Equal(t, kms.DeriveAppID(s.TeamWallet(), uint64(pair.Nonce)), app)
		answer, err := c.KMS.GetAppEnvPublicKey(t.Context(), "phala-test1", app.String())
		require.NoError(t, err)
		key, err := kms.ParsePublicKey(answer.PublicKey)
		require.NoError(t, err)
		sig, err := kms.ParseSignature(answer.Signature)
		require.NoError(t, err)
		signer, err := kms.RecoverSigner(app, key, sig)
		require.NoError(t, err)
		require.NoError(t, kms.CheckSigner(signer, s.KMSRoot()))
	}
	info, err := c.KMS.Inspect(t.Context(), "kms_test1")
	require.NoError(t, err)
	assert.Equal(t, s.KMSRoot().String(), info.RPC.BootstrapInfo.K256PublicKey)
	_, err = c.KMS.Get(t.Context(), "base")
	require.ErrorIs(t, err, client.ErrNotFound)
	_, err = c.KMS.GetAppEnvPublicKey(t.Context(), "phala-test1", "0x12")
	require.ErrorIs(t, err, client.ErrBadRequest)
}

func TestListsAndTexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := start(t)
		for i := range 5 {
			create(t, c, fmt.Sprintf("web-%d", i))
		}
		page, err := c.CVMs.List(t.Context(), &openapi.CVMsListParams{Page: openapi.Ptr(2), PageSize: openapi.Ptr(2)})
		require.NoError(t, err)
		assert.Equal(t, []int{5, 3, 2, 2}, []int{page.Total, page.Pages, page.Page, len(page.Items)})
		assert.Equal(t, "web-2", page.Items[0].Name)
		last, err := c.CVMs.List(t.Context(), &openapi.CVMsListParams{Page: openapi.Ptr(9)})
		require.NoError(t, err)
		assert.Empty(t, last.Items)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-4", "running"))
		apps, err := c.Apps.List(t.Context(), &openapi.AppsListParams{Search: openapi.Ptr("web-3"), Status: []string{"running"}})
		require.NoError(t, err)
		require.Len(t, apps.DstackApps, 1)
		app, err := c.Apps.Get(t.Context(), "0x"+apps.DstackApps[0].AppID)
		require.NoError(t, err)
		assert.Equal(t, "web-3", app.Name)
		cvms, err := c.Apps.ListCVMs(t.Context(), app.AppID)
		require.NoError(t, err)
		require.Len(t, cvms, 1)
		states, err := c.CVMs.GetStatuses(t.Context(), openapi.GetStatusesRequest{VMUUIDs: []string{cvms[0].VMUUID, "nobody"}})
		require.NoError(t, err)
		require.Len(t, states, 1)
		assert.EqualValues(t, "running", states[cvms[0].VMUUID].Status)
		doc, err := c.CVMs.GetComposeFile(t.Context(), "web-3", nil)
		require.NoError(t, err)
		assert.Equal(t, cvms[0].ComposeHash, compose.Sum(doc).String())
		yaml, err := c.CVMs.GetDockerCompose(t.Context(), "web-3")
		require.NoError(t, err)
		assert.Equal(t, "services:\n  a: {image: nginx}\n", yaml)
		script, err := c.CVMs.GetPreLaunchScript(t.Context(), "web-3")
		require.NoError(t, err)
		assert.Equal(t, "#!/bin/sh\n", script)
		network, err := c.CVMs.GetNetwork(t.Context(), "web-3")
		require.NoError(t, err)
		assert.Len(t, network.PublicURLs, 1)
	})
}

func TestStreams_AreLimited(t *testing.T) {
	t.Parallel()
	s, c := start(t, phalatest.WithManualTicks())
	create(t, c, "web-1")
	var bodies []io.Closer
	open := func(query string) *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "https://phala.test/api/v1/cvms/web-1/state"+query, nil)
		require.NoError(t, err)
		req.Header.Set("X-API-Key", s.APIKey)
		req.Header.Set("X-Phala-Version", "2026-01-21")
		resp, err := s.Transport().RoundTrip(req)
		require.NoError(t, err)
		bodies = append(bodies, resp.Body)
		return resp
	}
	for range 5 {
		assert.Equal(t, 200, open("?target=running").StatusCode)
	}
	assert.Equal(t, 429, open("?target=running").StatusCode)
	assert.Equal(t, 200, open("").StatusCode, "no stream")
	for _, b := range bodies {
		require.NoError(t, b.Close())
	}
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := start(t)
		create(t, c, "web-1")
		get := func() error { _, err := c.CVMs.Get(t.Context(), "web-1"); return err }

		s.Fault("CVMs.Get", phalatest.Fault{Status: 503, Body: `{"detail":"maintenance"}`, Header: http.Header{"Retry-After": {"7"}}})
		err := get()
		var api *client.APIError
		require.ErrorAs(t, err, &api)
		assert.Equal(t, 7*time.Second, api.RetryAfter)
		require.NoError(t, get(), "once")

		s.Fault("CVMs.Get", phalatest.Fault{Status: 502, Body: "<html>", Times: 2})
		s.Fault("CVMs.Get", phalatest.Fault{LoseRequest: true})
		require.ErrorIs(t, get(), client.ErrServer)
		require.ErrorIs(t, get(), client.ErrServer)
		require.ErrorContains(t, get(), "connection reset")
		s.Fault("CVMs.Get", phalatest.Fault{CutAfter: 10})
		require.ErrorContains(t, get(), "connection reset")
		s.Fault("CVMs.Get", phalatest.Fault{Delay: time.Hour})
		require.ErrorIs(t, get(), context.DeadlineExceeded)
		require.NoError(t, get())

		s.Fault("CVMs.Delete", phalatest.Fault{LoseResponse: true})
		require.Error(t, c.CVMs.Delete(t.Context(), "web-1"))
		time.Sleep(time.Second)
		require.ErrorIs(t, get(), client.ErrNotFound, "the work was done")
	})
}

func TestUnknownOperations_InFaultsFailTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{T: t}
	s := phalatest.New(r)
	s.Fault("CVMs.Nope", phalatest.Fault{})
	s.TamperResponse("CVMs.Nope", nil)
	assert.Len(t, r.failures, 2)
}

func TestRequests_AreRecordedWithoutSecrets(t *testing.T) {
	t.Parallel()
	s, c := start(t)
	p, err := c.CVMs.Provision(t.Context(), request("web-1"))
	require.NoError(t, err)
	_, err = c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash, EncryptedEnv: openapi.Ptr(openapi.Secret("c1ph3r"))})
	require.NoError(t, err)
	_, err = c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: "t0ken"})
	require.Error(t, err)
	all := s.Requests()
	require.Len(t, all, 3)
	assert.Equal(t, "CVMs.Create", all[1].Operation)
	assert.Equal(t, 200, all[1].Status)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	for _, secret := range []string{s.APIKey, "c1ph3r", "t0ken"} {
		assert.NotContains(t, string(text), secret)
	}
}

func TestServer_OverTheLoopback(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c, err := client.New(client.WithAPIKey(s.APIKey), client.WithBaseURL(s.URL()), client.WithHTTPClient(&http.Client{Transport: transport}), client.WithoutRetry())
	require.NoError(t, err)
	create(t, c, "web-1")
	require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
	s.Fault("CVMs.Stop", phalatest.Fault{LoseResponse: true})
	_, err = c.CVMs.Stop(t.Context(), "web-1")
	require.Error(t, err)
	s.Fault("CVMs.Get", phalatest.Fault{CutAfter: 20})
	_, err = c.CVMs.Get(t.Context(), "web-1")
	require.Error(t, err)
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, opt := range []phalatest.Option{phalatest.WithTick(0), phalatest.WithAPIKey("")} {
		_, err := phalatest.Start(opt)
		require.ErrorContains(t, err, "phalatest: ")
	}
	a, _ := start(t)
	b, _ := start(t, phalatest.WithSeed("other"))
	assert.NotEqual(t, a.KMSRoot(), b.KMSRoot())
	assert.NotEqual(t, a.TeamWallet(), b.TeamWallet())
}

func TestServer_IsAHandler(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	cloud, err := phalatest.Start(phalatest.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	require.NoError(t, err)
	defer cloud.Close()
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/api/v1/cvms/provision?token=hidden", strings.NewReader(`{"nmae":"web-1"}`))
	request.Header.Set("X-API-Key", cloud.APIKey)
	cloud.ServeHTTP(answer, request)
	assert.Equal(t, http.StatusUnprocessableEntity, answer.Code)
	assert.Contains(t, log.String(), `msg="POST /api/v1/cvms/provision" query="token=%5Bredacted%5D" operation=CVMs.Provision status=422`)
	assert.Contains(t, log.String(), "level=WARN", "what a test would fail of")
	assert.NotContains(t, log.String(), cloud.APIKey)
}

// flipLastDigit changes the last bit of hexadecimal text.
func flipLastDigit(text string) string {
	last := text[len(text)-1:]
	digits := "0123456789abcdef"
	return text[:len(text)-1] + string(digits[strings.Index(digits, last)^1])
}
