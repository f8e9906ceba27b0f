package deploy_test

import (
	"net/http"
	"strings"
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
)

func TestAttach_TakesTheDocumentThatTheHardwareProves(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]phalatest.Option{"new evidence": nil, "old evidence": {phalatest.WithOldEvidence()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t, opts...)
				want := running(t, c, with)
				app, err := deploy.Attach(t.Context(), c, want.ID, s.AttestationPolicy(), deploy.WithKMSRoot(s.KMSRoot()))
				require.NoError(t, err)
				assert.Equal(t, want.Document, app.Document)
				assert.Equal(t, want.ComposeHash, app.ComposeHash)
				assert.Equal(t, want.Secrets, app.Secrets)
				assert.Equal(t, want.KMSRoot, app.KMSRoot)
				assert.Equal(t, want.KeyProvider, app.KeyProvider)
				assert.Equal(t, want.CVMs, app.CVMs)

				next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, trusting(s))
				require.NoError(t, err)
				requireEnv(t, s, next.CVMs[0].ID, secrets())
			})
		})
	}
}

func TestAttach_RefusesEvidenceThatDoesNotVerify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		s.ForgeQuote("web-1", quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] = 1 }))
		_, err := deploy.Attach(t.Context(), c, app.ID, s.AttestationPolicy())
		var unverified *deploy.VerificationError
		require.ErrorAs(t, err, &unverified)
		require.NotNil(t, unverified.Report)
	})
}

func TestAttach_WithoutEvidenceTrustsNothingButByName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		want := running(t, c, with)
		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = nil })
		s.Fault("CVMs.GetAttestation", phalatest.Fault{Status: http.StatusNotFound, Times: -1})
		_, err := deploy.Attach(t.Context(), c, want.ID, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "TrustDocumentFromCloud")
		app, err := deploy.Attach(t.Context(), c, want.ID, s.AttestationPolicy(), deploy.TrustDocumentFromCloud())
		require.NoError(t, err)
		assert.Equal(t, want.Document, app.Document)
		assert.Equal(t, deploy.Waived, outcomes(app.Last.Comparisons)[deploy.ComparedDocument])
	})
}

func TestAttach_OfSeveralDocumentsOneMustBeNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		two, err := deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, with.change...)
		require.NoError(t, err)
		next, err := deploy.Update(t.Context(), c, two, deploy.UpdateSpec{CVM: two.CVMs[1].ID, PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		require.NoError(t, err)
		require.NotEqual(t, next.CVMs[0].ComposeHash, next.CVMs[1].ComposeHash)
		_, err = deploy.Attach(t.Context(), c, app.ID, s.AttestationPolicy())
		require.ErrorContains(t, err, "name one in policy.ComposeHashes")

		// The other CVM catches up with the document of the anchor.
		both, err := deploy.Update(t.Context(), c, next, deploy.UpdateSpec{CVM: next.CVMs[0].ID}, with.change...)
		require.NoError(t, err)
		assert.Equal(t, both.CVMs[0].ComposeHash, both.CVMs[1].ComposeHash)
	})
}

func TestAttach_EndsAtWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*phalatest.Server)
		is     error
		what   string
	}{
		"another document booted": {func(s *phalatest.Server) {
			s.TamperEvidence("web-1", func(e *attest.Evidence) { e.AppCompose = flipped(e.AppCompose) })
		}, attest.ErrComposeText, ""},
		"the evidence of another app": {func(s *phalatest.Server) {
			s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppID = kms.AppID{1} })
		}, attest.ErrAppID, ""},
		"the CVM of another app": {func(s *phalatest.Server) {
			s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["app_id"] = kms.AppID{1}.String() })
			})
		}, nil, deploy.ComparedAppID},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				sp := spec(t)
				if name == "the evidence of another app" {
					tt.change(s)
				}
				app, err := deploy.Run(t.Context(), c, sp, append(with.run[:len(with.run)-1], deploy.SkipVerification())...)
				require.NoError(t, err)
				tt.change(s)
				_, err = deploy.Attach(t.Context(), c, app.ID, s.AttestationPolicy(), deploy.TrustDocumentFromCloud())
				if tt.what != "" {
					requireMismatch(t, err, tt.what)
					return
				}
				require.ErrorIs(t, err, tt.is, "what is wrong is an error although the cloud is trusted for what is missing")
				var unverified *deploy.VerificationError
				require.ErrorAs(t, err, &unverified)
			})
		})
	}
}

func TestAttach_NeedsACVMThatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		_, err := c.CVMs.Stop(t.Context(), "web-1")
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "stopped"))
		_, err = deploy.Attach(t.Context(), c, app.ID, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "none of its 1 CVMs runs")
		_, err = deploy.Attach(t.Context(), c, kms.AppID{}, s.AttestationPolicy())
		require.ErrorContains(t, err, "the app id is zero")
		_, err = deploy.Attach(t.Context(), c, app.ID, attest.Policy{InstanceID: "nonsense"})
		require.ErrorIs(t, err, attest.ErrPolicy)
	})
}

