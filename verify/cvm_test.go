package verify_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

func TestEvidence(t *testing.T) {
	t.Parallel()
	a := authority(t)
	_, evidence, err := a.Certificate(app())
	require.NoError(t, err)
	instance, err := verify.Evidence(t.Context(), evidence, expecting(t, a), verify.WithDocument([]byte(`{"name":"app"}`)))
	require.NoError(t, err)
	assert.True(t, instance.Report.Verified)
	assert.NotNil(t, instance.Bundle)
	_, other, err := a.Certificate(quotetest.Spec{AppCompose: "{}"})
	require.NoError(t, err)
	instance, err = verify.Evidence(t.Context(), other, expecting(t, a))
	require.ErrorIs(t, err, attest.ErrComposeHash)
	assert.False(t, instance.Report.Verified)
	instance, err = verify.Evidence(t.Context(), evidence, attest.Policy{InstanceID: "nonsense"})
	require.ErrorIs(t, err, attest.ErrPolicy)
	assert.Nil(t, instance)
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
