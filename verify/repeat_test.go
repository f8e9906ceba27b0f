package verify_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

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

// The KMS and the gateway of the app may be anything; Repeat goes on.
func TestRepeat_GoesOnWhateverTheCloudShows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust).ID
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		round := 0
		for r, err := range verify.Repeat(ctx, c, app, s.AttestationPolicy(), verify.WithInterval(time.Minute), verify.WithKMS(attest.Policy{}, s.KMSRoot())) {
			if err != nil {
				require.ErrorIs(t, err, context.Canceled)
				break
			}
			switch round++; round {
			case 1:
				require.NoError(t, r.Err)
				tamper(s, func(m map[string]any, _ []any) { m["kms_guest_agent_info"] = nil })
			case 2:
				require.ErrorIs(t, r.Err, attest.ErrNotPossible)
				s.TamperResponse("Apps.GetAttestations", nil)
				s.BootInstead("web-1", func(sp *quotetest.Spec) { sp.AppID[0] ^= 1 })
			case 3:
				require.ErrorIs(t, r.Err, attest.ErrAppID)
				cancel()
			}
		}
		assert.Equal(t, 3, round)
	})
}
