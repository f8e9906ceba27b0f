package client

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestResponse_Invalid(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer *http.Response
		want   string
	}{
		"null":   {reply(200, "null"), "the response is null"},
		"empty":  {reply(200, " "), "the response is empty"},
		"html":   {reply(200, "<html>", "Content-Type", "text/html"), "text/html"},
		"stream": {reply(200, "data: {}\n\n", "Content-Type", "text/event-stream; charset=utf-8"), "CVMs.Watch"},
		"list":   {reply(200, "[]"), "cannot be decoded"},
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return tt.answer, nil })
		_, err := c.CVMs.Get(t.Context(), "web-1", WithoutRetry())
		require.ErrorContains(t, err, tt.want, name)
		require.ErrorContains(t, err, "CVMs.Get", name)
	}
}

func TestTextAnswers(t *testing.T) {
	t.Parallel()
	for body, media := range map[string]string{"services: {}\n": "text/yaml", `"services: {}\n"`: "application/json"} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, body, "Content-Type", media), nil })
		got, err := c.CVMs.GetDockerCompose(t.Context(), "web-1")
		require.NoError(t, err)
		assert.Equal(t, "services: {}\n", got)
	}
}

func TestOptionalBodies(t *testing.T) {
	t.Parallel()
	var body, media string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		body, media = "", r.Header.Get("Content-Type")
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			body = string(b)
		}
		return reply(200, vmJSON), nil
	})
	_, err := c.CVMs.Restart(t.Context(), "web-1", nil)
	require.NoError(t, err)
	assert.Empty(t, body+media)
	_, err = c.CVMs.Restart(t.Context(), "web-1", &openapi.RestartRequest{Force: openapi.Ptr(false)})
	require.NoError(t, err)
	assert.Equal(t, `{"force":false}`, body)
	_, err = c.CVMs.Replicate(t.Context(), "web-1", nil, nil)
	require.NoError(t, err)
	assert.Empty(t, body+media)
	_, err = c.CVMs.Replicate(t.Context(), "web-1", &openapi.ReplicateRequest{NodeID: openapi.Ptr(7)}, &openapi.CVMsReplicateParams{PrepareOnly: openapi.Ptr(true)})
	require.NoError(t, err)
	assert.Equal(t, `{"node_id":7}`, body)
	assert.Equal(t, "application/json", media)
}

func TestAccepted_WithoutAWord(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", " ", "null", "{}"} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(202, body), nil })
		got, err := c.CVMs.UpdateResources(t.Context(), "web-1", openapi.UpdateResourcesRequest{VCPU: openapi.Ptr(2)})
		require.NoError(t, err, body)
		assert.Equal(t, &openapi.UpdateAccepted{}, got)
	}
	c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(202, "[1"), nil })
	_, err := c.CVMs.UpdateResources(t.Context(), "web-1", openapi.UpdateResourcesRequest{})
	require.ErrorContains(t, err, "CVMs.UpdateResources: the response (application/json, 2 bytes) cannot be decoded")
}

