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
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest"
)

func document(t *testing.T, dockerCompose string) (string, compose.Hash) {
	t.Helper()
	app, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	text, err := app.Canonical()
	require.NoError(t, err)
	return string(text), compose.Sum(text)
}

func approval(t *testing.T) *deploy.Approval {
	t.Helper()
	before, beforeHash := document(t, "services:\n  web:\n    image: nginx:1\n")
	after, hash := document(t, "services:\n  web:\n    image: nginx:2\n")
	return &deploy.Approval{
		Kind: deploy.PendingUpdate, Name: "web-1", App: kms.AppID{1}, ChainID: 1337,
		ComposeHash: hash, Document: after, Before: before, BeforeHash: beforeHash,
	}
}

func TestApproval_HashFollowsFromTheDocument(t *testing.T) {
	t.Parallel()
	require.NoError(t, approval(t).Check())
	for name, change := range map[string]func(*deploy.Approval){
		"another document": func(a *deploy.Approval) { a.Document = a.Before },
		"another hash":     func(a *deploy.Approval) { a.ComposeHash[0] ^= 1 },
		"another before":   func(a *deploy.Approval) { a.Before = a.Document },
		"no app":           func(a *deploy.Approval) { a.App = kms.AppID{} },
		"no hash":          func(a *deploy.Approval) { a.ComposeHash = compose.Hash{} },
	} {
		a := approval(t)
		change(a)
		require.Error(t, a.Check(), name)
		data, err := json.Marshal(a)
		require.NoError(t, err)
		_, err = deploy.ParseApproval(data)
		require.Error(t, err, name)
	}
}

func TestApproval_DiffShowsWhatChanges(t *testing.T) {
	t.Parallel()
	a := approval(t)
	diff, err := a.Diff()
	require.NoError(t, err)
	assert.Contains(t, diff, "-      image: nginx:1\n+      image: nginx:2\n")
	assert.NotContains(t, diff, "pre_launch_script")

	a.Document, a.ComposeHash = a.Before, a.BeforeHash
	diff, err = a.Diff()
	require.NoError(t, err)
	assert.Empty(t, diff)

	a.Document, a.ComposeHash = document(t, "services:\n  web:\n    image: \"\u202e\"\n")
	a.Before, a.BeforeHash = "", compose.Hash{}
	diff, err = a.Diff()
	require.NoError(t, err)
	assert.NotContains(t, diff, "\u202e", "text that runs backwards")
	assert.Contains(t, diff, "+docker_compose_file:")
}

// script is a change of the document that needs no other secrets.
func script(text string) deploy.UpdateSpec {
	return deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\n" + text + "\n"}
}

// withoutToken is a change of the document and of the secrets.
func withoutToken() deploy.UpdateSpec {
	return deploy.UpdateSpec{DockerCompose: urlOnly, Env: urlSecret(), RemoveSecrets: []string{"TOKEN"}}
}

func TestCommit_CarriesOutWhatWasPrepared(t *testing.T) {
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	with := pinned(s)
	app := running(t, c, with)
	var kept []deploy.Pending
	keep := deploy.WithPending(func(p *deploy.Pending) error { kept = append(kept, *p); return nil })

	p, err := deploy.Prepare(t.Context(), c, app, withoutToken(), append(with.prepare, keep)...)
	require.NoError(t, err)
	require.Len(t, kept, 1)
	assert.NotEqual(t, app.ComposeHash, p.Approval.ComposeHash)
	assert.Equal(t, deploy.Confirmed, check(t, p.Comparisons, deploy.ComparedComposeHash).Outcome)
	assert.WithinDuration(t, time.Now().Add(14*24*time.Hour), p.Approval.Expires, time.Minute)
	requireEnv(t, s, "web-1", secrets())

	nobody := keyless(t, s)
	require.ErrorIs(t, deploy.Commit(t.Context(), nobody, handOver(t, p)), deploy.ErrNotApproved)
	p = handOver(t, p)
	p.Approved(common.Hash{})
	assert.Equal(t, deploy.AlreadyRegistered, p.Approval.Transaction)
	require.NoError(t, deploy.Commit(t.Context(), nobody, p))
	require.NoError(t, deploy.Commit(t.Context(), nobody, p), "what is committed stays committed")

	done, err := deploy.Finish(t.Context(), c, handOver(t, p), with.change...)
	require.NoError(t, err)
	assert.Equal(t, p.Approval.ComposeHash, done.ComposeHash)
	assert.Equal(t, []string{"URL"}, done.Secrets)
	requireEnv(t, s, "web-1", urlSecret())

	again := handOver(t, p)
	again.Committed = false
	require.NoError(t, deploy.Commit(t.Context(), c, again), "a commit whose answer was lost: the CVM runs it already")
	again.Committed = false
	require.ErrorIs(t, deploy.Commit(t.Context(), nobody, again), client.ErrHashInvalidOrExpired, "without a key nobody can tell")
}

