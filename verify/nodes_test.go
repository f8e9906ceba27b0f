package verify_test

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

func TestApp_KMSAndGateway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		policy := s.AttestationPolicy()
		result, err := verify.App(t.Context(), c, app, policy)
		require.NoError(t, err)
		require.NoError(t, result.KMS.Err)
		require.NoError(t, result.Gateway.Err)
		assert.True(t, result.KMS.Report.Verified)
		assert.Nil(t, result.KMS.Report.Check("kms-root-keys"), "nothing is pinned")
		assert.Len(t, result.Bundles(), 3)

		node := attest.Policy{Measurements: policy.Measurements, KeyProviders: []attest.KeyProvider{*result.KMS.Report.Attested.KeyProvider}}
		result, err = verify.App(t.Context(), c, app, policy, verify.WithKMS(node, s.KMSRoot()), verify.WithGateway(attest.Policy{}))
		require.NoError(t, err)
		assert.Equal(t, attest.Passed, result.KMS.Report.Check("kms-root-keys").Outcome)
		assert.Zero(t, result.ExitCode())

		other := kms.RootKey{2, 1}
		result, err = verify.App(t.Context(), c, app, policy, verify.WithKMS(node, other))
		require.ErrorIs(t, err, attest.ErrReportData)
		require.ErrorContains(t, err, "kms-root-keys")
		assert.Equal(t, 15, result.ExitCode())
		text, err := result.JUnit()
		require.NoError(t, err)
		assert.Contains(t, string(text), `<testsuite name="kms"`)
		assert.NotContains(t, string(text), `<testsuite name="gateway"`, "what is not asked for is not part of the verdict")

		policy.KMSRootCAs = nil
		_, err = verify.App(t.Context(), c, app, policy, verify.WithKMS(node, s.KMSRoot()))
		require.ErrorContains(t, err, "names no root CA")
		result, err = verify.App(t.Context(), c, app, policy, verify.WithGateway(attest.Policy{AppID: kms.AppID{9}}))
		require.ErrorIs(t, err, attest.ErrAppID)
		assert.Equal(t, 16, result.ExitCode())

		for _, opts := range [][]verify.Option{
			{verify.WithKMS(attest.Policy{InstanceID: "nonsense"}, other)}, {verify.WithGateway(attest.Policy{InstanceID: "nonsense"})},
		} {
			_, err = verify.App(t.Context(), c, app, policy, opts...)
			require.ErrorIs(t, err, attest.ErrPolicy)
		}
		_, err = verify.CVM(t.Context(), c, "web-1", policy, verify.WithGateway(attest.Policy{}))
		require.ErrorContains(t, err, "are for App and Repeat")
	})
}

// The cloud shows another KMS, none, or nonsense. Unless the KMS is asked for, the app alone decides.
func TestApp_KMSOfTheCloudsMaking(t *testing.T) {
	t.Parallel()
	a := authority(t)
	forge := func(t *testing.T, s *phalatest.Server, info []byte) {
		s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["kms_guest_agent_info"] = json.RawMessage(info) })
		})
	}
	for name, tt := range map[string]struct {
		info func(t *testing.T, s *phalatest.Server) []byte
		is   error
	}{
		"none":     {func(*testing.T, *phalatest.Server) []byte { return []byte("null") }, attest.ErrNotPossible},
		"no quote": {func(*testing.T, *phalatest.Server) []byte { return []byte("{}") }, attest.ErrNotPossible},
		"nonsense": {func(*testing.T, *phalatest.Server) []byte { return []byte(`[1]`) }, nil},
		"hardware of its own": {func(t *testing.T, s *phalatest.Server) []byte {
			evidence, err := a.Evidence(quotetest.Spec{ReportData: attest.KMSReportData(s.AttestationPolicy().KMSRootCAs[0], s.KMSRoot())})
			require.NoError(t, err)
			info, err := quotetest.GuestInfo(evidence)
			require.NoError(t, err)
			return info
		}, attest.ErrQuoteSignature},
		"a torn quote": {func(*testing.T, *phalatest.Server) []byte { return []byte(`{"quote":"0400"}`) }, attest.ErrQuote},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, trust := cloud(t)
				app := running(t, c, trust).ID
				forge(t, s, tt.info(t, s))
				result, err := verify.App(t.Context(), c, app, s.AttestationPolicy())
				require.NoError(t, err)
				require.Error(t, result.KMS.Err)
				result, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithKMS(attest.Policy{}, s.KMSRoot()))
				require.Error(t, err)
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
				}
				assert.Equal(t, 15, result.ExitCode())
			})
		})
	}
}

