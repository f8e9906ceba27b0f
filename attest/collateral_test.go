package attest_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	tdxtesting "github.com/google/go-tdx-guest/testing"
	"github.com/google/go-tdx-guest/testing/testdata"
	tdx "github.com/google/go-tdx-guest/verify"
	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// pcsMock answers as Intel's service does, out of the given answers.
func pcsMock(t *testing.T, answers getter) (*http.Client, *httpmock.MockTransport) {
	t.Helper()
	mock := httpmock.NewMockTransport()
	for url, a := range answers {
		mock.RegisterResponder(http.MethodGet, url, func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: a.header, Body: io.NopCloser(strings.NewReader(string(a.body)))}, nil
		})
	}
	return &http.Client{Transport: mock}, mock
}

// realAnswers are those that Intel gave for the quote that go-tdx-guest ships.
func realAnswers() getter {
	answers := getter{}
	for url, response := range tdxtesting.TestGetter.Responses {
		answers[url] = answer{response.Header, response.Body}
	}
	return answers
}

// TestRealHardware verifies a quote of real hardware with Intel's real collateral of its time. That platform
// was behind: the TDX component of its quote (4) is below the lowest level (5), which must be noticed.
func TestRealHardware(t *testing.T) {
	t.Parallel()
	client, mock := pcsMock(t, realAnswers())
	at := time.Date(2023, 7, 1, 1, 0, 0, 0, time.UTC)
	policy := attest.Policy{
		Collateral: attest.IntelPCS(client), Now: func() time.Time { return at },
		// It is of another guest than dstack.
		Waive: []attest.CheckName{attest.CheckEventLog, attest.CheckBootEvents, attest.CheckComposeText, attest.CheckMRConfigID, attest.CheckSEPTVE},
	}
	e := attest.Evidence{Quote: bytes.TrimSuffix(testdata.RawQuote, []byte("\nextra bytes(only for testing purpose)\n"))}
	_, err := attest.Verify(t.Context(), e, policy)
	requireOnly(t, err, attest.ErrTCBStatus)

	policy.Waive = append(policy.Waive, attest.CheckTCBStatus, attest.CheckAdvisories)
	r, err := attest.Verify(t.Context(), e, policy)
	require.NoError(t, err)
	assert.Equal(t, 8, mock.GetTotalCallCount(), "four requests for each verification")
	for _, name := range []attest.CheckName{
		attest.CheckSignature, attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation,
		attest.CheckTDXModule, attest.CheckQEIdentity, attest.CheckDebug,
	} {
		assert.Equal(t, attest.Passed, r.Check(name).Outcome, name)
	}
	assert.Equal(t, "50806f000000", r.Attested.FMSPC)

	at = at.AddDate(0, 1, 0)
	_, err = attest.Verify(t.Context(), e, policy)
	requireOnly(t, err, attest.ErrCollateralExpired)
	at = at.AddDate(0, -2, 0)
	_, err = attest.Verify(t.Context(), e, policy)
	requireOnly(t, err, attest.ErrClock)
}

func TestIntelPCSRefuses(t *testing.T) {
	t.Parallel()
	request := attest.CollateralRequest{FMSPC: "50806f000000", CA: "platform"}
	tcb := "https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc=50806f000000"
	body := string(testdata.TcbInfoBody)
	for name, change := range map[string]func(getter){
		// encoding/json would read the second member in place of the first, whose signature is good.
		"a member in other case": func(g getter) {
			g[tcb] = answer{g[tcb].header, []byte(strings.Replace(body, `{"tcbInfo":`, `{"TCBINFO":{"id":"TDX"},"tcbInfo":`, 1))}
		},
		"a member twice": func(g getter) {
			g[tcb] = answer{g[tcb].header, []byte(strings.Replace(body, `{"tcbInfo":`, `{"tcbInfo":{},"tcbInfo":`, 1))}
		},
		"changed content": func(g getter) {
			g[tcb] = answer{g[tcb].header, []byte(strings.Replace(body, `"svn":5`, `"svn":0`, 1))}
		},
		"no signature": func(g getter) { g[tcb] = answer{g[tcb].header, []byte(`{"tcbInfo":{}}`)} },
		"not JSON":     func(g getter) { g[tcb] = answer{g[tcb].header, []byte("<html>")} },
		"no chain":     func(g getter) { g[tcb] = answer{nil, g[tcb].body} },
		"no answer":    func(g getter) { delete(g, "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der") },
		"too much":     func(g getter) { g[tcb] = answer{g[tcb].header, make([]byte, 5<<20)} },
	} {
		answers := realAnswers()
		change(answers)
		client, _ := pcsMock(t, answers)
		_, err := attest.IntelPCS(client)(t.Context(), request)
		require.ErrorIs(t, err, attest.ErrCollateral, name)
	}
	client, _ := pcsMock(t, realAnswers())
	_, err := attest.IntelPCS(client)(t.Context(), request)
	require.NoError(t, err)
}