// A commit whose answer was lost is not taken for superseded because the CVM cannot be read just then.
func TestCommit_RepeatedWhileTheCVMCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		p, err := deploy.Prepare(t.Context(), c, app, script("echo 1"), with.prepare...)
		require.NoError(t, err)
		p.Approved(common.Hash{})
		s.Fault("CVMs.CommitUpdate", phalatest.Fault{LoseResponse: true})
		require.Error(t, deploy.Commit(t.Context(), c, p))
		s.Fault("CVMs.Get", phalatest.ExpiredToken())
		err = deploy.Commit(t.Context(), c, p)
		require.ErrorIs(t, err, client.ErrUnauthorized)
		require.NotErrorIs(t, err, client.ErrHashInvalidOrExpired)
		require.NoError(t, deploy.Commit(t.Context(), c, p))
	})
}

func TestPrepare_RefusesWhatTheAPICannotPrepare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		doc, err := app.Compose()
		require.NoError(t, err)
		scriptless := *doc
		scriptless.PreLaunchScript = nil
		doc.Extra = map[string]json.RawMessage{"later": json.RawMessage(`1`)}
		_, err = deploy.Prepare(t.Context(), c, app, deploy.UpdateSpec{Compose: &scriptless}, with.prepare...)
		require.ErrorContains(t, err, "the document changes more than that", "the API keeps a script that a request does not name")
		for want, spec := range map[string]deploy.UpdateSpec{
			"the document changes more than that": {Compose: doc},
			"there is nothing to approve":         {DiskSize: 50},
			"nothing to change":                   {},
		} {
			_, err := deploy.Prepare(t.Context(), c, app, spec, with.prepare...)
			require.ErrorContains(t, err, want)
		}
		assert.NotContains(t, operations(s), "CVMs.Update")
	})
}

func TestPrepare_SupersedesAnOlderPreparation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		app := running(t, c, with)
		older, err := deploy.Prepare(t.Context(), c, app, script("echo 1"), with.prepare...)
		require.NoError(t, err)
		newer, err := deploy.Prepare(t.Context(), c, app, script("echo 2"), with.prepare...)
		require.NoError(t, err)
		older.Approved(common.Hash{})
		newer.Approved(common.Hash{})
		err = deploy.Commit(t.Context(), c, older)
		require.ErrorIs(t, err, client.ErrHashInvalidOrExpired)
		require.ErrorContains(t, err, "superseded by a newer preparation")
		require.NoError(t, deploy.Commit(t.Context(), c, newer))
	})
}

func TestCommit_PreparesAnewWhatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		p, err := deploy.Prepare(t.Context(), c, app, withoutToken(), with.prepare...)
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
		app, err = deploy.Finish(t.Context(), c, p, with.change...)
		require.NoError(t, err)
		requireEnv(t, s, "web-1", urlSecret())

		p, err = deploy.Prepare(t.Context(), c, app, deploy.UpdateSpec{DockerCompose: urlOnly + "# more\n"}, with.prepare...)
		require.NoError(t, err)
		p.Approved(common.Hash{})
		_, err = deploy.Update(t.Context(), c, app, script("echo other"), with.change...)
		require.NoError(t, err)
		time.Sleep(15 * 24 * time.Hour)
		err = deploy.Commit(t.Context(), c, p)
		requireMismatch(t, err, deploy.ComparedComposeHash) // the app has changed, so another hash would have to be allowed
	})
}

func TestPrepareReplica_MakesNothingBeforeTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		p, err := deploy.PrepareReplica(t.Context(), c, app, deploy.ReplicaSpec{}, with.prepare...)
		require.NoError(t, err)
		assert.Equal(t, app.ComposeHash, p.Approval.ComposeHash)
		assert.True(t, p.Approval.OnlyDevice)
		require.Len(t, instances(t, c, app), 1)
		p.Approved(common.Hash{})
		s.Fault("CVMs.CommitReplica", phalatest.Fault{LoseResponse: true})
		require.NoError(t, deploy.Commit(t.Context(), c, p), "the lost answer is made up for by a look")
		done, err := deploy.Finish(t.Context(), c, handOver(t, p), with.change...)
		require.NoError(t, err)
		assert.EqualValues(t, "running", done.Last.CVM.Status)
		assert.Len(t, instances(t, c, app), 2)
	})
}

