package verify_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

const bearer = "Bearer for the app alone"

// site is an app behind a certificate of forged hardware, and what reached it.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	dials    atomic.Int64
}

func (s *site) received() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// serve starts a site; a nil certificate means one without TLS.
func serve(t *testing.T, certificate *tls.Certificate, handler http.HandlerFunc) *site {
	t.Helper()
	s := &site{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r)
		s.mu.Unlock()
		handler(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.dials.Add(1)
		}
	}
	if certificate == nil {
		s.Start()
	} else {
		s.EnableHTTP2 = true
		s.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}}
		s.StartTLS()
	}
	t.Cleanup(s.Close)
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "from the app") }

// app is what the hardware of an authority attests in these tests.
func app() quotetest.Spec {
	return quotetest.Spec{AppID: kms.AppID{7}, AppCompose: `{"name":"app"}`}
}

// expecting returns the policy that the spec fulfils.
func expecting(t *testing.T, a *quotetest.Authority) attest.Policy {
	t.Helper()
	evidence, err := a.Evidence(app())
	require.NoError(t, err)
	quote, err := attest.ParseQuote(evidence.Quote)
	require.NoError(t, err)
	policy := a.Policy()
	policy.ComposeHashes = []compose.Hash{compose.Sum([]byte(app().AppCompose))}
	policy.Measurements = []attest.KnownGood{{Name: "test", MRTD: quote.MRTD, RTMR0: quote.RTMR[0], RTMR1: quote.RTMR[1], RTMR2: quote.RTMR[2]}}
	return policy
}

func authority(t *testing.T, options ...quotetest.Option) *quotetest.Authority {
	t.Helper()
	a, err := quotetest.New(options...)
	require.NoError(t, err)
	return a
}

func certificate(t *testing.T, a *quotetest.Authority, spec quotetest.Spec, changes ...quotetest.Change) *tls.Certificate {
	t.Helper()
	c, _, err := a.Certificate(spec, changes...)
	require.NoError(t, err)
	return &c
}

func appClient(t *testing.T, policy attest.Policy, opts ...verify.ClientOption) *http.Client {
	t.Helper()
	c, err := verify.Client(app().AppID, policy, opts...)
	require.NoError(t, err)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// get sends the bearer token and returns the body.
func get(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", bearer)
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestClient_ReusesConnectionsAndVerifiesOnce(t *testing.T) {
	t.Parallel()
	a := authority(t)
	s := serve(t, certificate(t, a, app()), hello)
	var reports atomic.Int64
	c := appClient(t, expecting(t, a), verify.WithReport(func(r *attest.Report) {
		reports.Add(1)
		assert.True(t, r.Verified)
	}))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			body, err := get(t, c, s.URL)
			assert.NoError(t, err)
			assert.Equal(t, "from the app", body)
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, reports.Load(), "one certificate, one verification, however many connections at once")
	assert.Equal(t, 1, a.Fetches())
	before := s.dials.Load()
	for range 5 {
		_, err := get(t, c, s.URL)
		require.NoError(t, err)
	}
	assert.Equal(t, before, s.dials.Load(), "open connections are reused")
	for _, r := range s.received() {
		assert.Equal(t, "HTTP/2.0", r.Proto)
		assert.Equal(t, bearer, r.Header.Get("Authorization"))
	}
	c.CloseIdleConnections()
	_, err := get(t, c, s.URL)
	require.NoError(t, err)
	assert.EqualValues(t, 1, reports.Load(), "a new connection with the same certificate needs no new verification")
}

// The cloud, or whoever answers for the app before TLS begins, redirects to plain http on the same host name. A client
// of net/http with nothing but a verified TLS configuration follows, and sends the bearer token in the clear.
func TestClient_RedirectToPlainHTTP(t *testing.T) {
	t.Parallel()
	a := authority(t)
	thief := serve(t, nil, hello)
	s := serve(t, certificate(t, a, app()), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL+"/steal", http.StatusTemporaryRedirect)
	})

	policy := expecting(t, a)
	policy.AppID = app().AppID
	transport := &http.Transport{TLSClientConfig: (&attest.Peer{Policy: policy}).TLSConfig()}
	defer transport.CloseIdleConnections()
	_, err := get(t, &http.Client{Transport: transport}, s.URL)
	require.NoError(t, err)
	require.Len(t, thief.received(), 1, "the attack works on the plain recipe")
	require.Equal(t, bearer, thief.received()[0].Header.Get("Authorization"))

	c := appClient(t, expecting(t, a))
	_, err = get(t, c, s.URL)
	require.ErrorIs(t, err, verify.ErrCrossOrigin)
	_, err = get(t, &http.Client{Transport: c.Transport}, s.URL)
	require.ErrorContains(t, err, "by https alone", "also in a client that follows any redirect")
	assert.Len(t, thief.received(), 1, "nothing was sent")
}

