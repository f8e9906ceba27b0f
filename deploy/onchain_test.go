package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

var _ deploy.Chain = onchain.Flow{}

// chained is a fake cloud with a KMS on a real, simulated chain.
type chained struct {
	*phalatest.Server
	chain *chaintest.Chain
	c     *client.Client
	flow  onchain.Flow
	with  deploy.Option
}

func newChained(t testing.TB, opts ...chaintest.Option) *chained {
	t.Helper()
	chain := chaintest.New(t, opts...)
	s := phalatest.New(t, phalatest.WithChain(chain.View()), phalatest.WithTick(time.Millisecond))
	c, err := s.Client()
	require.NoError(t, err)
	open, err := chain.Open(t.Context())
	require.NoError(t, err)
	return &chained{Server: s, chain: chain, c: c, flow: open.Flow(), with: deploy.Options(deploy.WithChain(open.Flow()), trusting(s))}
}

func outcomes(checks []deploy.Check) map[string]deploy.Outcome {
	all := map[string]deploy.Outcome{}
	for _, check := range checks {
		all[check.Name] = check.Outcome
	}
	return all
}

func TestRunOnAChain(t *testing.T) {
	t.Parallel()
	for name, generation := range map[string]chaintest.Generation{"head": chaintest.Head, "0.5.4": chaintest.V054} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newChained(t, chaintest.WithGeneration(generation))
			var events []string
			r, err := deploy.Run(t.Context(), x.c, spec(t), x.with, deploy.WithProgress(func(e deploy.Event) { events = append(events, e.String()) }))
			require.NoError(t, err)
			assert.EqualValues(t, "running", r.CVM.Status)
			requireEnv(t, x.Server, r.State.CVM, secrets())
			assert.Len(t, x.chain.Sent(), 1, "one contract, which allows the hash from the beginning")
			allowed, err := x.chain.IsHashAllowed(t.Context(), r.State.AppID, r.State.ComposeHash)
			require.NoError(t, err)
			assert.True(t, allowed)
			assert.Equal(t, x.flow.Sender(), r.State.Deployer)
			assert.Equal(t, deploy.Passed, outcomes(r.Checks)[deploy.CheckKMSRoot], "against the root in the contract")
			attestations, err := x.c.Apps.GetAttestations(t.Context(), r.State.AppID.String())
			require.NoError(t, err)
			assert.Equal(t, r.State.AppID.Address().Hex(), attestations.ContractAddress)
			assert.NotEmpty(t, attestations.KMSInfo.ContractAddress)
			assert.Contains(t, fmt.Sprint(events), "allowed on chain 1337: app "+r.State.AppID.String())

			again, err := deploy.Resume(t.Context(), x.c, spec(t), &r.State, x.with)
			require.NoError(t, err)
			assert.Equal(t, r.CVM.VMUUID, again.CVM.VMUUID)
			assert.Len(t, x.chain.Sent(), 1)
		})
	}
}

func TestRunWithAnExistingContract(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	app, _, err := x.flow.DeployApp(t.Context(), kms.AppContract{ComposeHash: [32]byte{1}, Device: kms.DeviceID{2}}, kms.Journal{})
	require.NoError(t, err)
	before := len(x.chain.Sent())
	sp := spec(t)
	sp.AppID = &app
	r, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.NoError(t, err)
	assert.Equal(t, app, r.State.AppID)
	assert.Len(t, x.chain.Sent(), before+2, "the device and the hash were added")
}

func TestAnUnpredictableHashDoesNotGoOnChain(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	sp := spec(t)
	sp.Compose.PreLaunchScript = nil
	_, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.ErrorIs(t, err, deploy.ErrUnpredictable)
	assert.Empty(t, x.Requests())
	_, err = deploy.Run(t.Context(), x.c, sp, x.with, deploy.TrustComposeHashFromCloud())
	require.NoError(t, err)
}

func TestBadSpecsForAChain(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	nonce := uint64(1)
	sp := spec(t)
	sp.Nonce = &nonce
	_, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.ErrorContains(t, err, "Nonce is for the central KMS")
	sp = spec(t)
	sp.Contract.AllowAnyDevice = true
	_, err = deploy.Run(t.Context(), x.c, sp, deploy.WithKMSRoot(x.KMSRoot()))
	require.ErrorContains(t, err, "give WithChain")
	assert.Empty(t, x.Requests())
	_, err = deploy.Run(t.Context(), x.c, spec(t), deploy.WithChain(nil))
	require.ErrorContains(t, err, "needs a chain")
}