// The cloud's node may not see a transaction that has just been mined.
func TestCommit_AsksALaggingNodeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		p, err := deploy.Prepare(t.Context(), c, app, script("echo 1"), with.prepare...)
		require.NoError(t, err)
		p.Approved(common.Hash{1})
		lag := phalatest.Fault{Status: 467, Body: `{"error_code":"ERR-01-007","message":"no receipt"}`, Times: 3}
		s.Fault("CVMs.CommitUpdate", lag)
		require.NoError(t, deploy.Commit(t.Context(), c, p))
		app, err = deploy.Finish(t.Context(), c, p, with.change...)
		require.NoError(t, err)

		p, err = deploy.Prepare(t.Context(), c, app, script("echo 2"), with.prepare...)
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

// Who commits without an API key and loses the answer gets an error that says so, and nothing is asked a second time.
func TestCommit_SendsNothingTwiceWithoutAKey(t *testing.T) {
	synctest.Test(t, commitWithoutAKey)
}

func commitWithoutAKey(t *testing.T) {
	s := phalatest.New(t)
	c, err := s.Client()
	require.NoError(t, err)
	with := pinned(s)
	app := running(t, c, with)
	p, err := deploy.PrepareReplica(t.Context(), c, app, deploy.ReplicaSpec{}, with.prepare...)
	require.NoError(t, err)
	p.Approved(common.Hash{})
	s.Fault("CVMs.CommitReplica", phalatest.Fault{LoseResponse: true})
	nobody := keyless(t, s)
	require.ErrorIs(t, deploy.Commit(t.Context(), nobody, p), client.ErrNoAPIKey)
	require.ErrorIs(t, deploy.Commit(t.Context(), nobody, handOver(t, p)), client.ErrNoAPIKey)
	assert.Len(t, instances(t, c, app), 2)

	// With a key it can be found, and as nobody knows what was there before, the caller names it.
	again := handOver(t, p)
	var ambiguous *deploy.AmbiguousError
	require.ErrorAs(t, second(deploy.Finish(t.Context(), c, again, with.change...)), &ambiguous)
	require.Len(t, ambiguous.CVMs, 1)
	require.NoError(t, again.Resolve(ambiguous.CVMs[0]))
	_, err = deploy.Finish(t.Context(), c, again, with.change...)
	require.NoError(t, err)
	assert.Len(t, instances(t, c, app), 2)

	p.Token, p.Asked = "", false
	require.ErrorContains(t, deploy.Commit(t.Context(), c, p), "no commit token")
}

// What is prepared anew may go to another machine, which the caller must accept and the owner allow.
func TestCommit_NeedsAnotherApprovalForAnotherMachine(t *testing.T) {
	t.Parallel()
	for name, accepted := range map[string]bool{"accepted": true, "not accepted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				app := running(t, c, with)
				other := kms.DeviceID{7}
				spec := deploy.ReplicaSpec{}
				if accepted {
					spec.Devices = []kms.DeviceID{other}
				}
				p, err := deploy.PrepareReplica(t.Context(), c, app, spec, with.prepare...)
				require.NoError(t, err)
				before := p.Approval.Device
				p.Approved(common.Hash{1})
				time.Sleep(15 * 24 * time.Hour)
				s.TamperResponse("CVMs.Replicate", func(status int, body []byte) (int, []byte) {
					return status, []byte(strings.ReplaceAll(string(body), before.String(), other.String()))
				})
				err = deploy.Commit(t.Context(), c, p)
				require.ErrorContains(t, err, other.String())
				assert.Len(t, instances(t, c, app), 1)
				if !accepted {
					require.ErrorIs(t, err, deploy.ErrDeviceNotAccepted)
					return
				}
				require.ErrorIs(t, err, deploy.ErrNotApproved)
				assert.Equal(t, other, p.Approval.Device)
				assert.Empty(t, p.Approval.Transaction)
			})
		})
	}
}

