package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

func TestApp_EveryInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		app := first.ID
		second, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{NodeID: 12}, trust)
		require.NoError(t, err)

		policy := s.AttestationPolicy()
		result, err := verify.App(t.Context(), c, app, policy)
		require.NoError(t, err)
		require.Len(t, result.Instances, 2)
		assert.Equal(t, first.Last.CVM.VMUUID, result.Instances[0].CVM)
		assert.Equal(t, second.Last.CVM.VMUUID, result.Instances[1].CVM)
		assert.NotEqual(t, result.Instances[0].Report.Attested.InstanceID, result.Instances[1].Report.Attested.InstanceID)
		assert.NotEqual(t, result.Instances[0].Report.Attested.Devices, result.Instances[1].Report.Attested.Devices, "each node is a machine of its own")

		s.Fault("Apps.ListCVMs", phalatest.Fault{Status: http.StatusNotFound})
		result, err = verify.App(t.Context(), c, app, policy)
		require.NoError(t, err, "the app of another workspace")
		assert.Len(t, result.Instances, 2)
		s.Fault("Apps.ListCVMs", phalatest.Fault{Status: http.StatusBadRequest})
		_, err = verify.App(t.Context(), c, app, policy)
		require.ErrorContains(t, err, "400")

		policy.Devices = policy.Devices[:1]
		result, err = verify.App(t.Context(), c, app, policy)
		require.ErrorIs(t, err, attest.ErrDevice)
		var unverified *verify.Error
		require.ErrorAs(t, err, &unverified)
		assert.Equal(t, second.Last.CVM.VMUUID, unverified.CVM)
		require.NoError(t, result.Instances[0].Err)
		data, err := json.Marshal(result.Instances[1])
		require.NoError(t, err)
		assert.Contains(t, string(data), `"error":"cvm \"`+second.Last.CVM.VMUUID)

		_, err = c.CVMs.Stop(t.Context(), second.Last.CVM.VMUUID)
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), second.Last.CVM.VMUUID, "stopped"))
		result, err = verify.App(t.Context(), c, app, policy)
		require.NoError(t, err, "what does not run has nothing to show")
		assert.False(t, result.Instances[1].Report.Verified)
		require.ErrorIs(t, result.Instances[1].Err, attest.ErrNotPossible)
		assert.Equal(t, "stopped", result.Instances[1].Status)

		_, err = c.CVMs.Stop(t.Context(), first.Last.CVM.VMUUID)
		require.NoError(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), first.Last.CVM.VMUUID, "stopped"))
		_, err = verify.App(t.Context(), c, app, policy)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "none of its 2 instances runs")
	})
}

func TestApp_HiddenInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		second, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
		require.NoError(t, err)
		s.TamperAnswer("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["instances"] = m["instances"].([]any)[:1] })
		})
		result, err := verify.App(t.Context(), c, first.ID, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "not among the instances")
		require.Len(t, result.Instances, 2)
		assert.Equal(t, second.Last.CVM.VMUUID, result.Instances[1].CVM)
		require.Error(t, result.Instances[1].Err)
	})
}

func TestApp_CollateralFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		_, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
		require.NoError(t, err)
		_, err = verify.App(t.Context(), c, first.ID, attest.Policy{Roots: s.AttestationPolicy().Roots})
		require.NoError(t, err)
		asked := 0
		for _, operation := range operations(s) {
			if operation == "Attestations.Verify" {
				asked++
			}
		}
		assert.Equal(t, 1, asked)
	})
}

func TestApp_Refuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		r := running(t, c, trust)
		_, err := verify.App(t.Context(), c, r.ID, attest.Policy{AppID: kms.AppID{1}})
		require.ErrorIs(t, err, attest.ErrPolicy)
		_, err = verify.App(t.Context(), c, r.ID, attest.Policy{Measurements: []attest.KnownGood{{}}})
		require.ErrorIs(t, err, attest.ErrPolicy)
		_, err = verify.App(t.Context(), c, r.ID, attest.Policy{})
		require.ErrorIs(t, err, attest.ErrQuoteSignature, "Intel is whom to trust where nobody else is named")
		_, err = verify.App(t.Context(), c, kms.AppID{7}, s.AttestationPolicy())
		require.ErrorContains(t, err, "verify app 07")

		s.TamperAnswer("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["instances"].([]any)[0].(map[string]any)["quote"] = "no hex" })
		})
		result, err := verify.App(t.Context(), c, r.ID, s.AttestationPolicy())
		require.ErrorContains(t, err, "want its bytes, hexadecimal digits")
		assert.Nil(t, result.Instances[0].Report)
	})
}