func TestClient_RedirectToAnotherHost(t *testing.T) {
	t.Parallel()
	a := authority(t)
	other := app()
	other.AppID = kms.AppID{8}
	thief := serve(t, certificate(t, a, other), hello)
	s := serve(t, certificate(t, a, app()), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/here" {
			hello(w, r)
			return
		}
		http.Redirect(w, r, map[string]string{"/stay": "/here", "/round": "/round"}[r.URL.Path]+
			map[string]string{"/leave": thief.URL}[r.URL.Path], http.StatusFound)
	})
	c := appClient(t, expecting(t, a))
	body, err := get(t, c, s.URL+"/stay")
	require.NoError(t, err)
	assert.Equal(t, "from the app", body)
	_, err = get(t, c, s.URL+"/leave")
	require.ErrorIs(t, err, verify.ErrCrossOrigin)
	_, err = get(t, c, s.URL+"/round")
	require.ErrorContains(t, err, "10 redirects")
	_, err = get(t, &http.Client{Transport: c.Transport}, s.URL+"/leave")
	require.ErrorIs(t, err, attest.ErrAppID, "the transport verifies whatever it talks to")
	assert.Empty(t, thief.received())
}

// TestMain sets HTTPS_PROXY for all tests of this package.
func TestClient_IgnoresProxies(t *testing.T) {
	t.Parallel()
	a := authority(t)
	s := serve(t, certificate(t, a, app()), hello)
	var dialed []string
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		return (&net.Dialer{}).DialContext(ctx, network, s.Listener.Addr().String())
	}
	c := appClient(t, expecting(t, a), verify.WithDial(dial))
	_, err := get(t, c, "https://app.example/")
	require.NoError(t, err)
	assert.Equal(t, []string{"app.example:443"}, dialed)
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: mustURL(t, "https://app.example/")})
	require.NoError(t, err)
	require.NotNil(t, proxy, "a client of net/http would use one")
}

func TestClient_RefusesPlainHTTP(t *testing.T) {
	t.Parallel()
	a := authority(t)
	thief := serve(t, nil, hello)
	c := appClient(t, expecting(t, a))
	_, err := get(t, c, thief.URL)
	require.ErrorContains(t, err, "by https alone")
	body := &closer{Reader: strings.NewReader("secret")}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, thief.URL, body)
	require.NoError(t, err)
	_, err = c.Transport.RoundTrip(req)
	require.Error(t, err)
	assert.True(t, body.closed, "a RoundTripper closes the body, also on errors")
	_, err = get(t, c, strings.Replace(thief.URL, "http:", "ftp:", 1))
	require.Error(t, err)
	assert.Empty(t, thief.received())
}

type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

