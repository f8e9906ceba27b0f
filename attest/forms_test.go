package attest_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// numbers is a list of bytes as languages without a byte type write it.
func numbers(quote []byte) []int {
	list := make([]int, len(quote))
	for i, b := range quote {
		list[i] = int(b)
	}
	return list
}

func TestDecodeQuote_EveryForm(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{4, 5} {
		s := spec()
		s.QuoteVersion = version
		quote := sign(t, newAuthority(t), s).Quote
		digits := hex.EncodeToString(quote)
		wrapped := base64.StdEncoding.EncodeToString(quote)
		for i := 76; i < len(wrapped); i += 77 {
			wrapped = wrapped[:i] + "\n" + wrapped[i:]
		}
		for name, form := range map[string][]byte{
			"bytes": quote, "hex": []byte(digits), "upper case": []byte(strings.ToUpper(digits)), "0x": []byte("0x" + digits),
			"0X": []byte("0X" + digits), "white space": []byte("\n " + digits + "\r\n"), "zeros behind the text": append([]byte(digits), 0, 0),
			"base64": []byte(base64.StdEncoding.EncodeToString(quote)), "wrapped": []byte(wrapped),
			"without padding": []byte(base64.RawStdEncoding.EncodeToString(quote)), "URL": []byte(base64.URLEncoding.EncodeToString(quote)),
			"raw URL": []byte(base64.RawURLEncoding.EncodeToString(quote)),
			"string":  marshal(t, digits), "string of 0x": marshal(t, "0x"+digits), "string of base64": marshal(t, quote),
			"list": marshal(t, numbers(quote)), "GetQuote": marshal(t, map[string]any{"quote": digits, "event_log": "[]", "report_data": "00"}),
			"GetQuote with a list": marshal(t, map[string]any{"quote": numbers(quote)}),
			"Buffer":               marshal(t, map[string]any{"type": "Buffer", "data": numbers(quote)}),
		} {
			got, err := attest.DecodeQuote(form)
			require.NoError(t, err, name)
			assert.Equal(t, quote, got, name)
		}
		// A guest hands out its whole buffer.
		got, err := attest.DecodeQuote([]byte(digits + strings.Repeat("00", 3000)))
		require.NoError(t, err)
		q, err := attest.ParseQuote(got)
		require.NoError(t, err)
		assert.Equal(t, version, q.Version)
	}
	for name, form := range map[string]string{
		"nothing": "", "text": "a quote", "odd digits": "040", "null": "null", "empty string": `""`, "string in a string": `"\"0400\""`, "large numbers": "[256,0]",
		"negative": "[-1]", "object": "{}", "object in an object": `{"quote":{"quote":"0400"}}`, "short base64": "BAACgQ==",
	} {
		_, err := attest.DecodeQuote([]byte(form))
		require.ErrorContains(t, err, "want its bytes, hexadecimal digits", name)
	}
	_, err := attest.DecodeQuote(make([]byte, 1<<20))
	require.ErrorContains(t, err, "want at most")
}

// What older and newer servers and guests answer verifies alike.
func TestEvidence_EveryAnswer(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	want := sign(t, a, spec())
	p := strict(t, a)
	guest, err := quotetest.GuestInfo(want)
	require.NoError(t, err)
	quoted, err := quotetest.GetQuote(want)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "quote.json")
	require.NoError(t, os.WriteFile(file, quoted, 0o600))
	text, err := json.Marshal(want.AppCompose)
	require.NoError(t, err)
	for name, read := range map[string]func() (attest.Evidence, error){
		"old app": func() (attest.Evidence, error) {
			all, err := attest.FromApp(quotetest.OldAppAttestations(want))
			if err != nil {
				return attest.Evidence{}, err
			}
			return all[0], nil
		},
		"old CVM": func() (attest.Evidence, error) {
			answer := quotetest.CVMAttestation(want)
			answer.TCBInfo.AppCompose, answer.ComposeFile = "", openapi.RawJSON(text)
			return attest.FromCVM(answer)
		},
		"guest":     func() (attest.Evidence, error) { return attest.FromInfo(guest) },
		"GetQuote":  func() (attest.Evidence, error) { return attest.FromGetQuote(quoted) },
		"one file":  func() (attest.Evidence, error) { return attest.FromFiles(file, "", "") },
		"old guest": func() (attest.Evidence, error) { return attest.FromInfo(oldGuest(t, want)) },
	} {
		e, err := read()
		require.NoError(t, err, name)
		_, err = attest.Verify(t.Context(), e, p)
		require.NoError(t, err, name)
		if name != "GetQuote" && name != "one file" {
			assert.Equal(t, want.AppCompose, e.AppCompose, name)
		}
	}
	// An object is not the text that was hashed.
	answer := quotetest.CVMAttestation(want)
	answer.TCBInfo.AppCompose, answer.ComposeFile = "", openapi.RawJSON(want.AppCompose)
	e, err := attest.FromCVM(answer)
	require.NoError(t, err)
	assert.Empty(t, e.AppCompose)
}