// go-tdx-guest 0.3.1 checks the signature of the member "tcbInfo" and reads what is in any member of that name
// in whatever case. That is why it is only ever given bodies that this package wrote; should this test fail
// with a later version, that reason is gone.
func TestLibrary_ReadsMembersOfOtherCase(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, quotetest.WithTCBStatus(attest.OutOfDate))
	quote := sign(t, a, spec()).Quote
	answers := pcsAnswers(t, a.CloudCollateral())
	verify := func() error {
		return tdx.RawTdxQuote(quote, &tdx.Options{
			GetCollateral: true, CheckRevocations: true, Getter: answers, Now: now(), TrustedRoots: a.Roots(),
		})
	}
	require.ErrorContains(t, verify(), "OutOfDate")
	for url, forged := range answers {
		if strings.Contains(url, "/tcb?") {
			body := string(forged.body)
			lie := strings.Replace(a.CloudCollateral().TCBInfo, `"tcbStatus":"OutOfDate"`, `"tcbStatus":"UpToDate"`, -1)
			answers[url] = answer{forged.header, []byte(strings.TrimSuffix(body, "}") + `,"TCBINFO":` + lie + `}`)}
		}
	}
	require.NoError(t, verify())
}

func TestIntelPCS_DoesNotFollowRedirects(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 302, Header: http.Header{"Location": {"https://elsewhere.example/"}}, Body: http.NoBody}, nil
	})
	_, err := attest.IntelPCS(&http.Client{Transport: mock})(t.Context(), attest.CollateralRequest{FMSPC: "50806f000000", CA: "platform"})
	require.ErrorIs(t, err, attest.ErrCollateral)
	assert.Equal(t, 1, mock.GetTotalCallCount())
}

func TestCollateral_ThatDoesNotHold(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	mine, theirs := a.CloudCollateral(), other.CloudCollateral()
	for name, change := range map[string]func(*openapi.QuoteCollateral){
		"TCB info changed":        func(c *openapi.QuoteCollateral) { c.TCBInfo = strings.Replace(c.TCBInfo, "UpToDate", "Revoked", 1) },
		"TCB info with space":     func(c *openapi.QuoteCollateral) { c.TCBInfo += " " },
		"QE identity changed":     func(c *openapi.QuoteCollateral) { c.QEIdentity = strings.Replace(c.QEIdentity, `:2`, `:3`, 1) },
		"QE identity as TCB info": func(c *openapi.QuoteCollateral) { c.TCBInfo, c.TCBInfoSignature = c.QEIdentity, c.QEIdentitySignature },
		"TCB info as QE identity": func(c *openapi.QuoteCollateral) { c.QEIdentity, c.QEIdentitySignature = c.TCBInfo, c.TCBInfoSignature },
		"signature missing":       func(c *openapi.QuoteCollateral) { c.TCBInfoSignature = "" },
		"signature too long":      func(c *openapi.QuoteCollateral) { c.QEIdentitySignature += "00" },
		"another's signer":        func(c *openapi.QuoteCollateral) { c.TCBInfoIssuerChain = theirs.TCBInfoIssuerChain },
		"another's root": func(c *openapi.QuoteCollateral) {
			c.PCKCRLIssuerChain, c.PCKCRL = theirs.PCKCRLIssuerChain, theirs.PCKCRL
		},
		"another's root revocation list": func(c *openapi.QuoteCollateral) { c.RootCACRL = theirs.RootCACRL },
		"another's PCK revocation list":  func(c *openapi.QuoteCollateral) { c.PCKCRL = theirs.PCKCRL },
		"lists exchanged":                func(c *openapi.QuoteCollateral) { c.PCKCRL, c.RootCACRL = c.RootCACRL, c.PCKCRL },
		"no list":                        func(c *openapi.QuoteCollateral) { c.RootCACRL = "" },
		"one certificate":                func(c *openapi.QuoteCollateral) { c.QEIdentityIssuerChain = c.QEIdentityIssuerChain[:900] },
		"no chain":                       func(c *openapi.QuoteCollateral) { c.QEIdentityIssuerChain = "" },
	} {
		c := mine
		change(&c)
		_, err := attest.NewCollateral(c)
		require.ErrorIs(t, err, attest.ErrCollateral, name)
	}
	_, err := attest.NewCollateral(mine)
	require.NoError(t, err)
}