// Whoever is at the other end, nothing reaches them unless they are the app.
func TestClient_SendsNothingToOthers(t *testing.T) {
	t.Parallel()
	a := authority(t)
	relayed, _, err := a.Certificate(app())
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(relayed.Certificate[0])
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		certificate *tls.Certificate
		is          error
	}{
		"another app":              {certificate(t, a, quotetest.Spec{AppID: kms.AppID{8}, AppCompose: app().AppCompose}), attest.ErrAppID},
		"another compose":          {certificate(t, a, quotetest.Spec{AppID: app().AppID, AppCompose: "{}"}), attest.ErrComposeHash},
		"another firmware":         {certificate(t, a, app(), quotetest.ChangeQuote(func(q *attest.Quote) { q.MRTD[0] ^= 1 })), attest.ErrMeasurement},
		"under debug":              {certificate(t, a, app(), quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] = 1 })), attest.ErrDebug},
		"hardware of another root": {certificate(t, authority(t), app()), attest.ErrQuoteSignature},
		"a quote for another key":  {certificate(t, a, app(), quotetest.ChangeQuote(func(q *attest.Quote) { q.ReportData[0] ^= 1 })), attest.ErrReportData},
		"the app's extensions in a certificate of somebody else": {copied(t, leaf), attest.ErrReportData},
		"a certificate without a quote":                          {ordinary(t), attest.ErrNoQuote},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.certificate, hello)
			var seen *attest.Report
			_, err := get(t, appClient(t, expecting(t, a), verify.WithReport(func(r *attest.Report) { seen = r })), s.URL)
			require.ErrorIs(t, err, tt.is)
			assert.Empty(t, s.received())
			if tt.is != attest.ErrNoQuote {
				require.NotNil(t, seen)
				assert.False(t, seen.Verified)
			}
		})
	}
}

// clock is a clock by hand, safe for several goroutines.
type clock struct{ at atomic.Pointer[time.Time] }

func newClock(at time.Time) *clock {
	c := &clock{}
	c.at.Store(&at)
	return c
}

func (c *clock) now() time.Time      { return *c.at.Load() }
func (c *clock) set(at time.Time)    { c.at.Store(&at) }
func (c *clock) add(d time.Duration) { c.set(c.now().Add(d)) }

// An open connection is used beyond the end of the collateral only after it has been verified with new collateral.
func TestClient_RenewsTheVerification(t *testing.T) {
	t.Parallel()
	at := newClock(time.Now())
	first := authority(t, quotetest.WithNow(at.now), quotetest.WithCollateralTime(at.now().Add(-time.Hour), at.now().Add(time.Hour)))
	second, err := first.Reissue(quotetest.WithCollateralTime(at.now(), at.now().Add(48*time.Hour)))
	require.NoError(t, err)
	revoked, err := first.Reissue(quotetest.WithCollateralTime(at.now().Add(24*time.Hour), at.now().Add(72*time.Hour)), quotetest.WithRevokedPCK())
	require.NoError(t, err)
	var source atomic.Pointer[quotetest.Authority]
	source.Store(first)
	policy := expecting(t, first)
	policy.Collateral = func(ctx context.Context, r attest.CollateralRequest) (*attest.Collateral, error) {
		return source.Load().Collateral(ctx, r)
	}
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			at.set(time.Now())
			source.Store(first)
			s := serve(t, certificate(t, first, app()), hello)
			if protocol == "HTTP/1.1" {
				s.TLS.NextProtos = []string{"http/1.1"}
			}
			c := appClient(t, policy)
			_, err := get(t, c, s.URL)
			require.NoError(t, err)
			assert.Equal(t, protocol, s.received()[0].Proto)

			at.add(2 * time.Hour)
			_, err = get(t, c, s.URL)
			require.ErrorIs(t, err, attest.ErrCollateralExpired)
			assert.Len(t, s.received(), 1, "nothing was sent on the open connection")

			source.Store(second)
			_, err = get(t, c, s.URL)
			require.NoError(t, err)
			dials := s.dials.Load()
			at.add(30 * time.Minute)
			_, err = get(t, c, s.URL)
			require.NoError(t, err)
			assert.Equal(t, dials, s.dials.Load())

			at.add(60 * time.Hour)
			source.Store(revoked)
			_, err = get(t, c, s.URL)
			require.ErrorIs(t, err, attest.ErrRevoked)
			assert.Len(t, s.received(), 3)
		})
	}
}