func TestRepeat_ReportsDrifts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		app := first.ID
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		began := time.Now()
		var replica *deploy.App
		round := 0
		var last error
		for r, err := range verify.Repeat(ctx, c, app, s.AttestationPolicy()) {
			if last = err; err != nil {
				break
			}
			since := r.Time.Sub(began).Truncate(time.Minute)
			switch round++; round {
			case 1:
				require.NoError(t, r.Err)
				assert.Empty(t, r.Drifts)
				assert.Len(t, r.Result.Instances, 1)
				s.Fault("Apps.GetAttestations", phalatest.Fault{Status: http.StatusServiceUnavailable, Times: 4})
			case 2:
				require.ErrorContains(t, r.Err, "503")
				assert.Nil(t, r.Result)
				assert.Equal(t, time.Hour, since)
				replica, err = deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, trust)
				require.NoError(t, err)
			case 3:
				require.NoError(t, r.Err, "a cloud that cannot be asked for a while does not end it")
				assert.Equal(t, time.Hour+time.Minute, since, "it is asked again soon")
				assert.Equal(t, []verify.Drift{{CVM: replica.Last.CVM.VMUUID, Name: "web-1", What: "status", After: "running"}}, r.Drifts)
				require.NoError(t, c.CVMs.Delete(t.Context(), replica.Last.CVM.VMUUID))
				s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = nil })
			case 4:
				require.ErrorIs(t, r.Err, attest.ErrNotPossible)
				assert.Contains(t, r.Drifts, verify.Drift{CVM: replica.Last.CVM.VMUUID, Name: "web-1", What: "status", Before: "running"})
				assert.Contains(t, r.Drifts, verify.Drift{CVM: first.Last.CVM.VMUUID, Name: "web-1", What: "verified", Before: "yes", After: "no"})
				assert.Len(t, r.Drifts, 2, "what is not told is no difference")
				s.TamperEvidence("web-1", nil)
				s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppCompose = flipped(sp.AppCompose) })
			case 5:
				var what []string
				for _, d := range r.Drifts {
					what = append(what, d.What)
					if d.What == "compose hash" {
						assert.Equal(t, first.ComposeHash.String(), d.Before, "from before the round that told nothing")
						assert.Contains(t, d.String(), `"web-1" ("`+first.Last.CVM.VMUUID+`"): compose hash was "`)
					}
				}
				assert.Equal(t, "verified, compose hash", strings.Join(what, ", "), "without an expected hash the other one is in order")
				require.NoError(t, r.Err)
				cancel()
			}
		}
		require.ErrorIs(t, last, context.Canceled)
		assert.Equal(t, 5, round)
	})
}

func TestRepeat_Ends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		for range verify.Repeat(t.Context(), c, app, s.AttestationPolicy()) {
			break
		}
		ends := func(ctx context.Context, policy attest.Policy, interval time.Duration) error {
			var last error
			for _, err := range verify.Repeat(ctx, c, app, policy, verify.WithInterval(interval)) {
				last = err
			}
			return last
		}
		require.ErrorIs(t, ends(t.Context(), attest.Policy{AppID: kms.AppID{1}}, time.Hour), attest.ErrPolicy)
		require.ErrorContains(t, ends(t.Context(), attest.Policy{}, 0), "WithInterval: 0s, must be more than 0")
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Minute)
		defer cancel()
		require.ErrorIs(t, ends(ctx, s.AttestationPolicy(), time.Hour), context.DeadlineExceeded)
	})
}

// Whoever knows an app's id can verify it, without an account.
func TestApp_WithoutAnAccount(t *testing.T) {
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	r := running(t, c, trusting(s))
	policy := s.AttestationPolicy()
	policy.ComposeHashes = []compose.Hash{r.ComposeHash}
	result, err := verify.App(t.Context(), keyless(t, s), r.ID, policy)
	require.NoError(t, err)
	require.Len(t, result.Instances, 1)
	assert.True(t, result.Instances[0].Report.Verified)
}

