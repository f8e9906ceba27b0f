package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

// TestMain finds goroutines that are left over. Two kinds are of the simulated chain's node: one ends some
// seconds after it, the other is for the whole process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
	)
}

const dockerCompose = "services:\n  web:\n    image: nginx\n    environment:\n      TOKEN: ${TOKEN}\n      URL: ${URL}\n"

func secrets() []compose.EnvVar {
	return []compose.EnvVar{{Key: "TOKEN", Value: "hunter2 <&> \u2028"}, {Key: "URL", Value: "postgres://db"}}
}

func spec(t testing.TB) deploy.Spec {
	t.Helper()
	app, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	return deploy.Spec{Name: "web-1", Compose: app, Env: secrets(), InstanceType: "tdx.small"}
}

// cloud gives a fake cloud, a client of it, and the options that pin its KMS root and trust its hardware. It is
// for a bubble of synctest, where pauses cost no time.
func cloud(t testing.TB, opts ...phalatest.Option) (*phalatest.Server, *client.Client, deploy.Option) {
	t.Helper()
	s := phalatest.New(t, opts...)
	c, err := s.Client()
	require.NoError(t, err)
	return s, c, deploy.Options(deploy.WithKMSRoot(s.KMSRoot()), trusting(s))
}

// trusting is the option that trusts the hardware of a fake cloud.
func trusting(s *phalatest.Server) deploy.Option {
	return deploy.WithVerification(s.AttestationPolicy())
}

func operations(s *phalatest.Server) []string {
	var names []string
	for _, r := range s.Requests() {
		names = append(names, r.Operation)
	}
	return names
}

func requireEnv(t testing.TB, s *phalatest.Server, cvm string, want []compose.EnvVar) {
	t.Helper()
	env, err := s.Env(cvm)
	require.NoError(t, err)
	require.ElementsMatch(t, want, env)
}

func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		sp := spec(t)
		var events []string
		var log strings.Builder
		r, err := deploy.Run(t.Context(), c, sp, root, deploy.WithProgress(func(e deploy.Event) {
			events = append(events, strings.TrimPrefix(fmt.Sprintf("%T", e), "deploy."))
			fmt.Fprintf(&log, "%s %+v %v\n", e, e, e)
		}))
		require.NoError(t, err)
		assert.EqualValues(t, "running", r.CVM.Status)
		assert.Equal(t, deploy.PhaseRunning, r.State.Phase)
		require.Len(t, r.URLs, 1)
		requireEnv(t, s, r.State.CVM, secrets())

		sp.Compose.AllowedEnvs = []string{"TOKEN", "URL"}
		want, err := sp.Compose.Hash()
		require.NoError(t, err)
		assert.Equal(t, want, r.State.ComposeHash)
		outcomes := map[string]deploy.Outcome{}
		for _, check := range r.Checks {
			outcomes[check.Name] = check.Outcome
		}
		assert.Equal(t, map[string]deploy.Outcome{
			deploy.CheckComposeHash: deploy.Passed, deploy.CheckAppID: deploy.NotPossible,
			deploy.CheckEnvKey: deploy.Passed, deploy.CheckKMSRoot: deploy.Passed, deploy.CheckAttestation: deploy.Passed,
		}, outcomes)
		assert.Equal(t, []string{"ProvisionedEvent", "CheckEvent", "CheckEvent", "CheckEvent", "CheckEvent", "EncryptedEvent", "CreatedEvent"}, events[:7])
		assert.Contains(t, events, "StateEvent")
		assert.Equal(t, []string{"RunningEvent", "AttestationEvent", "CheckEvent"}, events[len(events)-3:])
		assert.NotContains(t, log.String(), "hunter2")
		assert.Contains(t, operations(s), "CVMs.GetState", "the states are streamed")
	})
}

func TestRunDoesNotChangeTheSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		sp := spec(t)
		before, err := sp.Compose.Canonical()
		require.NoError(t, err)
		_, err = deploy.Run(t.Context(), c, sp, root)
		require.NoError(t, err)
		after, err := sp.Compose.Canonical()
		require.NoError(t, err)
		assert.Equal(t, string(before), string(after))
	})
}

func TestRunWithAKnownAppID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		sp := spec(t)
		next, err := c.KMS.GetNextAppIDs(t.Context(), nil)
		require.NoError(t, err)
		id, err := kms.ParseAppID(next.AppIDs[0].AppID)
		require.NoError(t, err)
		nonce := uint64(next.AppIDs[0].Nonce)
		sp.AppID, sp.Nonce = &id, &nonce

		var mismatch *deploy.MismatchError
		_, err = deploy.Run(t.Context(), c, sp, root, deploy.WithTeamWallet(common.Address{1}))
		require.ErrorAs(t, err, &mismatch)
		assert.Equal(t, deploy.CheckAppID, mismatch.What)
		assert.NotContains(t, operations(s), "CVMs.Provision", "a wrong wallet ends it before anything is sent")

		r, err := deploy.Run(t.Context(), c, sp, root, deploy.WithTeamWallet(s.TeamWallet()))
		require.NoError(t, err)
		assert.Equal(t, id, r.State.AppID)
		assert.Equal(t, deploy.Check{Name: deploy.CheckAppID, Outcome: deploy.Passed, Local: id.String(), Remote: id.String()}, r.Checks[1])
	})
}

// A cloud that lies in one member of one answer.
func TestLiesEndTheDeployment(t *testing.T) {
	t.Parallel()
	otherKey := "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
	for name, lie := range map[string]struct {
		operation, member, value, what string
		knownID                        bool
	}{
		"compose hash":           {"CVMs.Provision", "compose_hash", strings.Repeat("ab", 32), deploy.CheckComposeHash, false},
		"app id":                 {"CVMs.Provision", "app_id", strings.Repeat("cd", 20), deploy.CheckAppID, true},
		"key while provisioning": {"CVMs.Provision", "app_env_encrypt_pubkey", otherKey, deploy.CheckEnvKey, false},
		"key of the KMS":         {"KMS.GetAppEnvPublicKey", "public_key", otherKey, deploy.CheckEnvKey, false},
		"app id of the new CVM":  {"CVMs.Create", "app_id", strings.Repeat("cd", 20), deploy.CheckAppID, false},
		"hash of what runs":      {"CVMs.Get", "compose_hash", strings.Repeat("ab", 32), deploy.CheckComposeHash, false},
		"app id of what runs":    {"CVMs.Get", "app_id", strings.Repeat("cd", 20), deploy.CheckAppID, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, root := cloud(t)
				sp := spec(t)
				if lie.knownID {
					id, nonce := kms.DeriveAppID(s.TeamWallet(), 0), uint64(0)
					sp.AppID, sp.Nonce = &id, &nonce
				}
				truth := ""
				s.TamperAnswer(lie.operation, func(status int, body []byte) (int, []byte) {
					var members map[string]any
					if json.Unmarshal(body, &members) != nil || members[lie.member] == nil {
						return status, body
					}
					truth, _ = members[lie.member].(string)
					members[lie.member] = lie.value
					changed, err := json.Marshal(members)
					require.NoError(t, err)
					return status, changed
				})
				_, err := deploy.Run(t.Context(), c, sp, root)
				var mismatch *deploy.MismatchError
				require.ErrorAs(t, err, &mismatch)
				assert.Equal(t, lie.what, mismatch.What)
				both := []string{mismatch.Local, mismatch.Remote}
				assert.Contains(t, both, lie.value)
				assert.Contains(t, both, truth)
				assert.Contains(t, err.Error(), lie.value)
				if lie.operation == "CVMs.Provision" || lie.operation == "KMS.GetAppEnvPublicKey" {
					assert.NotContains(t, operations(s), "CVMs.Create", "nothing was created")
				}
			})
		})
	}
}

