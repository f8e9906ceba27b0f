package phalatest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// attested is a running CVM on a fake cloud.
func attested(t testing.TB, opts ...phalatest.Option) (*phalatest.Server, *client.Client, *deploy.App) {
	t.Helper()
	s := phalatest.New(t, opts...)
	c, err := s.Client()
	require.NoError(t, err)
	r, err := deploy.Run(t.Context(), c, spec(t, "web-1"), deploy.WithKMSRoot(s.KMSRoot()), deploy.WithTeamWallet(s.TeamWallet()), deploy.SkipVerification())
	require.NoError(t, err)
	return s, c, r
}

func policyOf(s *phalatest.Server, r *deploy.App) attest.Policy {
	p := s.AttestationPolicy()
	p.AppID, p.ComposeHashes, p.InstanceID = r.ID, []compose.Hash{r.ComposeHash}, r.Last.CVM.InstanceID
	return p
}

// The evidence of both operations passes the same strict policy, with equal results.
func TestEvidence_PassesVerification(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, r := attested(t)
		policy := policyOf(s, r)

		one, err := c.CVMs.GetAttestation(t.Context(), r.CVMs[0].ID)
		require.NoError(t, err)
		assert.True(t, one.IsOnline)
		assert.Empty(t, one.Error)
		evidence, err := attest.FromCVM(one)
		require.NoError(t, err)
		_, err = attest.Verify(t.Context(), evidence, policy)
		require.NoError(t, err)
		require.Len(t, one.AppCertificates, 1)
		assert.Equal(t, r.ID.String(), one.AppCertificates[0].AppID)

		all, err := c.Apps.GetAttestations(t.Context(), r.ID.String())
		require.NoError(t, err)
		others, err := attest.FromApp(all)
		require.NoError(t, err)
		report, err := attest.Verify(t.Context(), others[0], policy)
		require.NoError(t, err)
		assert.Equal(t, evidence.Quote, others[0].Quote, "signed once")
		instance := all.Instances[0]
		assert.Equal(t, instance.DeviceID, report.Attested.Devices.PPID.String())
		assert.Equal(t, instance.FMSPC, report.Attested.FMSPC)
		assert.Equal(t, instance.MRConfigID, report.Quote.MRConfigID.String())
		assert.Equal(t, instance.TEETCBSVN, hex.EncodeToString(report.Quote.TEETCBSVN[:]))
		ppid, err := hex.DecodeString(instance.PPID)
		require.NoError(t, err)
		device := sha256.Sum256(ppid)
		assert.Equal(t, instance.DeviceID, hex.EncodeToString(device[:]))
		contracts, err := c.KMS.List(t.Context(), nil, client.WithAPIVersion("2026-06-23"))
		require.NoError(t, err)
		assert.Equal(t, contracts.Items[0].CAPublicKey, report.Attested.KeyProvider.ID, "the API names the CA that the hardware names")

		evaluation, err := c.Apps.EvaluateTCB(t.Context(), r.ID.String())
		require.NoError(t, err)
		assert.True(t, *evaluation.Instances[0].EvaluationOK)
		assert.Equal(t, "UpToDate", evaluation.Instances[0].EvaluationStatus)
	})
}

// The registry verifies quotes of this cloud, and has their collateral.
func TestRegistry_Verifies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, r := attested(t)
		all, err := c.Apps.GetAttestations(t.Context(), r.ID.String())
		require.NoError(t, err)
		evidence, err := attest.FromApp(all)
		require.NoError(t, err)

		uploaded, err := c.Attestations.Verify(t.Context(), openapi.VerifyQuoteRequest{Hex: all.Instances[0].Quote})
		require.NoError(t, err)
		assert.True(t, uploaded.Success)
		assert.True(t, *uploaded.Quote.Verified)
		require.NotNil(t, uploaded.QuoteCollateral)

		policy := policyOf(s, r)
		policy.Collateral = verify.CloudCollateral(c)
		policy.Cloud = func(ctx context.Context, quote []byte) (*openapi.QuoteVerification, error) {
			return c.Attestations.Verify(ctx, openapi.VerifyQuoteRequest{Hex: hex.EncodeToString(quote)})
		}
		report, err := attest.Verify(t.Context(), evidence[0], policy)
		require.NoError(t, err)
		assert.Equal(t, attest.Passed, report.Check(attest.CheckCloud).Outcome)

		forged := evidence[0].Quote
		forged[600] ^= 1
		answer, err := c.Attestations.Verify(t.Context(), openapi.VerifyQuoteRequest{Hex: hex.EncodeToString(forged)})
		require.NoError(t, err)
		assert.False(t, *answer.Quote.Verified)

		foreign, err := quotetest.New()
		require.NoError(t, err)
		theirs, err := foreign.Evidence(quotetest.Spec{})
		require.NoError(t, err)
		answer, err = c.Attestations.Verify(t.Context(), openapi.VerifyQuoteRequest{Hex: hex.EncodeToString(theirs.Quote)})
		require.NoError(t, err)
		assert.False(t, *answer.Quote.Verified, "a root of somebody else's")
		assert.Nil(t, answer.QuoteCollateral)
	})
}