// An app that keeps its attestation private shows it to its owner alone; its quote is not published.
func TestApp_PrivateQuoteIsNotPublished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		app := first.ID
		for _, operation := range []string{"Apps.ListCVMs", "CVMs.Get"} {
			s.TamperAnswer(operation, func(status int, body []byte) (int, []byte) {
				return status, bytes.ReplaceAll(body, []byte(`"public_tcbinfo":true`), []byte(`"public_tcbinfo":false`))
			})
		}
		policy := s.AttestationPolicy()
		_, err := verify.App(t.Context(), c, app, policy)
		require.NoError(t, err, "with collateral from a source that the policy names")
		policy.Collateral = nil
		_, err = verify.App(t.Context(), c, app, policy)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "keeps its attestation private")
		_, err = verify.CVM(t.Context(), c, first.CVMs[0].ID, policy)
		require.ErrorIs(t, err, attest.ErrNotPossible)
		require.ErrorContains(t, err, "attest.IntelPCS")
		all, err := c.Apps.GetAttestations(t.Context(), app.String())
		require.NoError(t, err)
		for _, r := range s.Requests() {
			assert.NotContains(t, string(r.Body), all.Instances[0].Quote)
		}
	})
}

func TestCVM(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		first := running(t, c, trust)
		policy := s.AttestationPolicy()
		policy.AppID, policy.ComposeHashes = first.ID, []compose.Hash{first.ComposeHash}
		instance, err := verify.CVM(t.Context(), c, "web-1", policy)
		require.NoError(t, err)
		assert.Equal(t, first.CVMs[0].ID, instance.CVM)
		assert.True(t, instance.Report.Verified)
		_, err = instance.Bundle.Verify(t.Context(), policy)
		require.NoError(t, err)

		policy.AppID = kms.AppID{1}
		instance, err = verify.CVM(t.Context(), c, "web-1", policy)
		require.ErrorIs(t, err, attest.ErrAppID, "a name is resolved by the cloud, so that the app is for the policy to say")
		var unverified *verify.Error
		require.ErrorAs(t, err, &unverified)
		assert.Same(t, instance.Report, unverified.Report)

		_, err = verify.CVM(t.Context(), c, "nobody", policy)
		require.ErrorContains(t, err, "not found")
		_, err = verify.CVM(t.Context(), c, "web-1", attest.Policy{InstanceID: "nonsense"})
		require.ErrorIs(t, err, attest.ErrPolicy)
		_, err = verify.CVM(t.Context(), c, "web-1", policy, verify.WithInterval(time.Hour))
		require.ErrorContains(t, err, "is for Repeat")
		_, err = verify.App(t.Context(), c, first.ID, s.AttestationPolicy(), verify.WithInterval(time.Hour))
		require.ErrorContains(t, err, "is for Repeat")
		_, err = verify.CVM(t.Context(), c, "web-1", policy, verify.WithWait(-1))
		require.ErrorContains(t, err, "must not be negative")
	})
}

// Right after a boot the cloud may not have asked the guest yet.
func TestApp_WaitsForEvidence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		began := time.Now()
		s.TamperEvidence("web-1", func(e *attest.Evidence) {
			if time.Since(began) < 20*time.Second {
				e.Quote = nil
			}
		})
		_, err := verify.App(t.Context(), c, app, s.AttestationPolicy())
		require.ErrorIs(t, err, attest.ErrNotPossible)
		_, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithWait(time.Minute))
		require.NoError(t, err)
		assert.Less(t, time.Since(began), 30*time.Second)

		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.Quote = nil })
		_, err = verify.App(t.Context(), c, app, s.AttestationPolicy(), verify.WithWait(time.Minute))
		require.ErrorIs(t, err, attest.ErrNotPossible)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = verify.App(ctx, c, app, s.AttestationPolicy(), verify.WithWait(time.Minute))
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

func TestResult_Bundles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		result, err := verify.App(t.Context(), c, app, s.AttestationPolicy())
		require.NoError(t, err)
		text, err := json.Marshal(result.Bundles())
		require.NoError(t, err)
		bundles, err := attest.ParseBundles(text)
		require.NoError(t, err)
		require.Len(t, bundles, 3, "the instance, the KMS and the gateway")
		assert.Equal(t, app, bundles[0].Policy.AppID, "the app is expected, also later")
		requests := len(s.Requests())
		policy := bundles[0].Policy
		policy.Roots = s.AttestationPolicy().Roots
		report, err := bundles[0].Verify(t.Context(), policy)
		require.NoError(t, err)
		assert.True(t, report.Verified)
		assert.Len(t, s.Requests(), requests)
	})
}