// A cloud that names a key of its own everywhere is caught by the signature of the KMS root.
func TestForeignKeyIsCaughtByTheRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		foreign := phalatest.New(t, phalatest.WithSeed("a KMS of the cloud's own"))
		theirs, err := foreign.Client()
		require.NoError(t, err)
		for _, op := range []string{"CVMs.Provision", "KMS.GetAppEnvPublicKey"} {
			s.TamperAnswer(op, func(status int, body []byte) (int, []byte) {
				var members map[string]any
				require.NoError(t, json.Unmarshal(body, &members))
				answer, err := theirs.KMS.GetAppEnvPublicKey(context.Background(), "kms_test1", kms.DeriveAppID(s.TeamWallet(), 0).String())
				require.NoError(t, err)
				if op == "CVMs.Provision" {
					members["app_env_encrypt_pubkey"] = answer.PublicKey
				} else {
					members["public_key"], members["signature"] = answer.PublicKey, answer.Signature
				}
				changed, err := json.Marshal(members)
				require.NoError(t, err)
				return status, changed
			})
		}
		_, err = deploy.Run(t.Context(), c, spec(t), root)
		var mismatch *deploy.MismatchError
		require.ErrorAs(t, err, &mismatch)
		assert.Equal(t, deploy.CheckKMSRoot, mismatch.What)
		assert.Equal(t, s.KMSRoot().String(), mismatch.Local)
		assert.Equal(t, foreign.KMSRoot().String(), mismatch.Remote)
		assert.NotContains(t, operations(s), "CVMs.Create")
	})
}

func TestTheKeyCheckIsGivenUpByNameOnly(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts    []deploy.Option
		outcome deploy.Outcome
		err     string
	}{
		"nothing":     {nil, "", "pin the KMS root"},
		"trust":       {[]deploy.Option{deploy.TrustKMSRootFromCloud()}, deploy.Passed, ""},
		"skip":        {[]deploy.Option{deploy.SkipKMSKeyCheck()}, deploy.Waived, ""},
		"two ways":    {[]deploy.Option{deploy.SkipKMSKeyCheck(), deploy.TrustKMSRootFromCloud()}, "", "exclude one another"},
		"no root":     {[]deploy.Option{deploy.WithKMSRoot()}, "", "needs a key"},
		"a wrong one": {[]deploy.Option{deploy.WithKMSRoot(kms.Signer{2})}, "", "kms root mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, _ := cloud(t)
				r, err := deploy.Run(t.Context(), c, spec(t), append(tt.opts, trusting(s))...)
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err)
					assert.NotContains(t, operations(s), "CVMs.Create")
					if name == "nothing" {
						require.ErrorIs(t, err, deploy.ErrNoKMSRoot)
						assert.Empty(t, operations(s), "nothing was sent")
					}
					return
				}
				require.NoError(t, err)
				i := slices.IndexFunc(r.Checks, func(c deploy.Check) bool { return c.Name == deploy.CheckKMSRoot })
				assert.Equal(t, tt.outcome, r.Checks[i].Outcome)
				assert.NotEmpty(t, r.Checks[i].Reason, "what was given up is said")
				requireEnv(t, s, r.State.CVM, secrets())
			})
		})
	}
}

func TestWithoutSecretsNoRootIsNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := cloud(t)
		sp := spec(t)
		sp.Env = nil
		r, err := deploy.Run(t.Context(), c, sp, trusting(s))
		require.NoError(t, err)
		assert.Contains(t, r.Checks, deploy.Check{Name: deploy.CheckKMSRoot, Outcome: deploy.NotNeeded, Reason: "there are no secrets"})
		assert.NotContains(t, operations(s), "KMS.GetAppEnvPublicKey")
	})
}

func TestWithoutAScriptTheHashCannotBeCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		sp := spec(t)
		app, err := compose.New(dockerCompose)
		require.NoError(t, err)
		sp.Compose = app
		r, err := deploy.Run(t.Context(), c, sp, root)
		require.NoError(t, err)
		assert.Equal(t, deploy.NotPossible, r.Checks[0].Outcome)
		assert.Contains(t, r.Checks[0].String(), "compose hash not possible: without a pre-launch script")
	})
}

func TestBadSpecsAreRefusedBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	id, nonce := kms.AppID{1}, uint64(1)
	for want, change := range map[string]func(*deploy.Spec){
		`name "web"`:                        func(s *deploy.Spec) { s.Name = "web" },
		"Compose is required":               func(s *deploy.Spec) { s.Compose = nil },
		"VCPU is -1":                        func(s *deploy.Spec) { s.VCPU = -1 },
		"AppID and Nonce go together":       func(s *deploy.Spec) { s.AppID = &id },
		"AppID and Nonce go together; give": func(s *deploy.Spec) { s.Nonce = &nonce },
		`"A-B"`:                             func(s *deploy.Spec) { s.Env = []compose.EnvVar{{Key: "A-B"}} },
		"TOKEN is there twice":              func(s *deploy.Spec) { s.Env = append(s.Env, s.Env[0]) },
		"URL is not among the allowed_envs": func(s *deploy.Spec) { s.Compose.AllowedEnvs = []string{"TOKEN"} },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s, c, root := cloud(t)
			sp := spec(t)
			change(&sp)
			_, err := deploy.Run(t.Context(), c, sp, root)
			require.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.Empty(t, operations(s))
		})
	}
}

func TestAFailedBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		s.FailBoot("web-1", "no such image: nginx:nope")
		_, err := deploy.Run(t.Context(), c, spec(t), root)
		var boot *deploy.BootError
		require.ErrorAs(t, err, &boot)
		assert.EqualValues(t, "error", boot.Status)
		assert.Equal(t, "no such image: nginx:nope", boot.Text)
		assert.Equal(t, "starting containers", boot.Progress)
		assert.Contains(t, err.Error(), "no such image")
		require.ErrorIs(t, err, client.ErrFailedState)
	})
}

func TestAContextThatEndsIsItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t, phalatest.WithManualTicks())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := deploy.Run(ctx, c, spec(t), root)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var boot *deploy.BootError
		require.False(t, errors.As(err, &boot), "the CVM goes on booting")
		var wait *client.WaitError
		require.ErrorAs(t, err, &wait)
		assert.EqualValues(t, "created", wait.State.Status)
	})
}

// The answer of each call is lost once, after its work was done.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CVMs.Provision", "KMS.GetAppEnvPublicKey", "CVMs.Create", "CVMs.GetState", "CVMs.Get"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, root := cloud(t)
				s.Fault(operation, phalatest.Fault{LoseAnswer: true})
				r, err := deploy.Run(t.Context(), c, spec(t), root)
				require.NoError(t, err)
				requireEnv(t, s, r.State.CVM, secrets())
				all, err := c.CVMs.ListAll(t.Context(), nil)
				require.NoError(t, err)
				assert.Len(t, all, 1)
			})
		})
	}
}

// The process dies after each phase; another one goes on from the JSON that was saved.
func TestResumeAfterEachPhase(t *testing.T) {
	t.Parallel()
	dead := errors.New("the process died")
	for _, phase := range []deploy.Phase{deploy.PhaseProvisioned, deploy.PhaseEncrypted, deploy.PhaseCreated, deploy.PhaseRunning} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, root := cloud(t)
				var saved []byte
				_, err := deploy.Run(t.Context(), c, spec(t), root, deploy.WithCheckpoint(func(st *deploy.State) error {
					var err error
					saved, err = json.Marshal(st)
					require.NoError(t, err)
					assert.False(t, bytes.Contains(saved, []byte("hunter2")))
					if st.Phase == phase {
						return dead
					}
					return nil
				}))
				require.ErrorIs(t, err, dead)
				st, err := deploy.ParseState(saved)
				require.NoError(t, err)
				assert.Equal(t, phase, st.Phase)
				sp := spec(t)
				if phase != deploy.PhaseProvisioned {
					sp.Env = nil // the secrets are not needed any more
				}
				r, err := deploy.Resume(t.Context(), c, sp, st, root)
				require.NoError(t, err)
				requireEnv(t, s, r.State.CVM, secrets())
				all, err := c.CVMs.ListAll(t.Context(), nil)
				require.NoError(t, err)
				assert.Len(t, all, 1)
			})
		})
	}
}

func TestCreateAgainMakesNoSecondCVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), root)
		require.NoError(t, err)
		require.ErrorContains(t, deploy.Create(t.Context(), c, st), "is provisioned, want encrypted")
		require.ErrorContains(t, deploy.Encrypt(t.Context(), c, st, secrets()[:1], root), "1 secrets for a provision that announced 2")
		require.NoError(t, deploy.Encrypt(t.Context(), c, st, secrets(), root))
		again := *st
		require.NoError(t, deploy.Create(t.Context(), c, st))
		require.NoError(t, deploy.Create(t.Context(), c, &again), "the answer was lost, say")
		assert.Equal(t, st.CVM, again.CVM)
		r, err := deploy.Wait(t.Context(), c, &again, root)
		require.NoError(t, err)
		assert.EqualValues(t, "running", r.CVM.Status)
	})
}

// Running the whole thing again, without a saved state, ends with the same CVM and the new secrets.
func TestRunAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		first, err := deploy.Run(t.Context(), c, spec(t), root)
		require.NoError(t, err)
		sp := spec(t)
		sp.Env[0].Value = "changed"
		second, err := deploy.Run(t.Context(), c, sp, root)
		require.NoError(t, err)
		assert.Equal(t, first.State.CVM, second.State.CVM)
		assert.True(t, second.State.Adopted)
		requireEnv(t, s, second.State.CVM, sp.Env)

		id, nonce := kms.DeriveAppID(s.TeamWallet(), 9), uint64(9)
		known := sp
		known.AppID, known.Nonce = &id, &nonce
		_, err = deploy.Run(t.Context(), c, known, root)
		require.ErrorIs(t, err, client.ErrConflict)
		require.ErrorContains(t, err, "belongs to app "+first.State.AppID.String()+", not "+id.String())

		app, err := compose.New(dockerCompose+"# another\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
		require.NoError(t, err)
		sp.Compose = app
		_, err = deploy.Run(t.Context(), c, sp, root)
		require.ErrorIs(t, err, client.ErrConflict)
		require.ErrorContains(t, err, "runs compose hash "+first.State.ComposeHash.String())
	})
}

func TestResumeRefusesAnotherSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), root)
		require.NoError(t, err)
		sp := spec(t)
		sp.Name = "another"
		_, err = deploy.Resume(t.Context(), c, sp, st, root)
		require.ErrorContains(t, err, `of "web-1"`)
	})
}

func TestParseState(t *testing.T) {
	t.Parallel()
	for want, text := range map[string]string{
		"unknown phase": `{"phase":"flying"}`, "without a cvm": `{"phase":"created"}`, "deployment state": `[`,
	} {
		_, err := deploy.ParseState([]byte(text))
		require.ErrorContains(t, err, want)
	}
}

func TestStateKeepsItsSecretsToItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), root)
		require.NoError(t, err)
		require.NoError(t, deploy.Encrypt(t.Context(), c, st, secrets(), root))
		text := string(st.EncryptedEnv)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", *st, *st, *st), text)
	})
}

func TestMembersThatTheAPIDoesNotKnowAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		sp := spec(t)
		sp.Compose.Extra = map[string]json.RawMessage{"later": json.RawMessage(`{"b":[1],"a":"<&>"}`)}
		r, err := deploy.Run(t.Context(), c, sp, root)
		require.NoError(t, err)
		text, err := c.CVMs.GetComposeFile(t.Context(), r.State.CVM, nil)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"later":{"a":"<&>","b":[1]}`)
	})
}