func TestOfflineCollateral(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	collateral, err := attest.NewCollateral(a.CloudCollateral())
	require.NoError(t, err)
	saved, err := json.Marshal(collateral)
	require.NoError(t, err)
	loaded, err := attest.ParseCollateral(saved)
	require.NoError(t, err)
	other, err := attest.NewCollateral(newAuthority(t, quotetest.WithFMSPC([6]byte{1})).CloudCollateral())
	require.NoError(t, err)

	p := strict(t, a)
	p.Collateral = attest.OfflineCollateral(other, loaded)
	_, err = attest.Verify(t.Context(), sign(t, a, spec()), p)
	require.NoError(t, err)

	// Revocation lists come as PEM as well.
	source := a.CloudCollateral()
	source.RootCACRL = string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte(unhex(t, source.RootCACRL))}))
	_, err = attest.NewCollateral(source)
	require.NoError(t, err)
	source.RootCACRL = strings.Replace(source.RootCACRL, "X509 CRL", "CERTIFICATE", 2)
	_, err = attest.NewCollateral(source)
	require.ErrorIs(t, err, attest.ErrCollateral)

	_, err = attest.ParseCollateral([]byte("{}"))
	require.ErrorIs(t, err, attest.ErrCollateral)
	_, err = attest.ParseCollateral(make([]byte, 5<<20))
	require.ErrorIs(t, err, attest.ErrCollateral)
}

func TestCacheSharesOneFetch(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	policy := a.Policy()
	policy.Collateral = attest.NewCollateralCache(a.Collateral).Collateral
	evidence := make([]attest.Evidence, 100)
	for i := range evidence {
		evidence[i] = sign(t, a, quotetest.Spec{Name: fmt.Sprint(i)})
	}
	var group sync.WaitGroup
	for i := range evidence {
		group.Go(func() {
			_, err := attest.Verify(t.Context(), evidence[i], policy)
			assert.NoError(t, err)
		})
	}
	group.Wait()
	assert.Equal(t, 1, a.Fetches())
}

func TestCache_KeepsUntilNextUpdate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, err := quotetest.New(quotetest.WithCollateralTime(time.Now(), time.Now().Add(time.Hour)))
		require.NoError(t, err)
		e := sign(t, a, spec())
		policy := a.Policy()
		policy.Collateral = attest.NewCollateralCache(a.Collateral).Collateral
		verify := func() error {
			_, err := attest.Verify(t.Context(), e, policy)
			return err
		}
		require.NoError(t, verify())
		time.Sleep(time.Hour)
		require.NoError(t, verify())
		assert.Equal(t, 1, a.Fetches())
		time.Sleep(time.Second)
		requireOnly(t, verify(), attest.ErrCollateralExpired)
		requireOnly(t, verify(), attest.ErrCollateralExpired)
		assert.Equal(t, 3, a.Fetches(), "what has expired is not kept")
	})
}

func TestCacheWaiters_HaveContexts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, err := quotetest.New()
		require.NoError(t, err)
		calls := 0
		cache := attest.NewCollateralCache(func(ctx context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
			calls++
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(time.Minute):
				return a.Collateral(ctx, request)
			}
		})
		request := attest.CollateralRequest{FMSPC: "00806f050000", CA: "platform", Now: time.Now(), Roots: a.Roots()}
		get := func(timeout time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			_, err := cache.Collateral(ctx, request)
			return err
		}
		var first, second, third error
		go func() { first = get(10 * time.Second) }()
		synctest.Wait()
		go func() { second = get(5 * time.Second) }()
		go func() { third = get(time.Hour) }()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.ErrorIs(t, first, context.DeadlineExceeded)
		require.ErrorIs(t, second, context.DeadlineExceeded)
		require.NoError(t, third, "the failure of the first is not that of the third")
		assert.Equal(t, 2, calls)
	})
}