// Renewing keeps the connection, and what is being sent on it.
func TestClient_RenewsWithinARequest(t *testing.T) {
	t.Parallel()
	at := newClock(time.Now())
	first := authority(t, quotetest.WithNow(at.now), quotetest.WithCollateralTime(at.now().Add(-time.Hour), at.now().Add(time.Hour)))
	second, err := first.Reissue(quotetest.WithCollateralTime(at.now(), at.now().Add(48*time.Hour)))
	require.NoError(t, err)
	policy := expecting(t, first)
	var source atomic.Pointer[quotetest.Authority]
	source.Store(first)
	policy.Collateral = func(ctx context.Context, r attest.CollateralRequest) (*attest.Collateral, error) {
		return source.Load().Collateral(ctx, r)
	}
	got := make(chan string)
	s := serve(t, certificate(t, first, app()), func(w http.ResponseWriter, r *http.Request) {
		buffer := make([]byte, 64)
		for {
			n, err := r.Body.Read(buffer)
			if n > 0 {
				got <- string(buffer[:n])
			}
			if err != nil {
				hello(w, r)
				return
			}
		}
	})
	c := appClient(t, policy)
	read, write := io.Pipe()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, read)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		resp, err := c.Do(req)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
		done <- err
	}()
	_, err = io.WriteString(write, "before")
	require.NoError(t, err)
	assert.Equal(t, "before", <-got)
	at.add(2 * time.Hour)
	source.Store(second)
	_, err = io.WriteString(write, "after")
	require.NoError(t, err)
	assert.Equal(t, "after", <-got)
	require.NoError(t, write.Close())
	require.NoError(t, <-done)
	assert.EqualValues(t, 1, s.dials.Load())
	assert.Equal(t, 1, second.Fetches())
}

func TestClient_PolicyMustSaySomething(t *testing.T) {
	t.Parallel()
	a := authority(t)
	for name, change := range map[string]func(*attest.Policy){
		"no compose hash":        func(p *attest.Policy) { p.ComposeHashes = nil },
		"no measurements":        func(p *attest.Policy) { p.Measurements = nil },
		"another app":            func(p *attest.Policy) { p.AppID = kms.AppID{9} },
		"a nonce":                func(p *attest.Policy) { p.ReportData = &[64]byte{} },
		"no signature":           func(p *attest.Policy) { p.Waive = []attest.CheckName{attest.CheckSignature} },
		"any app":                func(p *attest.Policy) { p.Waive = []attest.CheckName{attest.CheckAppID} },
		"any key":                func(p *attest.Policy) { p.Waive = []attest.CheckName{attest.CheckReportData} },
		"a check without a name": func(p *attest.Policy) { p.Checks = []attest.CustomCheck{{}} },
	} {
		policy := expecting(t, a)
		change(&policy)
		_, err := verify.Client(app().AppID, policy)
		require.ErrorIs(t, err, attest.ErrPolicy, name)
	}
	_, err := verify.Client(kms.AppID{}, expecting(t, a))
	require.ErrorIs(t, err, attest.ErrPolicy)
	_, err = verify.Client(app().AppID, expecting(t, a), verify.WithDial(nil))
	require.Error(t, err)
	_, err = verify.Client(app().AppID, expecting(t, a), verify.WithReport(nil))
	require.Error(t, err)
	policy := expecting(t, a)
	policy.Measurements, policy.ComposeHashes = nil, nil
	policy.Waive = []attest.CheckName{attest.CheckMeasurements, attest.CheckComposeHash, attest.CheckComposeText}
	s := serve(t, certificate(t, a, app()), hello)
	_, err = get(t, appClient(t, policy), s.URL)
	require.NoError(t, err, "what is given up by name is given up")
}

// A peer that never answers, or never ends its handshake, does not hold a request longer than its context.
func TestClient_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	a := authority(t)
	near, far := net.Pipe()
	t.Cleanup(func() { _ = far.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	c := appClient(t, expecting(t, a), verify.WithDial(func(context.Context, string, string) (net.Conn, error) {
		cancel()
		return near, nil
	}))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://app.example", nil)
	require.NoError(t, err)
	_, err = c.Do(req)
	require.ErrorIs(t, err, context.Canceled)
}

func TestClient_ResumesNoForeignSession(t *testing.T) {
	t.Parallel()
	a := authority(t)
	s := serve(t, certificate(t, a, app()), hello)
	c := appClient(t, expecting(t, a))
	_, err := get(t, c, s.URL)
	require.NoError(t, err)
	c.CloseIdleConnections()
	resp, err := c.Get(s.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.False(t, resp.TLS.DidResume)
}