// What is prepared anew for the same machine stays approved, although a commit has no chain to look at.
func TestCommit_NeedsNoOtherApprovalForTheSameMachine(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	app := running(t, x.c, x.with)
	p, err := deploy.Prepare(t.Context(), x.c, app, script("echo 1"), x.with.prepare...)
	require.NoError(t, err)
	assert.True(t, p.Approval.Device.IsZero(), "the contract allows the machine already")
	require.NoError(t, deploy.Approve(t.Context(), x.flow, &p.Approval))
	p.Approval.Expires = time.Now().Add(-time.Second)
	transaction, token := p.Approval.Transaction, p.Token
	require.NoError(t, deploy.Commit(t.Context(), x.c, p))
	assert.Equal(t, transaction, p.Approval.Transaction)
	assert.NotEqual(t, token, p.Token)
}

// One process prepares, the owner approves what it can read, and somebody without a key commits.
func TestApprove_IsForTheOwnerAlone(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	sp := spec(t)
	sp.Contract.Owner = x.chain.Address(1) // who deploys does not own
	app, err := deploy.Run(t.Context(), x.c, sp, x.with.run...)
	require.NoError(t, err)
	assert.Equal(t, x.chain.Address(1), app.Owner)

	p, err := deploy.Prepare(t.Context(), x.c, app, withoutToken(), x.with.prepare...)
	require.NoError(t, err)
	approval := approved(t, &p.Approval)
	diff, err := approval.Diff()
	require.NoError(t, err)
	assert.Contains(t, diff, "-        TOKEN: ${TOKEN}\n")
	assert.Contains(t, diff, "+  "+strings.TrimSpace(urlOnly)+"\n")
	var unauthorized *onchain.RevertError
	require.ErrorAs(t, deploy.Approve(t.Context(), x.flow, approval), &unauthorized, "the deployer may not")

	early := handOver(t, p)
	early.Approved(common.Hash{})
	err = deploy.Commit(t.Context(), x.c, early)
	require.ErrorIs(t, err, client.ErrHashNotAllowed, "the cloud looks at the chain itself")
	require.ErrorContains(t, err, "allow both and commit again")

	approval = approved(t, &p.Approval)
	saves := 0
	require.NoError(t, deploy.Approve(t.Context(), x.owned(t, 1), approval, deploy.WithApproval(func(*deploy.Approval) error { saves++; return nil })))
	assert.Greater(t, saves, 1)
	assert.Regexp(t, "^0x[0-9a-f]{64}$", approval.Transaction)
	sent := len(x.chain.Sent())
	require.NoError(t, deploy.Approve(t.Context(), x.owned(t, 1), approved(t, approval)), "what is approved stays approved")
	assert.Len(t, x.chain.Sent(), sent)
	pendings, err := x.c.Apps.ListPendingUpdates(t.Context(), app.ID.String())
	require.NoError(t, err)
	require.Len(t, pendings.Items, 1)
	assert.True(t, pendings.Items[0].OnChain)

	p.Approved(common.HexToHash(approval.Transaction))
	third := handOver(t, p)
	nobody, err := client.New(client.WithAPIKey("phak_nobody"), client.WithBaseURL("https://phala.test/api/v1"), client.WithHTTPClient(&http.Client{Transport: x.Transport()}))
	require.NoError(t, err)
	require.NoError(t, deploy.Commit(t.Context(), nobody, third))
	done, err := deploy.Finish(t.Context(), x.c, third, trusting(x.Server))
	require.NoError(t, err)
	assert.Equal(t, p.Approval.ComposeHash, done.ComposeHash)
	requireEnv(t, x.Server, "web-1", urlSecret())
}

// approved is an approval as another process reads it.
func approved(t testing.TB, a *deploy.Approval) *deploy.Approval {
	t.Helper()
	data, err := json.Marshal(a)
	require.NoError(t, err)
	assert.NotContains(t, string(data), "token")
	again, err := deploy.ParseApproval(data)
	require.NoError(t, err)
	return again
}