// A cloud that lies about the hash, the chain, the contract or the key gets nothing on chain and no secret.
func TestLiesBeforeTheChain(t *testing.T) {
	t.Parallel()
	other := `"` + strings.Repeat("1", 64) + `"`
	for name, lie := range map[string]struct {
		operation, pattern, with, what string
		sent                           int
	}{
		"hash":     {"CVMs.Provision", `"compose_hash":"[0-9a-f]{64}"`, `"compose_hash":` + other, deploy.CheckComposeHash, 0},
		"chain":    {"CVMs.Provision", `"chain_id":1337`, `"chain_id":1`, deploy.CheckChain, 0},
		"contract": {"CVMs.Provision", `"kms_contract_address":"0x[0-9a-fA-F]{40}"`, `"kms_contract_address":"0x` + strings.Repeat("2", 40) + `"`, deploy.CheckKMSContract, 0},
		"key": {"KMS.GetAppEnvPublicKey", `"public_key":"[0-9a-f]{64}"`, `"public_key":"` +
			"e33a1832c6562067ff8f844a61e51ad051f1180b66ec2551fb0251735f3ee90a" + `"`, deploy.CheckKMSRoot, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newChained(t)
			x.TamperAnswer(lie.operation, func(status int, body []byte) (int, []byte) {
				out := regexp.MustCompile(lie.pattern).ReplaceAll(body, []byte(lie.with))
				assert.NotEqual(t, string(body), string(out))
				return status, out
			})
			_, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
			var mismatch *deploy.MismatchError
			require.ErrorAs(t, err, &mismatch)
			assert.Equal(t, lie.what, mismatch.What)
			assert.Len(t, x.chain.Sent(), lie.sent)
			assert.NotContains(t, operations(x.Server), "CVMs.Create")
		})
	}
}

var errCrash = errors.New("crash")

// A deployment that is killed at any point and run again from its last state ends with one app, one
// transaction and one CVM.
func TestADeploymentOnAChainSurvivesACrashAtEachStep(t *testing.T) {
	t.Parallel()
	for crash := 1; ; crash++ {
		x := newChained(t)
		var saved []byte
		count := 0
		run := func(at int) error {
			var st *deploy.State
			if saved != nil {
				var err error
				st, err = deploy.ParseState(saved)
				require.NoError(t, err)
			}
			_, err := deploy.Resume(t.Context(), x.c, spec(t), st, x.with, deploy.WithCheckpoint(func(st *deploy.State) error {
				data, err := json.Marshal(st)
				require.NoError(t, err)
				saved = data
				if count++; count == at {
					return errCrash
				}
				return nil
			}))
			return err
		}
		err := run(crash)
		if err == nil {
			require.Greater(t, crash, 5, "it has that many steps")
			return
		}
		require.ErrorIs(t, err, errCrash)
		require.NoError(t, run(-1), "after a crash at step %d", crash)
		assert.Len(t, x.chain.Sent(), 1, "crash at step %d", crash)
		cvms, err := x.c.CVMs.ListAll(t.Context(), nil)
		require.NoError(t, err)
		assert.Len(t, cvms, 1, "crash at step %d", crash)
	}
}

func TestUpdateOnAChain(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	r, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
	require.NoError(t, err)
	change := deploy.Change{CVM: "web-1", DockerCompose: dockerCompose + "# 2\n", Env: secrets()[:1]}

	_, err = deploy.Update(t.Context(), x.c, change, deploy.WithKMSRoot(x.chain.Root()))
	var pending *deploy.Pending
	require.ErrorAs(t, err, &pending, "without a chain it is for somebody else to allow")
	assert.Equal(t, r.State.AppID, pending.AppID)
	assert.Equal(t, uint64(1337), pending.ChainID)
	assert.Contains(t, err.Error(), "waits for the owner of app "+r.State.AppID.String())
	requireEnv(t, x.Server, "web-1", secrets())

	done, err := deploy.Update(t.Context(), x.c, change, x.with)
	require.NoError(t, err)
	assert.Equal(t, pending.ComposeHash, done.ComposeHash)
	assert.Regexp(t, "^0x[0-9a-f]{64}$", done.Pending.Transaction)
	assert.Len(t, x.chain.Sent(), 2, "one for the app, one for the hash")
	requireEnv(t, x.Server, "web-1", secrets()[:1])
	var bodies []string
	for _, q := range x.Requests() {
		if q.Operation == "CVMs.Update" {
			bodies = append(bodies, string(q.Body))
		}
	}
	assert.Equal(t, "{}", bodies[len(bodies)-1], "the second phase has no content")

	_, err = deploy.Update(t.Context(), x.c, deploy.Change{CVM: "web-1", DiskSize: 60}, x.with)
	require.NoError(t, err)
	assert.Len(t, x.chain.Sent(), 2, "a change that does not touch the app-compose needs no chain")
}

