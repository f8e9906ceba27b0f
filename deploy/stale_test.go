package deploy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
)

// After an update the cloud may go on for a while showing the evidence of the boot before.
func TestEvidenceFromBeforeAnUpdate(t *testing.T) {
	t.Parallel()
	for name, stale := range map[string]time.Duration{"for a while": 20 * time.Second, "for ever": time.Hour} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, root := cloud(t)
				before := running(t, c, root)
				evidence, err := c.Apps.GetAttestations(t.Context(), before.State.AppID.String())
				require.NoError(t, err)
				old, err := attest.FromApp(evidence)
				require.NoError(t, err)
				began := time.Now()
				s.TamperEvidence("web-1", func(e *attest.Evidence) {
					if time.Since(began) < stale {
						*e = old[0]
					}
				})
				done, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, root)
				if stale == time.Hour {
					require.ErrorIs(t, err, attest.ErrComposeHash)
					assert.Less(t, time.Since(began), 3*time.Minute)
					return
				}
				require.NoError(t, err)
				assert.True(t, done.Report.Verified)
				assert.GreaterOrEqual(t, time.Since(began), stale)
			})
		})
	}
}

// A first boot has no evidence from before: what is wrong is wrong at once.
func TestWrongEvidenceOfAFirstBoot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		s.TamperEvidence("web-1", func(e *attest.Evidence) { e.AppCompose += " " })
		began := time.Now()
		_, err := deploy.Run(t.Context(), c, spec(t), root)
		require.ErrorIs(t, err, attest.ErrComposeText)
		assert.Less(t, time.Since(began), 30*time.Second)
	})
}
