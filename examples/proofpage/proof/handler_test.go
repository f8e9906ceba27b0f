package proof

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// app is a source of results about an app that runs on a fake cloud.
func app(t *testing.T, tamper bool) (func(context.Context) (*verify.Result, error), attest.Policy) {
	t.Helper()
	cloud := phalatest.New(t)
	c, err := cloud.Client()
	require.NoError(t, err)
	doc, err := compose.New("services:\n  web:\n    image: nginx:1.29\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	if tamper {
		cloud.BootInstead("web-1", func(s *quotetest.Spec) { s.AppCompose += " " })
	}
	running, err := deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: doc},
		deploy.SkipVerification(), deploy.WithTeamWallet(cloud.TeamWallet()))
	require.NoError(t, err)
	policy := cloud.AttestationPolicy()
	policy.ComposeHashes = []compose.Hash{running.ComposeHash}
	return func(ctx context.Context) (*verify.Result, error) { return verify.App(ctx, c, running.ID, policy) }, policy
}

func get(t *testing.T, h http.Handler, path, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_PageShowsEveryCheck(t *testing.T) {
	t.Parallel()
	source, _ := app(t, false)
	result, err := source(t.Context())
	require.NoError(t, err)
	w := get(t, Handler(source, time.Minute), "/proof", "text/html,application/xhtml+xml,*/*;q=0.8")
	require.Equal(t, http.StatusOK, w.Code)
	page := w.Body.String()
	assert.Contains(t, page, "Verified by the hardware")
	assert.Contains(t, page, result.App.String())
	assert.Contains(t, page, "image: nginx:1.29")
	checks := result.Instances[0].Report.Checks
	assert.Equal(t, len(checks), strings.Count(page, `<li class="`))
	for _, check := range checks {
		assert.Contains(t, page, ">"+string(check.Name)+"<")
	}
	assert.Equal(t, len(steps), strings.Count(page, "<rect "), "a box for each step")
	assert.Equal(t, 1, strings.Count(page, `class="none"><rect`), "nobody asked for freshness")
	assert.Zero(t, strings.Count(page, `class="bad"><rect`))
}

// Nothing is loaded from elsewhere, and the browser is told so.
func TestHandler_PageNeedsNothingElse(t *testing.T) {
	t.Parallel()
	source, _ := app(t, false)
	w := get(t, Handler(source, time.Minute), "/proof", "")
	page := w.Body.String()
	assert.NotRegexp(t, `(?i)<script|<link|<img|<iframe|@import|url\(|https?://|//[a-z]| on[a-z]+=|\sstyle=`, page)
	_, rest, found := strings.Cut(page, "<style>")
	require.True(t, found)
	css, _, found := strings.Cut(rest, "</style>")
	require.True(t, found)
	sum := sha256.Sum256([]byte(css))
	policy := w.Header().Get("Content-Security-Policy")
	assert.Contains(t, policy, "default-src 'none'")
	assert.Contains(t, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	assert.Contains(t, policy, "frame-ancestors 'none'")
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
	for _, rule := range []string{"prefers-color-scheme: dark", "@media print", "max-width: 860px"} {
		assert.Contains(t, css, rule)
	}
}

func TestHandler_ShowsWhatFailed(t *testing.T) {
	t.Parallel()
	source, policy := app(t, true)
	h := Handler(source, time.Minute)
	w := get(t, h, "/proof", "")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	page := w.Body.String()
	assert.Contains(t, page, "Not verified")
	assert.Contains(t, page, policy.ComposeHashes[0].String())
	assert.Equal(t, 1, strings.Count(page, `class="bad"><rect`), "the step with the app")
	assert.Regexp(t, `<li class="bad"><span class="mark" aria-hidden="true">✗</span><span class="name">compose-hash<`, page)

	w = get(t, h, "/proof", "application/json")
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
	var answer struct {
		Verified bool
		Error    string
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	assert.False(t, answer.Verified)
	assert.Contains(t, answer.Error, "another compose hash")
}

func TestHandler_JSONAndBundleForMachines(t *testing.T) {
	t.Parallel()
	source, policy := app(t, false)
	h := Handler(source, time.Minute)
	for path, accept := range map[string]string{"/proof": "application/json", "/proof?format=json": "text/html"} {
		w := get(t, h, path, accept)
		require.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
		var answer struct {
			Verified  bool
			App       string
			Instances []struct{ Report attest.Report }
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		assert.True(t, answer.Verified)
		require.Len(t, answer.Instances, 1)
		assert.True(t, answer.Instances[0].Report.Verified)
	}

	w := get(t, h, "/proof?format=bundle", "")
	assert.Contains(t, w.Header().Get("Content-Disposition"), "evidence.json")
	bundles, err := attest.ParseBundles(w.Body.Bytes())
	require.NoError(t, err)
	require.NotEmpty(t, bundles)
	offline := bundles[0].Policy
	offline.Roots = policy.Roots
	report, err := bundles[0].Verify(t.Context(), offline)
	require.NoError(t, err)
	assert.True(t, report.Verified)
}

// What the cloud calls a CVM is not markup.
func TestHandler_EscapesWhatTheCloudNames(t *testing.T) {
	t.Parallel()
	result := &verify.Result{Instances: []verify.Instance{{
		Name: `<script>alert(1)</script>`, Status: `"><img src=x>`, Err: errors.New(`<b>bold</b>`),
		Report: &attest.Report{Checks: []attest.Check{{Name: "own", Outcome: attest.Failed, Detail: `</span><script>`}}},
		Bundle: &attest.Bundle{Evidence: attest.Evidence{AppCompose: `{"docker_compose_file":"</pre><script>","name":"<i>"}`}},
	}}}
	w := get(t, Handler(func(context.Context) (*verify.Result, error) { return result, errors.New("failed") }, time.Minute), "/", "")
	page := w.Body.String()
	assert.NotContains(t, page, "<script")
	assert.NotContains(t, page, "<img")
	assert.NotContains(t, page, "<b>")
	assert.Equal(t, 1, strings.Count(page, "</pre><h3")+strings.Count(page, "<details>"))
	assert.Contains(t, page, "&lt;script&gt;alert(1)&lt;/script&gt;")
	assert.Contains(t, page, ">own<", "a check that no step names")
}

func TestHandler_WithoutAResult(t *testing.T) {
	t.Parallel()
	h := Handler(func(context.Context) (*verify.Result, error) { return nil, errors.New("the cloud cannot be asked") }, time.Minute)
	for _, path := range []string{"/", "/?format=json"} {
		w := get(t, h, path, "")
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Contains(t, w.Body.String(), "the cloud cannot be asked")
	}
	assert.Equal(t, "[]\n", get(t, h, "/?format=bundle", "").Body.String())
}

func TestHandler_VerifiesOnceInAnInterval(t *testing.T) {
	t.Parallel()
	calls := 0
	source := func(ctx context.Context) (*verify.Result, error) {
		calls++
		_, bounded := ctx.Deadline()
		assert.True(t, bounded)
		return &verify.Result{}, ctx.Err()
	}
	h := Handler(source, time.Hour)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(gone, http.MethodGet, "/", nil))
	assert.Equal(t, http.StatusOK, w.Code, "a visitor who left does not end it for the others")
	for range 3 {
		get(t, h, "/", "")
	}
	assert.Equal(t, 1, calls)
	h = Handler(source, 0)
	get(t, h, "/", "")
	get(t, h, "/", "")
	assert.Equal(t, 3, calls)
}

func TestHandler_Refuses(t *testing.T) {
	t.Parallel()
	h := Handler(func(context.Context) (*verify.Result, error) { panic("not asked") }, time.Minute)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
	assert.Equal(t, http.StatusBadRequest, get(t, h, "/?format=xml", "").Code)
}

func TestPrefersJSON(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "application/json": true, "application/json; q=0.9, */*": true,
		"text/html,application/xhtml+xml,application/json;q=0.9": false, "text/html": false,
	} {
		assert.Equal(t, want, prefersJSON(accept), accept)
	}
}
