package sandboxes_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/service/sandboxes"

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

// serve returns the service on a fake cloud, with what it accepts of that.
func serve(t *testing.T, cloud *phalatest.Server, dir string) *sandboxes.Service {
	t.Helper()
	c, err := cloud.Client()
	require.NoError(t, err)
	s, err := sandboxes.New(c, dir, slog.New(slog.DiscardHandler),
		deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy()))
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// settled waits until a sandbox is no longer deploying, and returns the answer.
func settled(t *testing.T, s http.Handler, path string) string {
	t.Helper()
	var body string
	require.Eventually(t, func() bool {
		body = call(s, "GET", path, nil).Body.String()
		return !strings.Contains(body, "deploying")
	}, time.Minute, 5*time.Millisecond)
	return body
}

var token = url.Values{"token": {"hunter2"}}

func TestService_SandboxRunsAndKeepsItsSecret(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	s := serve(t, cloud, t.TempDir())
	w := call(s, "POST", "/sandboxes/alice-1", token)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	assert.Equal(t, "/sandboxes/alice-1", w.Header().Get("Location"))
	assert.Contains(t, settled(t, s, "/sandboxes/alice-1"), `"state":"running"`)

	env, err := cloud.Env("alice-1") // what the guest has decrypted
	require.NoError(t, err)
	require.Len(t, env, 1)
	assert.Equal(t, "hunter2", env[0].Value)
	for _, r := range cloud.Requests() {
		assert.NotContains(t, string(r.Body), "hunter2", r.Operation)
	}

	assert.Equal(t, http.StatusConflict, call(s, "POST", "/sandboxes/alice-1", token).Code)
	for range 2 {
		assert.Equal(t, http.StatusNoContent, call(s, "DELETE", "/sandboxes/alice-1", nil).Code)
	}
	assert.Equal(t, http.StatusNotFound, call(s, "GET", "/sandboxes/alice-1", nil).Code)
}

func TestService_CloudThatAnswersSomethingElseGetsNoSecret(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	cloud.TamperResponse("CVMs.Provision", func(status int, body []byte) (int, []byte) {
		another := []byte(`"compose_hash":"` + strings.Repeat("0", 64) + `"`)
		return status, regexp.MustCompile(`"compose_hash":"[0-9a-f]{64}"`).ReplaceAll(body, another)
	})
	s := serve(t, cloud, t.TempDir())
	require.Equal(t, http.StatusAccepted, call(s, "POST", "/sandboxes/alice-1", token).Code)
	assert.JSONEq(t, `{"state":"failed","error":"the cloud could not prove what it runs"}`, settled(t, s, "/sandboxes/alice-1"))
	for _, r := range cloud.Requests() {
		assert.NotEqual(t, "CVMs.Create", r.Operation)
	}
}

func TestService_CloudThatRunsSomethingElseIsFoundOut(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	cloud.BootInstead("alice-1", func(s *quotetest.Spec) { s.AppCompose += " " })
	s := serve(t, cloud, t.TempDir())
	require.Equal(t, http.StatusAccepted, call(s, "POST", "/sandboxes/alice-1", token).Code)
	assert.JSONEq(t, `{"state":"failed","error":"the cloud could not prove what it runs"}`, settled(t, s, "/sandboxes/alice-1"))
	assert.Equal(t, http.StatusNoContent, call(s, "DELETE", "/sandboxes/alice-1", nil).Code, "the CVM that runs something else is deleted")
}

// A process that ends in the middle of a deployment leaves its state, and the next one goes on without the token.
func TestService_GoesOnInTheNextProcess(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t, phalatest.WithManualTicks()) // nothing boots yet
	dir := t.TempDir()
	s := serve(t, cloud, dir)
	require.Equal(t, http.StatusAccepted, call(s, "POST", "/sandboxes/alice-1", token).Code)
	require.Eventually(t, func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "alice-1.state.json"))
		return err == nil && strings.Contains(string(text), `"phase": "created"`)
	}, time.Minute, 5*time.Millisecond)
	s.Close()

	s = serve(t, cloud, dir)
	assert.Contains(t, call(s, "GET", "/sandboxes/alice-1", nil).Body.String(), "deploying")
	for range 10 {
		cloud.Tick()
	}
	assert.Contains(t, settled(t, s, "/sandboxes/alice-1"), `"state":"running"`)
	creates := 0
	for _, r := range cloud.Requests() {
		if r.Operation == "CVMs.Create" {
			creates++
		}
	}
	assert.Equal(t, 1, creates)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(dir, file.Name()))
		require.NoError(t, err)
		assert.NotContains(t, string(text), "hunter2", file.Name())
	}
}

func TestService_RefusesBadInput(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	s := serve(t, cloud, t.TempDir())
	for _, name := range []string{"x", "alice_1", "..%2f..%2fetc", "-alice", "alice--1"} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			assert.Equal(t, http.StatusBadRequest, call(s, method, "/sandboxes/"+name, token).Code, "%s %s", method, name)
		}
	}
	for _, bad := range []url.Values{nil, {"token": {""}}, {"token": {"two\nlines"}}} {
		assert.Equal(t, http.StatusBadRequest, call(s, "POST", "/sandboxes/alice-1", bad).Code)
	}
	assert.Empty(t, cloud.Requests())
}