// The operations that only tools use: what they send, and under which version of the API.
func TestOperationsOfTools(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var sent, answer string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		got, sent = r, ""
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			sent = string(b)
		}
		return reply(200, answer), nil
	})
	ctx := t.Context()
	for _, tt := range []struct {
		answer, want, version, body string
		call                        func() error
	}{
		{`{"user":{},"workspace":{},"credits":{"balance":"1"}}`, "GET /api/v1/auth/me", "2026-01-21", "",
			func() error { _, err := c.Account.Get(ctx); return err }},
		{`{"nodes":[]}`, "GET /api/v1/teepods/available", DefaultAPIVersion, "",
			func() error { _, err := c.Nodes.ListAvailable(ctx); return err }},
		{`{"nodes":[]}`, "GET /api/v1/teepods/cvm-create-resources", DefaultAPIVersion, "",
			func() error { _, err := c.Nodes.ListCreateResources(ctx); return err }},
		{`{"data":[],"pagination":{"has_more":false}}`, "GET /api/v1/workspaces?cursor=c&limit=5", DefaultAPIVersion, "",
			func() error {
				_, err := c.Workspaces.List(ctx, &openapi.WorkspacesListParams{Cursor: openapi.Ptr("c"), Limit: openapi.Ptr(5)})
				return err
			}},
		{`{}`, "GET /api/v1/workspaces/ada", DefaultAPIVersion, "",
			func() error { _, err := c.Workspaces.Get(ctx, "ada"); return err }},
		{`{}`, "GET /api/v1/workspaces/ada/nodes", DefaultAPIVersion, "",
			func() error { _, err := c.Workspaces.ListNodes(ctx, "ada", nil); return err }},
		{`{}`, "GET /api/v1/workspaces/ada/quotas", DefaultAPIVersion, "",
			func() error { _, err := c.Workspaces.GetQuotas(ctx, "ada"); return err }},
		{`{"is_online":true}`, "GET /api/v1/cvms/web-1/composition", DefaultAPIVersion, "",
			func() error { _, err := c.CVMs.GetComposition(ctx, "web-1"); return err }},
		{`{}`, "PATCH /api/v1/cvms/web-1/resources", DefaultAPIVersion, `{"disk_size":40,"allow_restart":0}`,
			func() error {
				_, err := c.CVMs.UpdateResources(ctx, "web-1", openapi.UpdateResourcesRequest{DiskSize: openapi.Ptr(40), AllowRestart: openapi.Ptr(0)})
				return err
			}},
		{vmJSON, "PATCH /api/v1/cvms/web-1/visibility", DefaultAPIVersion, `{"public_sysinfo":false,"public_logs":true}`,
			func() error {
				_, err := c.CVMs.UpdateVisibility(ctx, "web-1", openapi.UpdateVisibilityRequest{PublicLogs: true})
				return err
			}},
		{`{}`, "POST /api/v1/cvms/web-1/is-allowed", DefaultAPIVersion, "",
			func() error { _, err := c.CVMs.CheckAllowed(ctx, "web-1", nil); return err }},
		{`{"keys":[]}`, "GET /api/v1/cvms/web-1/ssh-keys", DefaultAPIVersion, "",
			func() error { _, err := c.CVMs.ListSSHKeys(ctx, "web-1"); return err }},
		{`{"keys":[]}`, "PUT /api/v1/cvms/web-1/ssh-keys", DefaultAPIVersion, `{"ssh_key_ids":[]}`,
			func() error {
				_, err := c.CVMs.SetSSHKeys(ctx, "web-1", openapi.SetCVMSSHKeysRequest{SSHKeyIDs: []string{}})
				return err
			}},
		{`{}`, "GET /api/v1/cvms/web-1/pre-launch-script/upgrade-status", DefaultAPIVersion, "",
			func() error { _, err := c.CVMs.GetPreLaunchUpgrade(ctx, "web-1"); return err }},
		{`{}`, "POST /api/v1/cvms/web-1/pre-launch-script/upgrade-to-latest-official", DefaultAPIVersion, "",
			func() error { _, err := c.CVMs.UpgradePreLaunch(ctx, "web-1", nil); return err }},
		{`{"items":[],"total":0}`, "GET /api/v1/kms/phala/nodes", "2026-06-23", "",
			func() error { _, err := c.KMS.ListContractNodes(ctx, "phala"); return err }},
		{`{}`, "GET /api/v1/os-images?is_dev=false", DefaultAPIVersion, "",
			func() error {
				_, err := c.OSImages.List(ctx, &openapi.OSImagesListParams{IsDev: openapi.Ptr(false)})
				return err
			}},
	} {
		answer = tt.answer
		require.NoError(t, tt.call(), tt.want)
		assert.Equal(t, tt.want, got.Method+" "+got.URL.RequestURI())
		assert.Equal(t, tt.version, got.Header.Get("X-Phala-Version"), tt.want)
		assert.Equal(t, tt.body, sent, tt.want)
		assert.Equal(t, testKey, got.Header.Get("X-API-Key"), tt.want)
	}
}