func TestAnUpdateWhoseHashTheCloudMakesUp(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	_, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
	require.NoError(t, err)
	for what, lie := range map[string][2]string{
		deploy.CheckComposeHash: {`"field":"compose_hash","value":"[0-9a-f]{64}"`, `"field":"compose_hash","value":"` + strings.Repeat("1", 64) + `"`},
		deploy.CheckAppID:       {`"field":"app_id","value":"[0-9a-f]{40}"`, `"field":"app_id","value":"` + strings.Repeat("1", 40) + `"`},
		deploy.CheckChain:       {`"chain_id":1337`, `"chain_id":8453`},
	} {
		x.TamperAnswer("CVMs.Update", func(status int, body []byte) (int, []byte) {
			return status, regexp.MustCompile(lie[0]).ReplaceAll(body, []byte(lie[1]))
		})
		_, err = deploy.Update(t.Context(), x.c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, x.with)
		var mismatch *deploy.MismatchError
		require.ErrorAs(t, err, &mismatch, what)
		assert.Equal(t, what, mismatch.What)
	}
	assert.Len(t, x.chain.Sent(), 1, "nothing was allowed")
}

func TestAnUpdateOnAChainSurvivesACrashAtEachStep(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	_, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
	require.NoError(t, err)
	for crash := 1; ; crash++ {
		sent := len(x.chain.Sent())
		var saved []byte
		count := 0
		keep := func(at int) deploy.Option {
			return deploy.WithPending(func(p *deploy.Pending) error {
				data, err := json.Marshal(p)
				require.NoError(t, err)
				saved = data
				if count++; count == at {
					return errCrash
				}
				return nil
			})
		}
		change := deploy.Change{CVM: "web-1", DockerCompose: fmt.Sprintf("services: {a: {image: b%d}}\n", crash), Env: secrets()}
		_, err := deploy.Update(t.Context(), x.c, change, x.with, keep(crash))
		if err == nil {
			require.Greater(t, crash, 3, "it has that many steps")
			return
		}
		require.ErrorIs(t, err, errCrash)
		p, err := deploy.ParsePending(saved)
		require.NoError(t, err)
		done, err := deploy.Continue(t.Context(), x.c, p, x.with, keep(-1))
		require.NoError(t, err, "after a crash at step %d", crash)
		assert.Equal(t, p.ComposeHash, done.ComposeHash)
		assert.Len(t, x.chain.Sent(), sent+1, "crash at step %d", crash)
		requireEnv(t, x.Server, "web-1", secrets())
	}
}

func TestAMultisigApproves(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	sp := spec(t)
	sp.Contract.Owner = x.chain.Address(1) // who deploys does not own
	r, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.NoError(t, err)

	p, err := deploy.Prepare(t.Context(), x.c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, x.with)
	require.NoError(t, err)
	var unauthorized *onchain.RevertError
	require.ErrorAs(t, deploy.Approve(t.Context(), x.flow, handOver(t, p)), &unauthorized, "the deployer may not")

	p.Approved(common.Hash{})
	err = deploy.Commit(t.Context(), x.c, handOver(t, p))
	require.ErrorIs(t, err, client.ErrHashNotAllowed, "the cloud looks at the chain itself")
	require.ErrorContains(t, err, "allow both and commit again")

	signer, err := onchain.PrivateKeySigner(x.chain.Accounts[1])
	require.NoError(t, err)
	owner, err := x.chain.Open(t.Context(), onchain.WithSigner(signer))
	require.NoError(t, err)
	p.Transaction = ""
	second := handOver(t, p)
	require.NoError(t, deploy.Approve(t.Context(), owner.Flow(), second))
	assert.Regexp(t, "^0x[0-9a-f]{64}$", second.Transaction)
	pendings, err := x.c.Apps.ListPendingUpdates(t.Context(), r.State.AppID.String())
	require.NoError(t, err)
	require.Len(t, pendings.Items, 1)
	assert.True(t, pendings.Items[0].OnChain)

	third := handOver(t, second)
	nobody, err := client.New(client.WithAPIKey("phak_nobody"), client.WithBaseURL("https://phala.test/api/v1"), client.WithHTTPClient(x.httpClient()))
	require.NoError(t, err)
	require.NoError(t, deploy.Commit(t.Context(), nobody, third))
	done, err := deploy.WaitCommitted(t.Context(), x.c, third, trusting(x.Server))
	require.NoError(t, err)
	assert.Equal(t, p.ComposeHash, done.ComposeHash)
}