// What does not hold under the roots must not stay in the cache of those who ask with others.
func TestCacheRefusesForeignRoots(t *testing.T) {
	t.Parallel()
	a, forger := newAuthority(t), newAuthority(t)
	source := forger.Collateral
	cache := attest.NewCollateralCache(func(ctx context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
		return source(ctx, request)
	})
	p := strict(t, a)
	p.Collateral = cache.Collateral
	_, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
	requireOnly(t, err, attest.ErrCollateral)
	source = a.Collateral
	_, err = attest.Verify(t.Context(), sign(t, a, spec()), p)
	require.NoError(t, err)
}

func TestCacheSurvives_APanic(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	broken := true
	cache := attest.NewCollateralCache(func(ctx context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
		if broken {
			panic("source")
		}
		return a.Collateral(ctx, request)
	})
	request := attest.CollateralRequest{FMSPC: "00806f050000", CA: "platform", Now: now(), Roots: a.Roots()}
	require.Panics(t, func() { _, _ = cache.Collateral(t.Context(), request) })
	broken = false
	_, err := cache.Collateral(t.Context(), request)
	require.NoError(t, err)
}

func TestFirstCollateral(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	other := newAuthority(t, quotetest.WithFMSPC([6]byte{1}))
	none := func(context.Context, attest.CollateralRequest) (*attest.Collateral, error) { return nil, nil }
	down := errors.New("down")
	broken := func(context.Context, attest.CollateralRequest) (*attest.Collateral, error) { return nil, down }
	expired, err := a.Reissue(quotetest.WithCollateralTime(now().AddDate(0, -2, 0), now().AddDate(0, -1, 0)))
	require.NoError(t, err)
	foreign := newAuthority(t)
	unusable := []attest.CollateralFunc{
		none, broken, attest.OfflineCollateral(), sourceOf(t, other), sourceOf(t, expired), sourceOf(t, foreign),
	}
	e, p := sign(t, a, spec()), a.Policy()
	p.Collateral = attest.FirstCollateral(append(unusable, a.Collateral)...)
	_, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)

	p.Collateral = attest.FirstCollateral(none, broken, sourceOf(t, foreign))
	_, err = attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrCollateral)
	require.ErrorIs(t, err, down)
	for _, part := range []string{"source 1 of 3", "source 2 of 3", "source 3 of 3"} {
		assert.ErrorContains(t, err, part)
	}
	p.Collateral = attest.FirstCollateral()
	_, err = attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrCollateral)
	require.ErrorIs(t, err, attest.ErrNotPossible)

	// An unknown platform has nothing fetched by any source, and an end of the context ends the search.
	before := a.Fetches()
	p.Collateral = attest.FirstCollateral(a.Collateral, a.Collateral)
	_, err = attest.Verify(t.Context(), sign(t, foreign, spec()), p)
	requireOnly(t, err, attest.ErrQuoteSignature)
	assert.Equal(t, before, a.Fetches())
	ctx, cancel := context.WithCancel(t.Context())
	p.Collateral = attest.FirstCollateral(func(context.Context, attest.CollateralRequest) (*attest.Collateral, error) {
		cancel()
		return nil, ctx.Err()
	}, a.Collateral)
	_, err = attest.Verify(ctx, e, p)
	require.ErrorIs(t, err, context.Canceled)
}

// sourceOf answers any request with the collateral of an authority, whomever it is for.
func sourceOf(t *testing.T, a *quotetest.Authority) attest.CollateralFunc {
	t.Helper()
	c, err := attest.NewCollateral(a.CloudCollateral())
	require.NoError(t, err)
	return func(context.Context, attest.CollateralRequest) (*attest.Collateral, error) { return c, nil }
}

func escape(text string) string { return url.QueryEscape(text) }

func unhex(tb testing.TB, text string) string {
	tb.Helper()
	b, err := hex.DecodeString(text)
	require.NoError(tb, err)
	return string(b)
}