func oldGuest(t *testing.T, e attest.Evidence) []byte {
	t.Helper()
	return marshal(t, map[string]any{
		"quote": hex.EncodeToString(e.Quote), "compose_file": e.AppCompose, "eventlog": attest.LogEntries(e.EventLog),
		"device_id": attest.DeviceID(nil).String(),
	})
}

// A reader that refuses something names the forms that it takes.
func TestReaders_NameTheirForms(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"app_certificates":[7]}`, `{"app_certificates":[{"quote":"no"}]}`, `{"quote":"no"}`, `{"tcb_info":[]}`, `{"tcb_info":"["}`, `{"eventlog":{}}`,
		`{"device_id":"1"}`, `[]`, `{"app_certificates":["no PEM"]}`,
	} {
		_, err := attest.FromInfo([]byte(body))
		require.Error(t, err, body)
		assert.Regexp(t, `want|PEM`, err.Error(), body)
	}
	for _, body := range []string{"", "[]", "{}", `{"quote":""}`, `{"quote":"00","event_log":"{}"}`} {
		_, err := attest.FromGetQuote([]byte(body))
		require.ErrorContains(t, err, "want", body)
	}
	for _, read := range []func([]byte) error{
		func(b []byte) error { _, err := attest.FromInfo(b); return err },
		func(b []byte) error { _, err := attest.FromGetQuote(b); return err },
		func(b []byte) error { _, err := attest.ParseGatewayInfo(b); return err },
	} {
		require.ErrorContains(t, read(make([]byte, 9<<20)), "want at most")
	}
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

// The usual reason for an unknown root is a policy with the roots of a test, or without them.
func TestVerify_NamesAnUnknownRoot(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := a.Policy()
	p.Roots = nil
	_, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
	requireOnly(t, err, attest.ErrQuoteSignature)
	for _, part := range []string{`the root "Intel SGX Root CA" of "phala quotetest"`, "SHA-256 fingerprint", "AttestationPolicy"} {
		assert.ErrorContains(t, err, part)
	}
}

func TestComposeText_DiffersByANewline(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for name, tt := range map[string]struct{ ran, shown, says string }{
		"too few":  {appCompose + "\n", appCompose, "no newline at the end"},
		"too many": {appCompose, appCompose + "\n", "a newline at the end too much"},
		"CR LF":    {appCompose, appCompose + "\r\n", "a newline at the end too much"},
		"another":  {appCompose, appCompose + "\n\n ", ""},
	} {
		s := spec()
		s.AppCompose = tt.ran
		e := sign(t, a, s)
		e.AppCompose = tt.shown
		_, err := attest.Verify(t.Context(), e, a.Policy())
		requireOnly(t, err, attest.ErrComposeText)
		if tt.says == "" {
			assert.NotContains(t, err.Error(), "newline", name)
		} else {
			assert.ErrorContains(t, err, "it has "+tt.says, name)
		}
	}
}

// A zero mr_config_id is normal on some hosts: RTMR3 and an expected compose hash bind the app without it.
func TestVerify_WithoutMRConfigID(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec(), quotetest.ChangeQuote(func(q *attest.Quote) { q.MRConfigID = attest.Measurement{} }))
	r, err := attest.Verify(t.Context(), e, strict(t, a))
	require.NoError(t, err)
	assert.Equal(t, attest.NotAsked, r.Check(attest.CheckMRConfigID).Outcome)

	_, err = attest.Verify(t.Context(), e, a.Policy())
	requireOnly(t, err, attest.ErrMRConfigID)
	require.ErrorIs(t, err, attest.ErrNotPossible)
	assert.NotContains(t, err.Error(), "does not fit")

	p := strict(t, a)
	p.ComposeHashes = []compose.Hash{{1}}
	_, err = attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrComposeHash)
}

func TestVerify_ImageMeasuredTwice(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec(), quotetest.ChangeLog(func(log []attest.Event) []attest.Event {
		i := position(log, "os-image-hash")
		return slices.Insert(log, i, log[i])
	}))
	_, err := attest.Verify(t.Context(), e, strict(t, a))
	require.NoError(t, err)
}

// Without a policy the report names the image, what that rests on, and the line that pins it.
func TestReport_PinsTheImage(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec())
	r, err := attest.Verify(t.Context(), e, a.Policy())
	require.NoError(t, err)
	c := r.Check(attest.CheckOSImage)
	assert.Equal(t, attest.NotAsked, c.Outcome)
	assert.Contains(t, c.Detail, r.Attested.OSImageHash+", reported by the KMS through an event of RTMR3, not computed")
	assert.Equal(t, fmt.Sprintf("policy.OSImageHashes, err = attest.ParseOSImageHashes(%q)", r.Attested.OSImageHash), c.Pin)
	assert.Contains(t, r.String(), c.Pin)
	data, err := r.JSON()
	require.NoError(t, err)
	assert.Contains(t, string(data), `"pin": "policy.OSImageHashes`)

	p := a.Policy()
	p.OSImageHashes, err = attest.ParseOSImageHashes(r.Attested.OSImageHash)
	require.NoError(t, err)
	r, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	assert.Empty(t, r.Check(attest.CheckOSImage).Pin)
	for _, text := range []string{"", "00", strings.Repeat("g", 64)} {
		_, err := attest.ParseOSImageHashes(text)
		require.ErrorContains(t, err, "want 64 hexadecimal digits")
	}
}

