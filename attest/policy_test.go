package attest_test

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
)

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

func TestParseKMSRootCA(t *testing.T) {
	t.Parallel()
	key := quotetest.KMSRootCA()
	for _, text := range []string{
		hex.EncodeToString(key), "0x" + hex.EncodeToString(key),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key})),
	} {
		got, err := attest.ParseKMSRootCA(text)
		require.NoError(t, err)
		assert.Equal(t, key, got)
	}
	for _, text := range []string{"", "zz", "3059", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		_, err := attest.ParseKMSRootCA(text)
		require.Error(t, err, text)
	}
}

func TestPolicy_Waive(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, quotetest.WithRevokedPCK())
	p := strict(t, a)
	p.Waive = []attest.CheckName{attest.CheckRevocation}
	r, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
	require.NoError(t, err)
	assert.Equal(t, attest.Failed, r.Check(attest.CheckRevocation).Outcome)
	assert.True(t, r.Check(attest.CheckRevocation).Waived)
	assert.Regexp(t, `revocation +failed, waived`, r.String())

	p = strict(t, a)
	p.Collateral = nil
	p.Waive = []attest.CheckName{
		attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation, attest.CheckTDXModule,
		attest.CheckQEIdentity, attest.CheckTCBStatus, attest.CheckAdvisories,
	}
	_, err = attest.Verify(t.Context(), sign(t, a, spec()), p)
	require.ErrorContains(t, err, "tcb-evaluation: not possible to check: it rests on collateral")
	p.MinTCBEvaluation = 0
	_, err = attest.Verify(t.Context(), sign(t, a, spec()), p)
	require.NoError(t, err)
}

func TestPolicy_RefusesContradictions(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for name, change := range map[string]func(*attest.Policy){
		"unknown waiver":     func(p *attest.Policy) { p.Waive = []attest.CheckName{"signatures"} },
		"waived quote":       func(p *attest.Policy) { p.Waive = []attest.CheckName{attest.CheckQuote} },
		"accepts revoked":    func(p *attest.Policy) { p.TCBStatuses = []attest.TCBStatus{attest.Revoked} },
		"allows everything":  func(p *attest.Policy) { p.Measurements = []attest.KnownGood{{Name: "any"}} },
		"bad instance id":    func(p *attest.Policy) { p.InstanceID = "1b" },
		"nameless check":     func(p *attest.Policy) { p.Checks = []attest.CustomCheck{{}} },
		"check named as one": func(p *attest.Policy) { p.Checks[0].Name = attest.CheckDebug },
	} {
		p := strict(t, a)
		change(&p)
		r, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
		require.ErrorIs(t, err, attest.ErrPolicy, name)
		assert.Nil(t, r, name)
	}
}