// The snapshot of a real KMS node: its report data binds the published root keys, and its chain of certificates is
// damaged at the source.
func TestKMS_Recorded(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "evidence", "kms-phala.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("no recorded evidence here")
	}
	require.NoError(t, err)
	ca, err := attest.ParseKMSRootCA(attest.PhalaCentralRootCA)
	require.NoError(t, err)
	root, err := kms.ParseRootKey(kms.PhalaCentralRootKey)
	require.NoError(t, err)
	s, c, trust := cloud(t)
	app := running(t, c, trust).ID
	s.TamperResponse("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
		return status, rewritten(body, func(m map[string]any) { m["kms_guest_agent_info"] = json.RawMessage(data) })
	})
	policy := s.AttestationPolicy()
	policy.KMSRootCAs = append(policy.KMSRootCAs, ca)
	real := attest.Policy{Roots: attest.IntelRoots(), Now: func() time.Time { return time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC) }}
	result, err := verify.App(t.Context(), c, app, policy, verify.WithKMS(real, root))
	require.ErrorIs(t, err, attest.ErrQuoteSignature)
	assert.Equal(t, attest.Passed, result.KMS.Report.Check("kms-root-keys").Outcome, "the quote was made for the published keys")
	assert.Equal(t, attest.Failed, result.KMS.Report.Check(attest.CheckSignature).Outcome)
}

func TestGatewayCertificate(t *testing.T) {
	t.Parallel()
	a := authority(t)
	served, err := x509.ParseCertificate(ordinary(t).Certificate[0])
	require.NoError(t, err)
	other, err := x509.ParseCertificate(ordinary(t).Certificate[0])
	require.NoError(t, err)
	spec := app()
	spec.ReportData = attest.GatewayCertificateReportData(served)
	evidence, err := a.Evidence(spec)
	require.NoError(t, err)
	quote, err := quotetest.GetQuote(evidence)
	require.NoError(t, err)
	body, err := json.Marshal(map[string]any{"account_uri": "https://acme.test/1", "quoted_hist_keys": []any{
		map[string]any{"public_key": hex.EncodeToString(served.RawSubjectPublicKeyInfo), "quote": string(quote)},
	}})
	require.NoError(t, err)
	info, err := attest.ParseGatewayInfo(body)
	require.NoError(t, err)

	instance, err := verify.GatewayCertificate(t.Context(), info, served, expecting(t, a))
	require.NoError(t, err)
	assert.Equal(t, attest.Passed, instance.Report.Check(attest.CheckReportData).Outcome)
	_, err = verify.GatewayCertificate(t.Context(), info, other, expecting(t, a))
	require.ErrorIs(t, err, attest.ErrNotPossible)

	// A quote that was made for another key stands beside this one.
	swapped := bytes.Replace(body, []byte(hex.EncodeToString(served.RawSubjectPublicKeyInfo)), []byte(hex.EncodeToString(other.RawSubjectPublicKeyInfo)), 1)
	info, err = attest.ParseGatewayInfo(swapped)
	require.NoError(t, err)
	_, err = verify.GatewayCertificate(t.Context(), info, other, expecting(t, a))
	require.ErrorIs(t, err, attest.ErrReportData)
}
