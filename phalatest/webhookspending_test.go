package phalatest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// An update that was prepared is announced with the token that commits it.
func TestPreparedUpdate_IsAnnounced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		_, c := start(t, phalatest.WithWebhookReceiver(receiver(t, in.take)))
		subscribe(t, c, publicURL, "cvm.update.pending_approval", "cvm.updated")
		_, vm := create(t, c, "web-1")
		time.Sleep(time.Minute)
		_, err := c.CVMs.Update(t.Context(), vm.VMUUID,
			openapi.UpdateCVMRequest{DockerComposeFile: openapi.Ptr("services:\n  a: {image: other}\n")},
			&openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)})
		var required *client.HashRegistrationRequired
		require.ErrorAs(t, err, &required, "%v", err)
		synctest.Wait()
		require.Equal(t, []string{"cvm.update.pending_approval"}, in.types())
		p, err := in.events[0].PendingApproval()
		require.NoError(t, err)
		assert.Equal(t, "0x"+required.ComposeHash, p.ComposeHash)
		assert.Equal(t, "web-1", p.CVMName)
		assert.WithinDuration(t, time.Now().Add(14*24*time.Hour), p.ExpiresAt, time.Minute)
		_, err = c.CVMs.CommitUpdate(t.Context(), vm.VMUUID, &openapi.CommitUpdateRequest{
			Token: openapi.Ptr(openapi.Secret(p.CommitToken)), ComposeHash: openapi.Ptr(p.OnChainAction.Calldata),
			TransactionHash: openapi.Ptr("already-registered"),
		}, nil)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"cvm.update.pending_approval", "cvm.updated"}, in.types())
	})
}
