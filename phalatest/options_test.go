package phalatest_test

import (
	"context"
	"crypto/ecdsa"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestUnknowns_RunEitherWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, stays := range []bool{false, true} {
			var opts []phalatest.Option
			if stays {
				opts = append(opts, phalatest.WithStoppedUpdates())
			}
			s := phalatest.New(t, opts...)
			c, err := s.Client()
			require.NoError(t, err)
			vm := deployed(t, c, "web-1")
			_, err = c.CVMs.Stop(t.Context(), vm.VMUUID)
			require.NoError(t, err)
			require.NoError(t, c.CVMs.WaitFor(t.Context(), vm.VMUUID, "stopped"))
			_, err = c.CVMs.UpdateDockerCompose(t.Context(), vm.VMUUID, "services: {b: {}}\n", nil)
			require.NoError(t, err)
			status := "running"
			if stays {
				status = "stopped"
			}
			require.NoError(t, c.CVMs.WaitFor(t.Context(), vm.VMUUID, openapi.CVMStatus(status)))
			synctest.Wait()
			after, err := c.CVMs.Get(t.Context(), vm.VMUUID)
			require.NoError(t, err)
			assert.EqualValues(t, status, after.Status)
			assert.NotEqual(t, vm.ComposeHash, after.ComposeHash)
		}
	})
}

func TestDeviceRule_DecidesTheIDOfANode(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, rule := range []phalatest.DeviceRule{phalatest.DeviceOfPPID, phalatest.DeviceOfUserData, phalatest.DevicePlaceholder} {
		s := phalatest.New(t, phalatest.WithDeviceRule(rule))
		c, err := s.Client()
		require.NoError(t, err)
		nodes, err := c.Nodes.ListAvailable(t.Context())
		require.NoError(t, err)
		ids[nodes.Nodes[0].DeviceID] = true
	}
	assert.Len(t, ids, 3)
	assert.True(t, ids["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
	_, err := phalatest.Start(phalatest.WithDeviceRule(7))
	require.Error(t, err)
	_, err = phalatest.Start(phalatest.WithTransactionRule(7))
	require.Error(t, err)
}

func TestOldEvidence_HasNoTCBInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phalatest.New(t, phalatest.WithOldEvidence())
		c, err := s.Client()
		require.NoError(t, err)
		vm := deployed(t, c, "web-1")
		all, err := c.Apps.GetAttestations(t.Context(), vm.AppID)
		require.NoError(t, err)
		one := all.Instances[0]
		assert.Nil(t, one.TCBInfo)
		assert.NotEmpty(t, one.EventLog)
		assert.Equal(t, vm.ComposeHash, compose.Sum([]byte(one.ComposeFile)).String())
	})
}

// contract is a chain that allows everything, with one transaction that a Safe has executed.
type contract struct {
	key      *ecdsa.PrivateKey
	executed common.Hash
}

func (contract) ChainID() uint64             { return 8453 }
func (contract) KMSContract() common.Address { return common.Address{1} }
func (c contract) KMSKey() *ecdsa.PrivateKey { return c.key }
func (contract) KMSRootCA() []byte           { return nil }

func (contract) App(context.Context, kms.AppID) (known bool, deployer, owner common.Address, err error) {
	return true, common.Address{3}, common.Address{3}, nil
}

func (contract) Allowance(context.Context, kms.AppID, [32]byte, kms.DeviceID) (kms.Allowance, error) {
	return kms.Allowance{ComposeHash: true, Device: true}, nil
}

func (c contract) Transaction(_ context.Context, tx common.Hash) (mined, worked bool, to common.Address, err error) {
	return tx == c.executed, tx == c.executed, common.Address{2}, nil
}

func TestTransactionRule_AfterASafeExecuted(t *testing.T) {
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	chain := contract{key: key, executed: common.Hash{7}}
	safeHash := common.Hash{9} // the Safe's own, which no transaction has
	synctest.Test(t, func(t *testing.T) {
		for rule, accepted := range map[phalatest.TransactionRule][]common.Hash{
			phalatest.TransactionToApp: {{}}, phalatest.TransactionMined: {{}, chain.executed}, phalatest.TransactionAny: {{}, chain.executed, safeHash},
		} {
			s := phalatest.New(t, phalatest.WithChain(chain), phalatest.WithTransactionRule(rule))
			c, err := s.Client(client.WithoutRetry())
			require.NoError(t, err)
			r := request("web-1")
			r.KMS = openapi.Ptr(openapi.KMSType("BASE"))
			p, err := c.CVMs.Provision(t.Context(), r)
			require.NoError(t, err)
			vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: kms.AppID{5}.String(), ComposeHash: p.ComposeHash})
			require.NoError(t, err)
			for i, tx := range []common.Hash{{}, chain.executed, safeHash} {
				require.NoError(t, c.CVMs.WaitFor(t.Context(), vm.VMUUID, "running"))
				text := "services: {b" + string(rune('a'+i)) + ": {}}\n"
				_, err := c.CVMs.Update(t.Context(), vm.VMUUID, openapi.UpdateCVMRequest{DockerComposeFile: &text}, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)})
				var required *client.HashRegistrationRequired
				require.ErrorAs(t, err, &required)
				_, err = c.CVMs.CommitUpdate(t.Context(), vm.VMUUID, &openapi.CommitUpdateRequest{
					Token: &required.CommitToken, ComposeHash: &required.ComposeHash, TransactionHash: openapi.Ptr(tx.Hex()),
				}, nil)
				if slices.Contains(accepted, tx) {
					require.NoError(t, err, "rule %d, transaction %s", rule, tx)
				} else {
					require.ErrorIs(t, err, client.ErrTxVerificationFailed, "rule %d, transaction %s", rule, tx)
				}
			}
		}
	})
}