// If the CVMs of an app run several documents, the caller names the one that counts.
func TestAttach_TakesTheDocumentThatThePolicyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		two, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, with.change...)
		require.NoError(t, err)
		next, err := deploy.Update(t.Context(), c, two, script("echo 2"), with.change...)
		require.NoError(t, err)

		policy := s.AttestationPolicy()
		_, err = deploy.Attach(t.Context(), c, first.ID, policy)
		require.ErrorContains(t, err, "its CVMs run 2 documents")
		require.ErrorContains(t, err, first.ComposeHash.String())
		require.ErrorContains(t, err, next.ComposeHash.String())
		for _, want := range []*deploy.App{first, next} {
			policy.ComposeHashes = []compose.Hash{want.ComposeHash}
			app, err := deploy.Attach(t.Context(), c, first.ID, policy)
			require.NoError(t, err)
			assert.Equal(t, want.Document, app.Document)
			assert.ElementsMatch(t, next.CVMs, app.CVMs, "each CVM with what it runs")
		}
		policy.ComposeHashes = []compose.Hash{{1}}
		_, err = deploy.Attach(t.Context(), c, first.ID, policy)
		require.ErrorIs(t, err, attest.ErrComposeHash)
	})
}

func TestAttach_ComparesWithTheContract(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	app := running(t, x.c, x.with)
	attached, err := deploy.Attach(t.Context(), x.c, app.ID, x.AttestationPolicy(), deploy.WithChain(x.flow))
	require.NoError(t, err)
	assert.Equal(t, app.Document, attached.Document)
	assert.Equal(t, app.Owner, attached.Owner)
	assert.Equal(t, app.KMSRoot, attached.KMSRoot)
	assert.Equal(t, app.ChainID, attached.ChainID)
	assert.Equal(t, app.KMSContract, attached.KMSContract)

	_, err = deploy.Attach(t.Context(), x.c, app.ID, x.AttestationPolicy(), deploy.WithChain(x.flow), deploy.WithKMSRoot(kms.RootKey{2}))
	requireMismatch(t, err, deploy.ComparedKMSRoot)
	_, err = deploy.Attach(t.Context(), x.c, app.ID, x.AttestationPolicy(), deploy.WithChain(noRoot{x.flow}))
	require.ErrorContains(t, err, "no root")
	_, err = x.flow.RemoveComposeHash(t.Context(), app.ID, app.ComposeHash, kms.Journal{})
	require.NoError(t, err)
	_, err = deploy.Attach(t.Context(), x.c, app.ID, x.AttestationPolicy(), deploy.WithChain(x.flow))
	require.ErrorIs(t, err, deploy.ErrNotAllowed)
}

// Without evidence the contract proves the document: its hash is allowed.
func TestAttach_TakesADocumentThatTheContractAllows(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	app := private(t, x.c, x.with)
	attached, err := deploy.Attach(t.Context(), x.c, app.ID, x.AttestationPolicy(), deploy.WithChain(x.flow))
	require.NoError(t, err)
	assert.Equal(t, app.Document, attached.Document)
	assert.Equal(t, deploy.Confirmed, check(t, attached.Last.Comparisons, deploy.ComparedContract).Outcome)
	assert.Equal(t, deploy.Undecided, check(t, attached.Last.Comparisons, deploy.ComparedAttestation).Outcome)

	x.TamperResponse("CVMs.GetComposeFile", func(status int, body []byte) (int, []byte) {
		return status, []byte(strings.ReplaceAll(string(body), "nginx", "miner"))
	})
	x.TamperResponse("Apps.GetAttestations", func(int, []byte) (int, []byte) { return 404, []byte(`{}`) })
	_, err = deploy.Attach(t.Context(), x.c, app.ID, x.AttestationPolicy(), deploy.WithChain(x.flow))
	require.ErrorContains(t, err, "the cloud has no text with the compose hash "+app.ComposeHash.String())
}

// A document that the policy does not name is not taken, although the cloud is trusted for it.
func TestAttach_RefusesADocumentThatThePolicyDoesNotName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := private(t, c, with)
		policy := s.AttestationPolicy()
		policy.ComposeHashes = []compose.Hash{{1}}
		_, err := deploy.Attach(t.Context(), c, app.ID, policy, deploy.TrustDocumentFromCloud())
		requireMismatch(t, err, deploy.ComparedComposeHash)
		policy.ComposeHashes = []compose.Hash{app.ComposeHash}
		attached, err := deploy.Attach(t.Context(), c, app.ID, policy, deploy.TrustDocumentFromCloud())
		require.NoError(t, err)
		assert.Zero(t, attached.KMSRoot, "nobody pinned one")
	})
}

// private deploys an app that keeps its attestation to itself.
func private(t testing.TB, c *client.Client, with options) *deploy.App {
	t.Helper()
	sp := spec(t)
	sp.Compose.PublicTCBInfo = openapi.Ptr(false)
	app, err := deploy.Run(t.Context(), c, sp, append(with.run[:len(with.run)-1], deploy.SkipVerification())...)
	require.NoError(t, err)
	return app
}

func TestApp_DocumentMustHaveItsHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		app := running(t, c, with)
		app.Document += " "
		_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, with.change...)
		require.ErrorContains(t, err, "its document has the compose hash")
		app.ComposeHash = compose.Sum([]byte(app.Document))
		app.ID = kms.AppID{}
		_, err = deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, with.change...)
		require.ErrorContains(t, err, "no app id")
		_, err = deploy.Update(t.Context(), c, nil, deploy.UpdateSpec{Env: secrets()}, with.change...)
		require.Error(t, err)
	})
}