// Nothing is allowed whose hash does not follow from the document that the approver reads.
func TestApprove_RefusesAHashThatIsNotTheDocuments(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	app := running(t, x.c, x.with)
	p, err := deploy.Prepare(t.Context(), x.c, app, script("echo 1"), x.with.prepare...)
	require.NoError(t, err)
	sent := len(x.chain.Sent())
	for name, change := range map[string]func(*deploy.Approval){
		"another hash":             func(a *deploy.Approval) { a.ComposeHash[0] ^= 1 },
		"another document":         func(a *deploy.Approval) { a.Document = strings.Replace(a.Document, "nginx", "miner", 1) },
		"another document before":  func(a *deploy.Approval) { a.Before = strings.Replace(a.Before, "nginx", "miner", 1) },
		"a hash before, of no use": func(a *deploy.Approval) { a.Before, a.BeforeHash = a.Document, a.ComposeHash },
		"another chain":            func(a *deploy.Approval) { a.ChainID = 1 },
		"another KMS":              func(a *deploy.Approval) { a.KMSContract[0] ^= 1 },
		"the cloud's hash":         func(a *deploy.Approval) { a.Unpredicted, a.ComposeHash = true, compose.Hash{1} },
		"only a machine":           func(a *deploy.Approval) { a.OnlyDevice = true },
	} {
		a := approved(t, &p.Approval)
		change(a)
		require.Error(t, deploy.Approve(t.Context(), x.flow, a), name)
	}
	assert.Len(t, x.chain.Sent(), sent)
	require.ErrorContains(t, deploy.Approve(t.Context(), nil, &p.Approval), "a chain is required")
	require.NoError(t, deploy.Approve(t.Context(), x.flow, &p.Approval))
}

func TestApproval_DiffShowsWhatSteersATerminal(t *testing.T) {
	t.Parallel()
	doc, err := compose.New(noSecrets, compose.WithPreLaunchScript("#!/bin/sh\necho \x1b[2Jhidden\n"))
	require.NoError(t, err)
	text, err := doc.Canonical()
	require.NoError(t, err)
	a := deploy.Approval{Document: string(text), ComposeHash: compose.Sum(text)}
	diff, err := a.Diff()
	require.NoError(t, err)
	assert.Contains(t, diff, "hidden")
	assert.NotContains(t, diff, "\x1b")
	a.Before, a.BeforeHash = a.Document, a.ComposeHash
	diff, err = a.Diff()
	require.NoError(t, err)
	assert.Empty(t, diff)
}

func TestParseApproval_RefusesWhatNoApprovalIs(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"approval: ":           `[`,
		"differ in case only":  `{"app_id":"` + strings.Repeat("1", 40) + `","App_ID":"` + strings.Repeat("2", 40) + `"}`,
		"it has no app id":     `{}`,
		"it has no compose ha": `{"app_id":"` + strings.Repeat("1", 40) + `"}`,
		"compose hash mismatc": `{"app_id":"` + strings.Repeat("1", 40) + `","compose_hash":"` + strings.Repeat("1", 64) + `","document":"{}"}`,
	} {
		_, err := deploy.ParseApproval([]byte(text))
		require.ErrorContains(t, err, want)
	}
}

// An owner who trusts the cloud's hash by name can approve it, and the approval stays valid after it has expired.
func TestApprove_AllowsAnUnpredictableHashOnlyByName(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	sp := spec(t)
	sp.Compose.Extra = map[string]json.RawMessage{"later": json.RawMessage(`1`)} // nobody knows what the platform makes of it
	app, err := deploy.Run(t.Context(), x.c, sp, append(x.with.run, deploy.TrustComposeHashFromCloud())...)
	require.NoError(t, err)
	p, err := deploy.Prepare(t.Context(), x.c, app, script("echo 1"), append(x.with.prepare, deploy.TrustComposeHashFromCloud())...)
	require.NoError(t, err)
	require.True(t, p.Approval.Unpredicted)
	approval := &p.Approval
	require.ErrorIs(t, deploy.Approve(t.Context(), x.flow, approval), deploy.ErrUnpredictable)
	assert.False(t, x.allowed(t, app, approval.ComposeHash))
	require.NoError(t, deploy.Approve(t.Context(), x.flow, approval, deploy.TrustComposeHashFromCloud()))
	assert.True(t, x.allowed(t, app, approval.ComposeHash))

	approved := approval.ComposeHash
	p.Approval.Expires = time.Now().Add(-time.Hour)
	require.NoError(t, deploy.Commit(t.Context(), x.c, p))
	assert.Equal(t, approved, p.Approval.ComposeHash)
	done, err := deploy.Finish(t.Context(), x.c, p, x.with.change...)
	require.NoError(t, err)
	assert.Equal(t, approved, done.ComposeHash)

	p.Committed, p.Approval.Expires, p.Approval.ComposeHash = false, time.Now().Add(-time.Hour), compose.Hash{7}
	requireMismatch(t, deploy.Commit(t.Context(), x.c, p), deploy.ComparedComposeHash)
}
