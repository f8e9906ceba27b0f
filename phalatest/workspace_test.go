package phalatest_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// deployed provisions and creates a CVM, and returns it as soon as it runs.
func deployed(t *testing.T, c *client.Client, name string, env ...kms.EnvVar) *openapi.CVMDetail {
	t.Helper()
	r := request(name)
	for _, v := range env {
		r.ComposeFile.AllowedEnvs = append(r.ComposeFile.AllowedEnvs, v.Key)
	}
	p, err := c.CVMs.Provision(t.Context(), r)
	require.NoError(t, err)
	key, err := kms.ParsePublicKey(p.AppEnvEncryptPublicKey)
	require.NoError(t, err)
	sealed, err := kms.EncryptEnv(env, key)
	require.NoError(t, err)
	vm, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: p.AppID, ComposeHash: p.ComposeHash, EncryptedEnv: openapi.Ptr(openapi.Secret(sealed))})
	require.NoError(t, err)
	require.NoError(t, c.CVMs.WaitFor(t.Context(), vm.VMUUID, "running"))
	detail, err := c.CVMs.Get(t.Context(), vm.VMUUID)
	require.NoError(t, err)
	return detail
}

func TestTenant_SeesNothingOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := phalatest.New(t)
		ours, err := s.Client(client.WithoutRetry())
		require.NoError(t, err)
		other := s.NewWorkspace("Mallory")
		theirs, err := other.Client(client.WithoutRetry())
		require.NoError(t, err)
		ctx := t.Context()
		mine := deployed(t, ours, "web-1", kms.EnvVar{Key: "A", Value: "mine"})
		foreign := deployed(t, theirs, "web-1", kms.EnvVar{Key: "A", Value: "foreign"})

		assert.NotEqual(t, mine.AppID, foreign.AppID)
		assert.Equal(t, mine.ComposeHash, foreign.ComposeHash, "the same document")
		assert.Equal(t, mine.KMSInfo.K256PublicKey, foreign.KMSInfo.K256PublicKey, "the same KMS")
		assert.NotEqual(t, mine.Workspace.ID, foreign.Workspace.ID)
		assert.NotEqual(t, mine.Creator.ID, foreign.Creator.ID)
		assert.NotEqual(t, s.TeamWallet(), other.TeamWallet())

		for _, id := range []string{foreign.VMUUID, foreign.InstanceID, "app_" + foreign.AppID, string(foreign.ID)} {
			_, err := ours.CVMs.Get(ctx, id)
			require.ErrorIs(t, err, client.ErrNotFound, id)
			require.ErrorIs(t, ours.CVMs.Delete(ctx, id), client.ErrNotFound, id)
			_, err = ours.CVMs.Update(ctx, id, openapi.UpdateCVMRequest{DiskSize: openapi.Ptr(50)}, nil)
			require.ErrorIs(t, err, client.ErrNotFound, id)
		}
		_, err = ours.Apps.Get(ctx, foreign.AppID)
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = ours.Apps.ListCVMs(ctx, foreign.AppID)
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = ours.Apps.CreateInstance(ctx, foreign.AppID, nil)
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = ours.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: foreign.AppID, ComposeHash: foreign.ComposeHash})
		require.ErrorIs(t, err, client.ErrHashInvalidOrExpired, "the provision is another tenant's")
		statuses, err := ours.CVMs.GetStatuses(ctx, openapi.GetStatusesRequest{VMUUIDs: []string{foreign.VMUUID, mine.VMUUID}})
		require.NoError(t, err)
		assert.Len(t, statuses, 1)
		cvms, err := ours.CVMs.List(ctx, nil)
		require.NoError(t, err)
		require.Len(t, cvms.Items, 1)
		assert.Equal(t, mine.VMUUID, cvms.Items[0].VMUUID, "a name is one of its workspace")
		apps, err := ours.Apps.List(ctx, nil)
		require.NoError(t, err)
		assert.Equal(t, 1, apps.Total)

		// What is public is public to everybody.
		evidence, err := ours.Apps.GetAttestations(ctx, foreign.AppID)
		require.NoError(t, err)
		assert.Len(t, evidence.Instances, 1)
		_, err = ours.KMS.GetAppEnvPublicKey(ctx, "phala-test1", foreign.AppID)
		require.NoError(t, err, "the KMS signs the key of any app")

		for tenant, want := range map[interface {
			Env(string) ([]kms.EnvVar, error)
		}]string{s: "mine", other: "foreign"} {
			env, err := tenant.Env("web-1")
			require.NoError(t, err)
			assert.Equal(t, []kms.EnvVar{{Key: "A", Value: want}}, env)
		}
		env, err := s.Env(foreign.VMUUID)
		require.NoError(t, err)
		assert.Equal(t, []kms.EnvVar{{Key: "A", Value: "foreign"}}, env)
	})
}

func TestTenant_WebhooksAndKeysAreItsOwn(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t)
	ours, err := s.Client()
	require.NoError(t, err)
	theirs, err := s.NewWorkspace("Other").Client()
	require.NoError(t, err)
	ctx := t.Context()
	hook, err := theirs.Webhooks.Create(ctx, openapi.CreateWebhookRequest{URL: "https://app.example.com/", Events: []string{"cvm.created"}})
	require.NoError(t, err)
	_, err = ours.Webhooks.Get(ctx, string(hook.ID))
	require.ErrorIs(t, err, client.ErrNotFound)
	require.ErrorIs(t, ours.Webhooks.Delete(ctx, string(hook.ID)), client.ErrNotFound)
	all, err := ours.Webhooks.List(ctx)
	require.NoError(t, err)
	assert.Empty(t, all)
	key, err := theirs.SSHKeys.Create(ctx, openapi.CreateSSHKeyRequest{
		Name: "k", PublicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFFbUB8ue0CyhDRtrtmzJH1aKTrKqPfPsm3NAsQlr3k1",
	})
	require.NoError(t, err)
	require.ErrorIs(t, ours.SSHKeys.Delete(ctx, string(key.ID)), client.ErrNotFound)
	_, err = ours.Workspaces.Get(ctx, "other")
	require.ErrorIs(t, err, client.ErrNotFound)
	_, err = theirs.Workspaces.Get(ctx, "other")
	require.NoError(t, err)

	require.NoError(t, theirs.Account.RevokeToken(ctx))
	_, err = theirs.Account.Get(ctx)
	require.ErrorIs(t, err, client.ErrUnauthorized)
	_, err = ours.Account.Get(ctx)
	require.NoError(t, err)
}
