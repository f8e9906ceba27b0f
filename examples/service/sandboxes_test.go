package sandboxes_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/sandboxes"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// call sends a request to the service.
func call(s http.Handler, method, path string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// trust is what the service accepts of a fake cloud.
func trust(cloud *phalatest.Server) []deploy.Option {
	return []deploy.Option{
		deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy()),
	}
}

func TestASandboxRunsAndKeepsItsSecret(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	c, err := cloud.Client()
	require.NoError(t, err)
	s := sandboxes.New(c, trust(cloud)...)

	w := call(s, "POST", "/sandboxes/alice-1", url.Values{"token": {"hunter2"}})
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	assert.Contains(t, w.Body.String(), "https://")

	env, err := cloud.Env("alice-1") // what the guest has decrypted
	require.NoError(t, err)
	require.Len(t, env, 1)
	assert.Equal(t, "hunter2", env[0].Value)
	for _, r := range cloud.Requests() {
		assert.NotContains(t, string(r.Body), "hunter2", r.Operation)
	}

	w = call(s, "GET", "/sandboxes/alice-1", nil)
	assert.JSONEq(t, `{"status":"running"}`, w.Body.String())
}

func TestACloudThatLiesGetsNoSecret(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	cloud.TamperAnswer("CVMs.Provision", func(status int, body []byte) (int, []byte) {
		another := []byte(`"compose_hash":"` + strings.Repeat("0", 64) + `"`)
		return status, regexp.MustCompile(`"compose_hash":"[0-9a-f]{64}"`).ReplaceAll(body, another)
	})
	c, err := cloud.Client()
	require.NoError(t, err)
	w := call(sandboxes.New(c, trust(cloud)...), "POST", "/sandboxes/alice-1", url.Values{"token": {"hunter2"}})
	assert.Equal(t, http.StatusBadGateway, w.Code, w.Body)
	for _, r := range cloud.Requests() {
		assert.NotEqual(t, "CVMs.Create", r.Operation)
	}
}

func TestACloudThatRunsSomethingElseIsFoundOut(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	cloud.BootInstead("alice-1", func(s *quotetest.Spec) { s.AppCompose += " " })
	c, err := cloud.Client()
	require.NoError(t, err)
	w := call(sandboxes.New(c, trust(cloud)...), "POST", "/sandboxes/alice-1", url.Values{"token": {"hunter2"}})
	assert.Equal(t, http.StatusBadGateway, w.Code, w.Body)
	assert.JSONEq(t, `{"error":"the cloud could not prove what it runs"}`, w.Body.String())
}