func TestReplicateToAnotherDevice(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	r, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
	require.NoError(t, err)
	same, err := deploy.Replicate(t.Context(), x.c, deploy.Replica{CVM: r.State.CVM}, x.with)
	require.NoError(t, err)
	assert.Len(t, x.chain.Sent(), 1, "the device is allowed already")

	nodes, err := x.c.Nodes.ListAvailable(t.Context())
	require.NoError(t, err)
	var other int
	for _, n := range nodes.Nodes {
		if id := string(n.TeepodID); id != string(r.CVM.NodeInfo.ID) {
			_, err := fmt.Sscan(id, &other)
			require.NoError(t, err)
		}
	}
	require.NotZero(t, other)
	_, err = deploy.Replicate(t.Context(), x.c, deploy.Replica{CVM: r.State.CVM, NodeID: other})
	var pending *deploy.Pending
	require.ErrorAs(t, err, &pending)
	replica, err := deploy.Continue(t.Context(), x.c, handOver(t, pending), x.with)
	require.NoError(t, err)
	assert.NotEqual(t, same.CVM.VMUUID, replica.CVM.VMUUID)
	assert.Len(t, x.chain.Sent(), 2, "the device was added, the hash was there")
	assert.Equal(t, r.CVM.ComposeHash, replica.CVM.ComposeHash)
	cvms, err := x.c.Apps.ListCVMs(t.Context(), r.State.AppID.String())
	require.NoError(t, err)
	assert.Len(t, cvms, 3)
}

func TestAnInstanceOnAChain(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	r, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
	require.NoError(t, err)
	instance, err := deploy.AddInstance(t.Context(), x.c, deploy.Instance{AppID: r.State.AppID, DockerCompose: "services: {}\n"}, x.with)
	require.NoError(t, err)
	assert.NotEqual(t, r.CVM.ComposeHash, instance.CVM.ComposeHash)
	assert.Len(t, x.chain.Sent(), 2)
}

// The cloud's node lags behind the chain.
func TestAChainThatTheCloudSeesLater(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	x.Fault("CVMs.Create", phalatest.Fault{Status: 467, Body: `{"error_code":"ERR-01-007","message":"no receipt"}`})
	_, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
	require.NoError(t, err)
}

func TestRunOnTheWrongChain(t *testing.T) {
	t.Parallel()
	x, y := newChained(t), newChained(t)
	open, err := y.chain.Open(t.Context())
	require.NoError(t, err)
	_, err = deploy.Run(t.Context(), x.c, spec(t), deploy.WithChain(otherKMS{open.Flow()}))
	require.Error(t, err, "the cloud has no such KMS")
	assert.Len(t, y.chain.Sent(), 0)
}

// otherKMS is a chain whose KMS the cloud does not know.
type otherKMS struct{ deploy.Chain }

func (otherKMS) KMS() common.Address { return common.Address{9} }

// A chain that cannot be read ends everything before the secrets are encrypted.
func TestAChainThatFails(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	_, err := deploy.Run(t.Context(), x.c, spec(t), deploy.WithChain(noRoot{x.flow}))
	require.ErrorContains(t, err, "root key in the contract of the KMS: no root")
	assert.NotContains(t, operations(x.Server), "CVMs.Create")
}

type noRoot struct{ deploy.Chain }

func (noRoot) RootKey(context.Context) (kms.Signer, error) {
	return kms.Signer{}, errors.New("no root")
}

func (x *chained) httpClient() *http.Client { return &http.Client{Transport: x.Transport()} }

// dying is a chain whose process is killed right after a transaction was mined, before anybody noted that.
type dying struct {
	deploy.Chain
	deployed, allowed bool
}

func (d *dying) DeployApp(ctx context.Context, spec kms.AppContract, j kms.Journal) (kms.AppID, common.Hash, error) {
	app, tx, err := d.Chain.DeployApp(ctx, spec, j)
	if err == nil && !d.deployed {
		d.deployed = true
		return kms.AppID{}, common.Hash{}, errCrash
	}
	return app, tx, err
}

func (d *dying) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error) {
	tx, err := d.Chain.AddComposeHash(ctx, app, hash, j)
	if err == nil && !d.allowed && tx != (common.Hash{}) {
		d.allowed = true
		return common.Hash{}, errCrash
	}
	return tx, err
}

