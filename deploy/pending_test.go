package deploy_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

// keyless is a client without an API key, as somebody has one who only commits.
func keyless(t testing.TB, s *phalatest.Server) *client.Client {
	t.Helper()
	t.Setenv("PHALA_CLOUD_API_KEY", "")
	c, err := client.New(client.WithBaseURL("https://phala.test/api/v1"), client.WithHTTPClient(&http.Client{Transport: s.Transport()}))
	require.NoError(t, err)
	return c
}

// handOver is what another process reads.
func handOver(t testing.TB, p *deploy.Pending) *deploy.Pending {
	t.Helper()
	data, err := json.Marshal(p)
	require.NoError(t, err)
	again, err := deploy.ParsePending(data)
	require.NoError(t, err)
	return again
}

func TestPrepareAndCommit(t *testing.T) {
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	root := deploy.Options(deploy.WithKMSRoot(s.KMSRoot()), trusting(s))
	before := running(t, c, root)
	var kept []deploy.Pending
	keep := deploy.WithPending(func(p *deploy.Pending) error { kept = append(kept, *p); return nil })

	p, err := deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n", Env: secrets()[:1]}, root, keep)
	require.NoError(t, err)
	require.Len(t, kept, 1)
	assert.NotEqual(t, before.State.ComposeHash, p.ComposeHash)
	assert.Equal(t, deploy.Passed, p.Checks[len(p.Checks)-1].Outcome, "the hash was compared")
	assert.WithinDuration(t, time.Now().Add(14*24*time.Hour), p.Expires, time.Minute)
	requireEnv(t, s, "web-1", secrets())

	c2 := keyless(t, s)
	require.ErrorIs(t, deploy.Commit(t.Context(), c2, handOver(t, p)), deploy.ErrNotApproved)
	p = handOver(t, p)
	p.Approved(common.Hash{})
	assert.Equal(t, deploy.AlreadyRegistered, p.Transaction)
	require.NoError(t, deploy.Commit(t.Context(), c2, p))
	require.NoError(t, deploy.Commit(t.Context(), c2, p), "what is committed stays committed")

	done, err := deploy.WaitCommitted(t.Context(), c, handOver(t, p), root)
	require.NoError(t, err)
	assert.Equal(t, p.ComposeHash, done.ComposeHash)
	requireEnv(t, s, "web-1", secrets()[:1])

	again := handOver(t, p)
	again.Committed = false
	require.NoError(t, deploy.Commit(t.Context(), c, again), "a commit whose answer was lost: the CVM runs it already")
	again.Committed = false
	require.ErrorIs(t, deploy.Commit(t.Context(), c2, again), client.ErrHashInvalidOrExpired, "without a key nobody can tell")
}

func TestANewerPreparationSupersedes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		running(t, c, root)
		older, err := deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {a: {image: b}}\n"})
		require.NoError(t, err)
		newer, err := deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"})
		require.NoError(t, err)
		older.Approved(common.Hash{})
		newer.Approved(common.Hash{})
		err = deploy.Commit(t.Context(), c, older)
		require.ErrorIs(t, err, client.ErrHashInvalidOrExpired)
		require.ErrorContains(t, err, "superseded by a newer preparation")
		require.NoError(t, deploy.Commit(t.Context(), c, newer))
	})
}

func TestWhatHasExpiredIsPreparedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		p, err := deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n", Env: secrets()[:1]}, root)
		require.NoError(t, err)
		p.Approved(common.Hash{})
		before := p.Token
		time.Sleep(15 * 24 * time.Hour)
		require.True(t, p.Expired(time.Now()))

		nobody, err := client.New(client.WithAPIKey("wrong"), client.WithBaseURL("https://phala.test/api/v1"), client.WithHTTPClient(&http.Client{Transport: s.Transport()}))
		require.NoError(t, err)
		require.ErrorIs(t, deploy.Commit(t.Context(), nobody, handOver(t, p)), deploy.ErrExpired)

		require.NoError(t, deploy.Commit(t.Context(), c, p))
		assert.NotEqual(t, before, p.Token)
		_, err = deploy.WaitCommitted(t.Context(), c, p, root)
		require.NoError(t, err)
		requireEnv(t, s, "web-1", secrets()[:1])

		p, err = deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {b: {image: c}}\n"})
		require.NoError(t, err)
		p.Approved(common.Hash{})
		_, err = deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", PreLaunchScript: "#!/bin/sh\necho other\n"}, root)
		require.NoError(t, err)
		time.Sleep(15 * 24 * time.Hour)
		var mismatch *deploy.MismatchError
		require.ErrorAs(t, deploy.Commit(t.Context(), c, p), &mismatch, "the app has changed, so another hash would have to be allowed")
		assert.Equal(t, deploy.CheckComposeHash, mismatch.What)
	})
}

func TestPrepareReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		first := running(t, c, root)
		p, err := deploy.PrepareReplica(t.Context(), c, deploy.Replica{CVM: "web-1"})
		require.NoError(t, err)
		assert.Equal(t, first.State.ComposeHash, p.ComposeHash)
		cvms, err := c.Apps.ListCVMs(t.Context(), first.State.AppID.String())
		require.NoError(t, err)
		require.Len(t, cvms, 1)
		p.Approved(common.Hash{})
		s.Fault("CVMs.CommitReplica", phalatest.Fault{LoseAnswer: true})
		require.NoError(t, deploy.Commit(t.Context(), c, p), "the lost answer is made up for by a look")
		done, err := deploy.WaitCommitted(t.Context(), c, handOver(t, p), root)
		require.NoError(t, err)
		assert.EqualValues(t, "running", done.CVM.Status)
		cvms, err = c.Apps.ListCVMs(t.Context(), first.State.AppID.String())
		require.NoError(t, err)
		assert.Len(t, cvms, 2)
	})
}

// The cloud's node may not see a transaction that has just been mined.
func TestALaggingNodeIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		p, err := deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"})
		require.NoError(t, err)
		p.Approved(common.Hash{1})
		lag := phalatest.Fault{Status: 467, Body: `{"error_code":"ERR-01-007","message":"no receipt"}`, Times: 3}
		s.Fault("CVMs.CommitUpdate", lag)
		require.NoError(t, deploy.Commit(t.Context(), c, p))

		p, err = deploy.Prepare(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {a: {image: b}}\n"})
		require.NoError(t, err)
		p.Approved(common.Hash{1})
		lag.Times = -1
		s.Fault("CVMs.CommitUpdate", lag)
		began := time.Now()
		err = deploy.Commit(t.Context(), c, p)
		require.ErrorIs(t, err, client.ErrTxVerificationFailed)
		require.ErrorContains(t, err, "look at its receipt")
		assert.LessOrEqual(t, time.Since(began), time.Minute)
	})
}

// Who commits without an API key and loses the answer is told so, and asks nobody a second time.
func TestALostCommitWithoutAKey(t *testing.T) {
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	root := deploy.Options(deploy.WithKMSRoot(s.KMSRoot()), trusting(s))
	first := running(t, c, root)
	p, err := deploy.PrepareReplica(t.Context(), c, deploy.Replica{CVM: "web-1"})
	require.NoError(t, err)
	p.Approved(common.Hash{})
	s.Fault("CVMs.CommitReplica", phalatest.Fault{LoseAnswer: true})
	nobody := keyless(t, s)
	require.ErrorContains(t, deploy.Commit(t.Context(), nobody, p), "nobody can tell whether it was made")
	require.ErrorContains(t, deploy.Commit(t.Context(), nobody, handOver(t, p)), "nobody can tell")
	assert.Len(t, instances(t, c, first), 2)

	p.Token, p.Asked = "", false
	require.ErrorContains(t, deploy.Commit(t.Context(), c, p), "no commit token")
}

// What is prepared anew may go to another device, which nobody has allowed.
func TestARenewalOnAnotherDeviceNeedsAnotherApproval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		first := running(t, c, root)
		p, err := deploy.PrepareReplica(t.Context(), c, deploy.Replica{CVM: "web-1"})
		require.NoError(t, err)
		p.Approved(common.Hash{1})
		time.Sleep(15 * 24 * time.Hour)
		other := strings.Repeat("7", 64)
		s.TamperAnswer("CVMs.Replicate", func(status int, body []byte) (int, []byte) {
			return status, []byte(strings.ReplaceAll(string(body), p.DeviceID, other))
		})
		err = deploy.Commit(t.Context(), c, p)
		require.ErrorIs(t, err, deploy.ErrNotApproved)
		require.ErrorContains(t, err, other)
		assert.Equal(t, other, p.DeviceID)
		assert.Empty(t, p.Transaction)
		assert.Len(t, instances(t, c, first), 1)
	})
}