// The key provider need not be a KMS.
func TestPolicy_KeyProviders(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, provider := range []attest.KeyProvider{
		{Name: "local-sgx", ID: strings.Repeat("1b", 32)}, {Name: "tpm"}, {Name: "none"}, {Name: "kms", ID: hex.EncodeToString(quotetest.KMSRootCA())},
	} {
		s := spec()
		s.KeyProvider = provider
		e := sign(t, a, s)
		p := a.Policy()
		p.KeyProviders = []attest.KeyProvider{{Name: provider.Name, ID: strings.ToUpper(provider.ID)}}
		_, err := attest.Verify(t.Context(), e, p)
		require.NoError(t, err, provider)
		p.KeyProviders[0].Name += "x"
		if provider.ID == "" {
			require.ErrorIs(t, p.Validate(), attest.ErrPolicy)
			continue
		}
		_, err = attest.Verify(t.Context(), e, p)
		requireOnly(t, err, attest.ErrKeyProvider)
	}
}

// The gateway's certificate is bound to evidence of the gateway, if that shows a quote for it.
func TestGatewayInfo(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	certificate, _, err := a.Certificate(spec())
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	const account = "https://acme.example/acct/1"
	quote := func(data [64]byte) string {
		s := spec()
		s.ReportData = data
		text, err := quotetest.GetQuote(sign(t, a, s))
		require.NoError(t, err)
		return string(text)
	}
	body := marshal(t, map[string]any{
		"account_uri": account, "account_quote": quote(attest.GatewayAccountReportData(account)), "active_cert": "ignored",
		"quoted_hist_keys": []any{
			map[string]any{"public_key": "00", "quote": ""},
			map[string]any{"public_key": hex.EncodeToString(leaf.RawSubjectPublicKeyInfo), "quote": json.RawMessage(quote(attest.GatewayCertificateReportData(leaf)))},
		},
	})
	info, err := attest.ParseGatewayInfo(body)
	require.NoError(t, err)
	assert.Equal(t, account, info.AccountURI)
	e, err := info.Evidence(leaf)
	require.NoError(t, err)
	p := strict(t, a)
	data := attest.GatewayCertificateReportData(leaf)
	p.ReportData = &data
	_, err = attest.Verify(t.Context(), e, p)
	require.NoError(t, err)
	_, err = attest.Verify(t.Context(), info.Account, p)
	requireOnly(t, err, attest.ErrReportData)
	data = attest.GatewayAccountReportData(info.AccountURI)
	_, err = attest.Verify(t.Context(), info.Account, p)
	require.NoError(t, err)

	other, _, err := a.Certificate(spec())
	require.NoError(t, err)
	leaf, err = x509.ParseCertificate(other.Certificate[0])
	require.NoError(t, err)
	_, err = info.Evidence(leaf)
	require.ErrorIs(t, err, attest.ErrNotPossible)

	for _, body := range []string{"[]", `{"account_quote":"x"}`, `{"account_quote":{}}`, `{"quoted_hist_keys":[{"public_key":"x"}]}`, `{"quoted_hist_keys":[{"quote":"{}"}]}`} {
		_, err := attest.ParseGatewayInfo([]byte(body))
		require.Error(t, err, body)
	}
}

func TestPolicy_Validate(t *testing.T) {
	t.Parallel()
	for text, p := range map[string]attest.Policy{
		`TCB status "uptodate", want one of [UpToDate`: {TCBStatuses: []attest.TCBStatus{"uptodate"}},
		"grace period -1s":             {OutOfDateGrace: -1e9},
		"evaluation number -1":         {MinTCBEvaluation: -1},
		"the SHA-256 of nothing":       {Devices: []kms.DeviceID{{1}, attest.DeviceID(nil)}},
		"device 0":                     {Devices: []kms.DeviceID{{}}},
		`key provider 0 ("local-sgx")`: {KeyProviders: []attest.KeyProvider{{Name: "local-sgx"}}},
		`key provider 0 ("")`:          {KeyProviders: []attest.KeyProvider{{}}},
	} {
		err := p.Validate()
		require.ErrorIs(t, err, attest.ErrPolicy, text)
		assert.ErrorContains(t, err, text)
	}
}