// Each field of the evidence can be forged, and the verification detects it.
func TestServer_ForgedEvidenceIsFoundOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		forge func(*phalatest.Server)
		is    error
	}{
		"text":        {substitute(func(s *quotetest.Spec) { s.AppCompose += " " }), attest.ErrComposeHash},
		"app":         {substitute(func(s *quotetest.Spec) { s.AppID = kms.AppID{1} }), attest.ErrAppID},
		"instance":    {substitute(func(s *quotetest.Spec) { s.InstanceID = "" }), attest.ErrInstanceID},
		"KMS":         {substitute(func(s *quotetest.Spec) { s.KeyProvider.ID = "00" }), attest.ErrKeyProvider},
		"image":       {substitute(func(s *quotetest.Spec) { s.OSImage = quotetest.NewOSImage("forged") }), attest.ErrMeasurement},
		"image hash":  {substitute(func(s *quotetest.Spec) { s.OSImageHash = [32]byte{1} }), attest.ErrOSImage},
		"quote":       {forge(quotetest.ChangeQuote(func(q *attest.Quote) { q.RTMR[2][0] ^= 1 })), attest.ErrReplay},
		"log":         {forge(quotetest.ChangeLog(func(log []attest.Event) []attest.Event { return log[:len(log)-1] })), attest.ErrMissingEvent},
		"enclave":     {forge(quotetest.ChangeQuotingEnclave(func(report []byte) { report[128] ^= 1 })), attest.ErrQEIdentity},
		"shown quote": {tamper(func(e *attest.Evidence) { e.Quote[200] ^= 1 }), attest.ErrQuoteSignature},
		"shown log":   {tamper(func(e *attest.Evidence) { e.EventLog[3].Digest[0] ^= 1 }), attest.ErrReplay},
		"shown text":  {tamper(func(e *attest.Evidence) { e.AppCompose += " " }), attest.ErrComposeText},
		"no quote":    {tamper(func(e *attest.Evidence) { e.Quote = nil }), attest.ErrNotPossible},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, r := attested(t)
				verify := func() error {
					all, err := c.Apps.GetAttestations(t.Context(), r.ID.String())
					require.NoError(t, err)
					evidence, err := attest.FromApp(all)
					require.NoError(t, err)
					_, err = attest.Verify(t.Context(), evidence[0], policyOf(s, r))
					return err
				}
				require.NoError(t, verify())
				tt.forge(s)
				require.ErrorIs(t, verify(), tt.is)
				s.BootInstead("web-1", nil)
				s.ForgeQuote("web-1")
				s.TamperEvidence("web-1", nil)
				require.NoError(t, verify(), "it can be taken back")
			})
		})
	}
}

func substitute(change func(*quotetest.Spec)) func(*phalatest.Server) {
	return func(s *phalatest.Server) { s.BootInstead("web-1", change) }
}

func forge(change quotetest.Change) func(*phalatest.Server) {
	return func(s *phalatest.Server) { s.ForgeQuote("web-1", change) }
}

func tamper(change func(*attest.Evidence)) func(*phalatest.Server) {
	return func(s *phalatest.Server) { s.TamperEvidence("web-1", change) }
}

func TestWithHardware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, r := attested(t, phalatest.WithHardware(quotetest.WithTCBStatus(attest.SWHardeningNeeded, "INTEL-SA-00001")))
		evaluation, err := c.Apps.EvaluateTCB(t.Context(), r.ID.String())
		require.NoError(t, err)
		assert.False(t, *evaluation.Instances[0].EvaluationOK)
		assert.Equal(t, "SWHardeningNeeded", evaluation.Instances[0].EvaluationStatus)

		policy := s.AttestationPolicy()
		_, err = verify.App(t.Context(), c, r.ID, policy)
		require.ErrorIs(t, err, attest.ErrTCBStatus)
		policy.TCBStatuses = []attest.TCBStatus{attest.UpToDate, attest.SWHardeningNeeded}
		_, err = verify.App(t.Context(), c, r.ID, policy)
		require.NoError(t, err)
		policy.Advisories = []string{}
		_, err = verify.App(t.Context(), c, r.ID, policy)
		require.ErrorIs(t, err, attest.ErrAdvisory)
	})
}

// A CVM that does not run, or whose attestation is private, has no evidence but a reason.
func TestEvidence_None(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, r := attested(t)
		_, err := c.CVMs.Stop(t.Context(), "web-1")
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "stopped"))
		one, err := c.CVMs.GetAttestation(t.Context(), "web-1")
		require.NoError(t, err)
		assert.Equal(t, "the CVM is not running", one.Error)
		assert.Nil(t, one.TCBInfo)
		all, err := c.Apps.GetAttestations(t.Context(), r.ID.String())
		require.NoError(t, err)
		assert.Empty(t, all.Instances[0].Quote)
		assert.Equal(t, "the CVM is not running", all.Instances[0].Error)
		evaluation, err := c.Apps.EvaluateTCB(t.Context(), r.ID.String())
		require.NoError(t, err)
		assert.Nil(t, evaluation.Instances[0].EvaluationOK)
	})
}

func BenchmarkAttestation(b *testing.B) {
	s, c, r := attested(b)
	policy := s.AttestationPolicy()
	b.ResetTimer()
	for b.Loop() {
		_, err := verify.App(b.Context(), c, r.ID, policy)
		require.NoError(b, err)
	}
}
