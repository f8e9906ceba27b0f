package deploy_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestRun_ProductionImageUnlessDevelopmentIsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		assert.False(t, *app.Last.CVM.OS.IsDev)
		assert.False(t, app.OS.Development)
		assert.Equal(t, deploy.Consistent, outcomes(app.Last.Comparisons)[deploy.ComparedOS])

		sp := spec(t)
		sp.Name, sp.OS = "dev-1", deploy.Development
		dev, err := deploy.Run(t.Context(), c, sp, with.run...)
		require.NoError(t, err, "a development image that was asked for by name is accepted")
		assert.True(t, *dev.Last.CVM.OS.IsDev)
		assert.True(t, dev.OS.Development)
		production := dev.Last.Report.Check(attest.CheckProductionOS)
		assert.Equal(t, attest.Failed, production.Outcome)
		assert.True(t, production.Waived)

		// Who attaches has not asked for it.
		policy := s.AttestationPolicy()
		_, err = deploy.Attach(t.Context(), c, dev.ID, policy, deploy.WithKMSRoot(s.KMSRoot()))
		require.ErrorIs(t, err, attest.ErrDevelopmentOS)
		policy.Waive = []attest.CheckName{attest.CheckProductionOS}
		again, err := deploy.Attach(t.Context(), c, dev.ID, policy, deploy.WithKMSRoot(s.KMSRoot()))
		require.NoError(t, err)
		assert.True(t, again.OS.Development)
	})
}

func TestRun_CloudChoosesADevelopmentImage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		sp := spec(t)
		for image, err := range c.OSImages.All(t.Context(), nil) {
			require.NoError(t, err)
			if image.IsDev {
				sp.Image = image.Name
			}
		}
		require.NotEmpty(t, sp.Image)
		_, err := deploy.Run(t.Context(), c, sp, with.run...)
		requireMismatch(t, err, deploy.ComparedOS)
		assert.NotContains(t, operations(s), "CVMs.Create", "before a secret is encrypted")
		assert.NotContains(t, operations(s), "KMS.GetAppEnvPublicKey")
	})
}

func TestRun_CVMRunsAnotherImage(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]any){
		"development":   func(os map[string]any) { os["is_dev"] = true },
		"another image": func(os map[string]any) { os["name"] = "dstack-9.9.9" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
					return status, rewritten(body, func(m map[string]any) {
						if os, ok := m["os"].(map[string]any); ok {
							change(os)
						}
					})
				})
				_, err := deploy.Run(t.Context(), c, spec(t), with.run...)
				requireMismatch(t, err, deploy.ComparedOS)
			})
		})
	}
}

// A cloud that does not report the image leaves the check open.
func TestRun_ReportsAnImageThatNobodyNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["os"] = nil })
		})
		s.Fault("OSImages.List", phalatest.Fault{Status: 500, Times: -1})
		app := running(t, c, with)
		assert.Equal(t, deploy.Undecided, check(t, app.Last.Comparisons, deploy.ComparedOS).Outcome)
		assert.True(t, app.OS.Measured, "the hardware has measured it")
	})
}
