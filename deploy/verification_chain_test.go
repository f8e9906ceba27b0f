package deploy_test

import (
	"context"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// The contract of the KMS names the CA that the hardware must have measured.
func TestTheKMSOfTheContractGaveTheKeys(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	policy := x.AttestationPolicy()
	policy.KMSRootCAs = nil
	r, err := deploy.Run(t.Context(), x.c, spec(t), deploy.WithChain(x.flow), deploy.WithVerification(policy))
	require.NoError(t, err)
	assert.Equal(t, attest.Passed, r.Report.Check(attest.CheckKeyProvider).Outcome)
	ca, err := x.flow.RootCA(t.Context())
	require.NoError(t, err)
	assert.Equal(t, hex.EncodeToString(ca), r.Report.Attested.KeyProvider.ID)

	x.BootInstead("web-1", func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{} })
	_, err = deploy.Resume(t.Context(), x.c, spec(t), &r.State, deploy.WithChain(x.flow), deploy.WithVerification(policy))
	require.ErrorIs(t, err, attest.ErrKeyProvider)

	_, err = deploy.Resume(t.Context(), x.c, spec(t), &r.State, deploy.WithChain(noCA{x.flow}), deploy.WithVerification(policy))
	require.ErrorContains(t, err, "the root CA of the KMS: the endpoint is down")
}

type noCA struct{ onchain.Flow }

func (noCA) RootCA(context.Context) ([]byte, error) { return nil, errors.New("the endpoint is down") }