func TestACrashRightAfterATransaction(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	with := deploy.Options(deploy.WithChain(&dying{Chain: x.flow}), trusting(x.Server))
	var st deploy.State
	_, err := deploy.Run(t.Context(), x.c, spec(t), with, deploy.WithCheckpoint(func(s *deploy.State) error { st = *s; return nil }))
	require.ErrorIs(t, err, errCrash)
	require.True(t, st.AppID.IsZero(), "the id was lost")
	r, err := deploy.Resume(t.Context(), x.c, spec(t), &st, with)
	require.NoError(t, err)
	assert.Len(t, x.chain.Sent(), 1)

	var p *deploy.Pending
	_, err = deploy.Update(t.Context(), x.c, deploy.Change{CVM: r.State.CVM, DockerCompose: "services: {}\n"}, with,
		deploy.WithPending(func(now *deploy.Pending) error { p = handOver(t, now); return nil }))
	require.ErrorIs(t, err, errCrash)
	require.Empty(t, p.Transaction, "the transaction was lost")
	_, err = deploy.Continue(t.Context(), x.c, p, with)
	require.NoError(t, err)
	assert.Equal(t, x.chain.Sent()[1].Hex(), p.Transaction)
	assert.Len(t, x.chain.Sent(), 2)
}

// Without a saved state the CVM of that name is taken over, and no second contract is deployed.
func TestRunAgainOnAChain(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	sp := spec(t)
	first, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.NoError(t, err)
	sp.Env[0].Value = "another"
	second, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.NoError(t, err)
	assert.Equal(t, first.CVM.VMUUID, second.CVM.VMUUID)
	assert.Equal(t, first.State.AppID, second.State.AppID)
	assert.Len(t, x.chain.Sent(), 1)
	requireEnv(t, x.Server, second.State.CVM, sp.Env)
	cvms, err := x.c.CVMs.ListAll(t.Context(), nil)
	require.NoError(t, err)
	assert.Len(t, cvms, 1)
}

// A contract that somebody else deployed belongs to whoever owns it now.
func TestRunWithAContractOfAnotherDeployer(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	signer, err := onchain.PrivateKeySigner(x.chain.Accounts[1])
	require.NoError(t, err)
	other, err := x.chain.Open(t.Context(), onchain.WithSigner(signer))
	require.NoError(t, err)
	app, _, err := other.Flow().DeployApp(t.Context(), kms.AppContract{Owner: x.flow.Sender(), ComposeHash: [32]byte{1}, Device: kms.DeviceID{2}}, kms.Journal{})
	require.NoError(t, err)
	sp := spec(t)
	sp.AppID = &app
	r, err := deploy.Run(t.Context(), x.c, sp, x.with)
	require.NoError(t, err)
	assert.Equal(t, app, r.State.AppID)
	assert.Zero(t, r.State.Deployer, "who deployed it is not known here")
}

// A replica or an instance that is killed whenever it has saved something ends with one CVM and one transaction.
func TestOneMoreCVMOnAChainSurvivesACrashAtEachStep(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(x *chained, r *deploy.Result, opts ...deploy.Option) error{
		"replica": func(x *chained, r *deploy.Result, opts ...deploy.Option) error {
			return second(deploy.Replicate(t.Context(), x.c, deploy.Replica{CVM: r.State.CVM, NodeID: 12}, opts...))
		},
		"instance": func(x *chained, r *deploy.Result, opts ...deploy.Option) error {
			return second(deploy.AddInstance(t.Context(), x.c, deploy.Instance{AppID: r.State.AppID, DockerCompose: "services: {}\n"}, opts...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for crash := 1; ; crash++ {
				x := newChained(t)
				r, err := deploy.Run(t.Context(), x.c, spec(t), x.with)
				require.NoError(t, err)
				var saved *deploy.Pending
				count := 0
				err = begin(x, r, x.with, deploy.WithPending(func(p *deploy.Pending) error {
					saved = handOver(t, p)
					if count++; count == crash {
						return errCrash
					}
					return nil
				}))
				if err == nil {
					require.Greater(t, crash, 5, "it has that many steps")
					return
				}
				require.ErrorIs(t, err, errCrash)
				done, err := deploy.Continue(t.Context(), x.c, saved, x.with)
				require.NoError(t, err, "after a crash at step %d", crash)
				assert.True(t, done.Report.Verified)
				assert.Len(t, x.chain.Sent(), 2, "crash at step %d", crash)
				assert.Len(t, instances(t, x.c, r), 2, "crash at step %d", crash)
			}
		})
	}
}
