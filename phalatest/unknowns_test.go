package phalatest_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
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
			require.NoError(t, c.CVMs.WaitFor(t.Context(), vm.VMUUID, status))
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
