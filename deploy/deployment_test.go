package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestRun_ChecksEverythingAndReportsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		sp := spec(t)
		var events []string
		var log strings.Builder
		app, err := deploy.Run(t.Context(), c, sp, append(with.run, deploy.WithProgress(func(e deploy.Event) {
			if c, ok := e.(deploy.ComparisonEvent); !ok || c.Name != deploy.ComparedInspection {
				events = append(events, strings.TrimPrefix(fmt.Sprintf("%T", e), "deploy."))
			}
			fmt.Fprintf(&log, "%s %+v %v\n", e, e, e)
		}))...)
		require.NoError(t, err)
		assert.EqualValues(t, "running", app.Last.CVM.Status)
		require.Len(t, app.Last.URLs, 1)
		require.Len(t, app.CVMs, 1)
		requireEnv(t, s, app.CVMs[0].ID, secrets())

		sp.Compose.AllowedEnvs = []string{"TOKEN", "URL"}
		want, err := sp.Compose.Hash()
		require.NoError(t, err)
		assert.Equal(t, want, app.ComposeHash)
		assert.Equal(t, map[string]deploy.ComparisonOutcome{
			deploy.ComparedComposeHash: deploy.Confirmed, deploy.ComparedAppID: deploy.Confirmed, deploy.ComparedOS: deploy.Consistent,
			deploy.ComparedEnvKey: deploy.Consistent, deploy.ComparedKMSRoot: deploy.Confirmed, deploy.ComparedAttestation: deploy.Confirmed,
		}, outcomes(app.Last.Comparisons))
		assert.Equal(t, []string{
			"ComparisonEvent", "ComparisonEvent", "ComparisonEvent", "ProvisionedEvent", "ComparisonEvent", "ComparisonEvent", "EncryptedEvent", "CreatedEvent",
		}, events[:8])
		assert.Contains(t, events, "StatusEvent")
		assert.Equal(t, []string{"ComparisonEvent", "RunningEvent", "AttestationEvent", "ComparisonEvent"}, events[len(events)-4:])
		assert.NotContains(t, log.String(), "hunter2")
		assert.Contains(t, operations(s), "CVMs.GetState", "the states are streamed")
	})
}

// What Run returns is all that later flows need, without a value of a secret.
func TestRun_ReturnsTheAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		assert.Equal(t, kms.DeriveAppID(s.TeamWallet(), 0), app.ID)
		assert.Equal(t, compose.Sum([]byte(app.Document)), app.ComposeHash)
		assert.Equal(t, []string{"TOKEN", "URL"}, app.Secrets)
		assert.Equal(t, s.KMSRoot(), app.KMSRoot)
		assert.False(t, app.RootFromCloud)
		assert.NotEmpty(t, app.KeyProvider)
		assert.True(t, app.OS.Measured)
		assert.False(t, app.OS.Development)
		assert.Equal(t, []deploy.CVM{{ID: app.Last.CVM.VMUUID, Name: "web-1", ComposeHash: app.ComposeHash, InstanceID: app.Last.CVM.InstanceID}}, app.CVMs)

		data, err := json.Marshal(app)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "hunter2")
		again, err := deploy.ParseApp(data)
		require.NoError(t, err)
		app.Last = nil
		assert.Equal(t, app, again)
	})
}

func TestRun_LeavesTheSpecAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		sp := spec(t)
		before, err := sp.Compose.Canonical()
		require.NoError(t, err)
		_, err = deploy.Run(t.Context(), c, sp, with.run...)
		require.NoError(t, err)
		after, err := sp.Compose.Canonical()
		require.NoError(t, err)
		assert.Equal(t, string(before), string(after))
	})
}

func TestRun_ComparesAKnownAppID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		sp := spec(t)
		next, err := c.KMS.GetNextAppIDs(t.Context(), nil)
		require.NoError(t, err)
		id, err := kms.ParseAppID(next.AppIDs[0].AppID)
		require.NoError(t, err)
		nonce := uint64(next.AppIDs[0].Nonce)
		sp.AppID, sp.Nonce = &id, &nonce

		_, err = deploy.Run(t.Context(), c, sp, deploy.WithKMSRoot(s.KMSRoot()), trusting(s), deploy.WithTeamWallet(common.Address{1}))
		requireMismatch(t, err, deploy.ComparedAppID)
		assert.NotContains(t, operations(s), "CVMs.Provision", "a wrong wallet ends it before anything is sent")

		app, err := deploy.Run(t.Context(), c, sp, with.run...)
		require.NoError(t, err)
		assert.Equal(t, id, app.ID)
		assert.Equal(t, deploy.Comparison{Name: deploy.ComparedAppID, Outcome: deploy.Confirmed, Local: id.String(), Remote: id.String()},
			check(t, app.Last.Comparisons, deploy.ComparedAppID))
	})
}

// Secrets are encrypted for the key of an app id. That id is never the cloud's choice, unless the caller says so.
func TestRun_NeedsAnAppIDThatTheCloudDidNotChoose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := cloud(t)
		root := []deploy.Option{deploy.WithKMSRoot(s.KMSRoot()), trusting(s)}
		_, err := deploy.Run(t.Context(), c, spec(t), root...)
		require.ErrorIs(t, err, deploy.ErrNoAppID)
		assert.Empty(t, operations(s), "nothing was sent")

		_, err = deploy.Run(t.Context(), c, spec(t), append(root, deploy.WithTeamWallet(common.Address{1}))...)
		mismatch := requireMismatch(t, err, deploy.ComparedAppID)
		assert.Equal(t, kms.DeriveAppID(s.TeamWallet(), 0).String(), mismatch.Remote)
		assert.NotContains(t, operations(s), "KMS.GetAppEnvPublicKey")

		app, err := deploy.Run(t.Context(), c, spec(t), append(root, deploy.TrustAppIDFromCloud())...)
		require.NoError(t, err)
		assert.Equal(t, deploy.Waived, check(t, app.Last.Comparisons, deploy.ComparedAppID).Outcome)

		sp := spec(t)
		sp.Name, sp.Env = "web-2", nil
		app, err = deploy.Run(t.Context(), c, sp, deploy.AllowMissing("TOKEN", "URL"), trusting(s))
		require.NoError(t, err, "without secrets nothing depends on the id")
		assert.Equal(t, deploy.Undecided, check(t, app.Last.Comparisons, deploy.ComparedAppID).Outcome)
	})
}

// The cloud answers with a wrong value in one member of one answer.
func TestRun_EndsAtAWrongAnswer(t *testing.T) {
	t.Parallel()
	otherKey := "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
	for name, wrong := range map[string]struct {
		operation, member, value, what string
		knownID                        bool
	}{
		"compose hash":           {"CVMs.Provision", "compose_hash", strings.Repeat("ab", 32), deploy.ComparedComposeHash, false},
		"app id":                 {"CVMs.Provision", "app_id", strings.Repeat("cd", 20), deploy.ComparedAppID, true},
		"key while provisioning": {"CVMs.Provision", "app_env_encrypt_pubkey", otherKey, deploy.ComparedEnvKey, false},
		"key of the KMS":         {"KMS.GetAppEnvPublicKey", "public_key", otherKey, deploy.ComparedEnvKey, false},
		"app id of the new CVM":  {"CVMs.Create", "app_id", strings.Repeat("cd", 20), deploy.ComparedAppID, false},
		"hash of what runs":      {"CVMs.Get", "compose_hash", strings.Repeat("ab", 32), deploy.ComparedComposeHash, false},
		"app id of what runs":    {"CVMs.Get", "app_id", strings.Repeat("cd", 20), deploy.ComparedAppID, false},
		"id of what runs":        {"CVMs.Get", "vm_uuid", "cdcdcdcd-cdcd-4dcd-8dcd-cdcdcdcdcdcd", deploy.ComparedCVM, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				sp := spec(t)
				if wrong.knownID {
					id, nonce := kms.DeriveAppID(s.TeamWallet(), 0), uint64(0)
					sp.AppID, sp.Nonce = &id, &nonce
				}
				right := ""
				s.TamperResponse(wrong.operation, func(status int, body []byte) (int, []byte) {
					return status, rewritten(body, func(members map[string]any) {
						if members[wrong.member] != nil {
							right, _ = members[wrong.member].(string)
							members[wrong.member] = wrong.value
						}
					})
				})
				_, err := deploy.Run(t.Context(), c, sp, with.run...)
				mismatch := requireMismatch(t, err, wrong.what)
				both := []string{mismatch.Local, mismatch.Remote}
				assert.Contains(t, both, wrong.value)
				assert.Contains(t, both, right)
				assert.Contains(t, err.Error(), wrong.value)
				if wrong.operation == "CVMs.Provision" || wrong.operation == "KMS.GetAppEnvPublicKey" {
					assert.NotContains(t, operations(s), "CVMs.Create", "nothing was created")
				}
			})
		})
	}
}

// A cloud that names a key of its own everywhere is found out by the signature of the KMS root.
func TestRun_EndsAtAKeyOfAnotherRoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		foreign := phalatest.New(t, phalatest.WithSeed("a KMS of the cloud's own"))
		theirs, err := foreign.Client()
		require.NoError(t, err)
		for _, op := range []string{"CVMs.Provision", "KMS.GetAppEnvPublicKey"} {
			s.TamperResponse(op, func(status int, body []byte) (int, []byte) {
				answer, err := theirs.KMS.GetAppEnvPublicKey(context.Background(), "kms_test1", kms.DeriveAppID(s.TeamWallet(), 0).String())
				require.NoError(t, err)
				return status, rewritten(body, func(members map[string]any) {
					if op == "CVMs.Provision" {
						members["app_env_encrypt_pubkey"] = answer.PublicKey
					} else {
						members["public_key"], members["signature"] = answer.PublicKey, answer.Signature
					}
				})
			})
		}
		_, err = deploy.Run(t.Context(), c, spec(t), with.run...)
		mismatch := requireMismatch(t, err, deploy.ComparedKMSRoot)
		assert.Equal(t, s.KMSRoot().String(), mismatch.Local)
		assert.Equal(t, foreign.KMSRoot().String(), mismatch.Remote)
		assert.NotContains(t, operations(s), "CVMs.Create")
	})
}

func TestRun_GivesTheKeyCheckUpOnlyByName(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts    []deploy.Option
		outcome deploy.ComparisonOutcome
		err     string
	}{
		"nothing":     {nil, "", "pin the KMS root"},
		"trust":       {[]deploy.Option{deploy.TrustKMSRootFromCloud()}, deploy.Waived, ""},
		"skip":        {[]deploy.Option{deploy.SkipKMSKeyCheck()}, deploy.Waived, ""},
		"two ways":    {[]deploy.Option{deploy.SkipKMSKeyCheck(), deploy.TrustKMSRootFromCloud()}, "", "exclude one another"},
		"no root":     {[]deploy.Option{deploy.WithKMSRoot()}, "", "WithKMSRoot: a key is required"},
		"a wrong one": {[]deploy.Option{deploy.WithKMSRoot(kms.RootKey{2})}, "", "kms root mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, _ := cloud(t)
				app, err := deploy.Run(t.Context(), c, spec(t), append(tt.opts, deploy.WithTeamWallet(s.TeamWallet()), trusting(s))...)
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
				root := check(t, app.Last.Comparisons, deploy.ComparedKMSRoot)
				assert.Equal(t, tt.outcome, root.Outcome)
				assert.NotEmpty(t, root.Reason, "what was given up is named")
				assert.Equal(t, name == "trust", app.RootFromCloud)
				assert.Equal(t, name == "skip", app.KMSRoot == kms.RootKey{})
				requireEnv(t, s, app.CVMs[0].ID, secrets())
			})
		})
	}
}

func TestRun_NeedsNoRootWithoutSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := cloud(t)
		sp := spec(t)
		sp.Env = nil
		app, err := deploy.Run(t.Context(), c, sp, trusting(s), deploy.AllowMissing("TOKEN", "URL"))
		require.NoError(t, err)
		assert.Contains(t, app.Last.Comparisons, deploy.Comparison{Name: deploy.ComparedKMSRoot, Outcome: deploy.NotNeeded, Reason: "there are no secrets"})
		assert.NotContains(t, operations(s), "KMS.GetAppEnvPublicKey")
		assert.Equal(t, []string{}, app.Secrets)
	})
}

// Without a script of its own the platform completes the document, and the hardware proves how.
func TestRun_ProvesACompletedDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		sp := spec(t)
		doc, err := compose.New(dockerCompose)
		require.NoError(t, err)
		sp.Compose = doc
		_, script := s.PreLaunchScript()
		app, err := deploy.Run(t.Context(), c, sp, append(with.run, deploy.AcceptPreLaunchScripts(script))...)
		require.NoError(t, err)
		hash := check(t, app.Last.Comparisons, deploy.ComparedComposeHash)
		assert.Equal(t, deploy.Undecided, hash.Outcome)
		assert.Contains(t, hash.String(), "compose hash undecided: without a pre-launch script")
		followed := check(t, app.Last.Comparisons, deploy.ComparedDocument)
		assert.Equal(t, deploy.Confirmed, followed.Outcome)
		assert.Equal(t, app.ComposeHash.String(), followed.Remote)
		assert.Equal(t, compose.Sum([]byte(app.Document)), app.ComposeHash)
		assert.NotEqual(t, followed.Local, followed.Remote)

		sp.Name = "web-2"
		_, err = deploy.Run(t.Context(), c, sp, with.run...)
		requireMismatch(t, err, deploy.ComparedDocument)
		var unverified *deploy.VerificationError
		require.ErrorAs(t, err, &unverified)
		require.ErrorContains(t, err, script.String(), "the error shows the hash of the unknown script")
	})
}

func TestRun_RefusesABadSpecBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	id, nonce := kms.AppID{1}, uint64(1)
	for want, change := range map[string]func(*deploy.Spec){
		`name "web"`:                          func(s *deploy.Spec) { s.Name = "web" },
		"Compose is required":                 func(s *deploy.Spec) { s.Compose = nil },
		"VCPU is -1":                          func(s *deploy.Spec) { s.VCPU = -1 },
		"NodeID is -1":                        func(s *deploy.Spec) { s.NodeID = -1 },
		"both select a node":                  func(s *deploy.Spec) { s.NodeID, s.TeepodID = 1, 1 },
		`OS is windows`:                       func(s *deploy.Spec) { s.OS = "windows" },
		"AppID and Nonce go together":         func(s *deploy.Spec) { s.AppID = &id },
		"AppID and Nonce go together; give":   func(s *deploy.Spec) { s.Nonce = &nonce },
		`"A-B"`:                               func(s *deploy.Spec) { s.Env = append(s.Env, compose.EnvVar{Key: "A-B"}) },
		"TOKEN appears twice":                 func(s *deploy.Spec) { s.Env = append(s.Env, s.Env[0]) },
		"secrets: URL: the allowed_envs":      func(s *deploy.Spec) { s.Compose.AllowedEnvs = []string{"TOKEN"} },
		"secrets: TOKEN: the docker-compose":  func(s *deploy.Spec) { s.Env = s.Env[1:] },
		"variable URL: its value has a new":   func(s *deploy.Spec) { s.Env[1].Value = "hunter2\n" },
		"Contract is for a KMS on a chain":    func(s *deploy.Spec) { s.Contract.AllowAnyDevice = true },
		"Amend changed the document":          amending(func(r *openapi.ProvisionRequest) { r.ComposeFile.DockerComposeFile = openapi.Ptr(noSecrets) }),
		"Amend changed the app id":            amending(func(r *openapi.ProvisionRequest) { r.AppID = openapi.Ptr(id.String()) }),
		"Amend changed the KMS":               amending(func(r *openapi.ProvisionRequest) { r.KMSContract = openapi.Ptr("0x1") }),
		"Amend changed the name or the names": amending(func(r *openapi.ProvisionRequest) { r.EnvKeys = nil }),
		"Amend set encrypted_env":             amending(func(r *openapi.ProvisionRequest) { r.EncryptedEnv = openapi.Ptr(openapi.Secret("00")) }),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s, c, with := cloud(t)
			sp := spec(t)
			change(&sp)
			_, err := deploy.Run(t.Context(), c, sp, with.run...)
			require.ErrorContains(t, err, want)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.Empty(t, operations(s))
		})
	}
}

func amending(change func(*openapi.ProvisionRequest)) func(*deploy.Spec) {
	return func(s *deploy.Spec) { s.Amend = change }
}

func TestRun_ReturnsABootErrorIfTheCVMDoesNotBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		s.FailBoot("web-1", "no such image: nginx:nope")
		_, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		var boot *deploy.BootError
		require.ErrorAs(t, err, &boot)
		assert.EqualValues(t, "error", boot.Status)
		assert.Equal(t, "no such image: nginx:nope", boot.Text)
		assert.Equal(t, "starting containers", boot.Progress)
		assert.Contains(t, err.Error(), "no such image")
		require.ErrorIs(t, err, client.ErrFailedState)
	})
}

func TestRun_ReturnsTheErrorOfAContextThatEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t, phalatest.WithManualTicks())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := deploy.Run(ctx, c, spec(t), with.run...)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var boot *deploy.BootError
		require.NotErrorAs(t, err, &boot, "the CVM goes on booting")
		var wait *client.WaitError
		require.ErrorAs(t, err, &wait)
		assert.EqualValues(t, "created", wait.State.Status)
	})
}

func TestRun_BoundsTheWaitForABoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t, phalatest.WithManualTicks())
		began := time.Now()
		_, err := deploy.Run(t.Context(), c, spec(t), append(with.run, deploy.WithBootTimeout(7*time.Minute))...)
		var timeout *deploy.TimeoutError
		require.ErrorAs(t, err, &timeout)
		assert.Equal(t, 7*time.Minute, timeout.After)
		assert.Contains(t, err.Error(), "to be running took more than 7m0s")
		assert.InDelta(t, (7 * time.Minute).Seconds(), time.Since(began).Seconds(), 30)
	})
}

// The answer of each call is lost once, after its work was done.
func TestRun_SurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CVMs.Provision", "KMS.GetAppEnvPublicKey", "CVMs.Create", "CVMs.GetState", "CVMs.Get", "OSImages.List"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				s.Fault(operation, phalatest.Fault{LoseResponse: true})
				app, err := deploy.Run(t.Context(), c, spec(t), with.run...)
				require.NoError(t, err)
				requireEnv(t, s, app.CVMs[0].ID, secrets())
				all, err := c.CVMs.ListAll(t.Context(), nil)
				require.NoError(t, err)
				assert.Len(t, all, 1)
			})
		})
	}
}

// The process dies after each phase; another one goes on from the JSON that was saved.
func TestResume_GoesOnAfterEachPhase(t *testing.T) {
	t.Parallel()
	dead := errors.New("the process died")
	for _, phase := range []deploy.Phase{deploy.PhaseProvisioned, deploy.PhaseEncrypted, deploy.PhaseCreated, deploy.PhaseRunning} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				var saved []byte
				_, err := deploy.Run(t.Context(), c, spec(t), append(with.run, deploy.WithCheckpoint(func(st *deploy.State) error {
					var err error
					saved, err = json.Marshal(st)
					require.NoError(t, err)
					assert.False(t, bytes.Contains(saved, []byte("hunter2")))
					if st.Phase == phase {
						return dead
					}
					return nil
				}))...)
				require.ErrorIs(t, err, dead)
				st, err := deploy.ParseState(saved)
				require.NoError(t, err)
				assert.Equal(t, phase, st.Phase)
				sp := spec(t)
				if phase != deploy.PhaseProvisioned {
					sp.Env = []compose.EnvVar{{Key: "TOKEN"}, {Key: "URL"}} // the values are not needed any more
				}
				app, err := deploy.Resume(t.Context(), c, sp, st, with.run...)
				require.NoError(t, err)
				requireEnv(t, s, app.CVMs[0].ID, secrets())
				assert.Equal(t, s.KMSRoot(), app.KMSRoot)
				all, err := c.CVMs.ListAll(t.Context(), nil)
				require.NoError(t, err)
				assert.Len(t, all, 1)
			})
		})
	}
}

func TestResume_RefusesAnotherSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		before := len(s.Requests())
		for want, change := range map[string]func(*deploy.Spec){
			`Name is "another", was "web-1"`:                      func(s *deploy.Spec) { s.Name = "another" },
			"Compose is ":                                         func(s *deploy.Spec) { s.Compose.PublicLogs = openapi.Ptr(false) },
			`names of Env is "[URL]", was "[TOKEN URL]"`:          func(s *deploy.Spec) { s.Env = s.Env[1:] },
			`InstanceType is "tdx.medium", was "tdx.small"`:       func(s *deploy.Spec) { s.InstanceType = "tdx.medium" },
			`OS is "development", was ""`:                         func(s *deploy.Spec) { s.OS = deploy.Development },
			`AppID is "0000000000000000000000000000000000000000"`: func(s *deploy.Spec) { s.AppID = &kms.AppID{} },
		} {
			sp := spec(t)
			change(&sp)
			_, err = deploy.Resume(t.Context(), c, sp, st, with.run...)
			require.ErrorIs(t, err, deploy.ErrOtherSpec)
			require.ErrorContains(t, err, want)
		}
		assert.Len(t, s.Requests(), before, "nothing was sent")
	})
}

func TestCreate_MakesNoSecondCVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		require.ErrorContains(t, deploy.Create(t.Context(), c, st), "is provisioned: want encrypted")
		err = deploy.Encrypt(t.Context(), c, st, secrets()[:1], with.run...)
		require.ErrorIs(t, err, deploy.ErrOtherSpec)
		require.ErrorContains(t, err, "the secrets are [TOKEN], were [TOKEN URL]")
		require.NoError(t, deploy.Encrypt(t.Context(), c, st, secrets(), with.run...))
		again := *st
		require.NoError(t, deploy.Create(t.Context(), c, st))
		require.NoError(t, deploy.Create(t.Context(), c, &again), "the answer was lost, say")
		assert.Equal(t, st.CVM, again.CVM)
		app, err := deploy.Wait(t.Context(), c, &again, with.run...)
		require.NoError(t, err)
		assert.EqualValues(t, "running", app.Last.CVM.Status)
	})
}

// Running the whole thing again, without a saved state, ends with the same CVM and the new secrets.
func TestRun_TakesOverTheCVMOfAnEarlierRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		sp := spec(t)
		sp.Env[0].Value = "changed"
		adopted := false
		again, err := deploy.Run(t.Context(), c, sp, append(with.run, deploy.WithProgress(func(e deploy.Event) {
			if e, ok := e.(deploy.CreatedEvent); ok {
				adopted = e.Adopted
			}
		}))...)
		require.NoError(t, err)
		assert.Equal(t, first.CVMs, again.CVMs)
		assert.Equal(t, first.ID, again.ID)
		assert.True(t, adopted)
		requireEnv(t, s, again.CVMs[0].ID, sp.Env)

		id, nonce := kms.DeriveAppID(s.TeamWallet(), 9), uint64(9)
		known := sp
		known.AppID, known.Nonce = &id, &nonce
		_, err = deploy.Run(t.Context(), c, known, with.run...)
		require.ErrorIs(t, err, client.ErrConflict)
		mismatch := requireMismatch(t, err, deploy.ComparedAppID)
		assert.Equal(t, id.String(), mismatch.Local)
		assert.Equal(t, first.ID.String(), mismatch.Remote)

		other := sp
		other.Compose, err = compose.New(dockerCompose+"# another\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
		require.NoError(t, err)
		_, err = deploy.Run(t.Context(), c, other, with.run...)
		require.ErrorIs(t, err, client.ErrConflict)
		mismatch = requireMismatch(t, err, deploy.ComparedComposeHash)
		assert.Equal(t, first.ComposeHash.String(), mismatch.Remote)

		other.Compose, err = compose.New(dockerCompose)
		require.NoError(t, err)
		_, err = deploy.Run(t.Context(), c, other, with.run...)
		require.ErrorIs(t, err, client.ErrConflict)
		require.ErrorContains(t, err, "cannot be predicted, so it is unknown")
		requireEnv(t, s, again.CVMs[0].ID, sp.Env)
	})
}

// Two processes run one spec. The slower one's state cannot create a second CVM; the error says how to go on.
func TestCreate_AfterAnotherRunOfTheSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		st, err := deploy.Provision(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		require.NoError(t, deploy.Encrypt(t.Context(), c, st, secrets(), with.run...))
		first := running(t, c, with)

		err = deploy.Create(t.Context(), c, st, with.run...)
		require.ErrorIs(t, err, client.ErrConflict)
		require.ErrorContains(t, err, "call Run without this state")

		again, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
		assert.Equal(t, first.CVMs, again.CVMs)
		requireEnv(t, s, again.CVMs[0].ID, secrets())
	})
}

func TestRun_SendsMembersThatTheAPIDoesNotKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		sp := spec(t)
		sp.Compose.Extra = map[string]json.RawMessage{"later": json.RawMessage(`{"b":[1],"a":"<&>"}`)}
		app, err := deploy.Run(t.Context(), c, sp, with.run...)
		require.NoError(t, err)
		text, err := c.CVMs.GetComposeFile(t.Context(), app.CVMs[0].ID, nil)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"later":{"a":"<&>","b":[1]}`)
	})
}

// An option is never ignored: a flow that has no use for it returns an error.
func TestOption_IsAnErrorInAFlowThatHasNoUseForIt(t *testing.T) {
	t.Parallel()
	s, c, with := cloud(t)
	app := &deploy.App{ID: kms.AppID{1}}
	for want, err := range map[string]error{
		"WithTeamWallet has no effect in a change":                second(deploy.Update(t.Context(), c, app, deploy.UpdateSpec{}, with.run...)),
		"WithVerification has no effect in a preparation":         second(deploy.Prepare(t.Context(), c, app, deploy.UpdateSpec{}, with.change...)),
		"WithPending has no effect in a deployment":               second(deploy.Run(t.Context(), c, spec(t), deploy.WithPending(func(*deploy.Pending) error { return nil }))),
		"WithKMSRoot has no effect in Commit":                     deploy.Commit(t.Context(), c, &deploy.Pending{}, with.prepare...),
		"TrustDocumentFromCloud has no effect in a deployment":    second(deploy.Run(t.Context(), c, spec(t), deploy.TrustDocumentFromCloud())),
		"WithProgress: a function is required":                    second(deploy.Run(t.Context(), c, spec(t), deploy.WithProgress(nil))),
		"WithCheckpoint: a function is required":                  second(deploy.Run(t.Context(), c, spec(t), deploy.WithCheckpoint(nil))),
		"WithPending: a function is required":                     second(deploy.Update(t.Context(), c, app, deploy.UpdateSpec{}, deploy.WithPending(nil))),
		"WithBootTimeout: -1s is not more than 0":                 second(deploy.Run(t.Context(), c, spec(t), deploy.WithBootTimeout(-time.Second))),
		"the zero Option":                                         second(deploy.Run(t.Context(), c, spec(t), deploy.Option{})),
		"WithVerification and SkipVerification exclude one anoth": second(deploy.Run(t.Context(), c, spec(t), append(with.run, deploy.SkipVerification())...)),
	} {
		require.ErrorContains(t, err, want)
	}
	assert.Empty(t, s.Requests())
}

func TestRun_TakesOverWithFewerSecretsThanTheAppAllows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"), compose.WithAllowedEnvs("EXTRA", "TOKEN", "URL"))
		require.NoError(t, err)
		sp := spec(t)
		sp.Compose = doc
		first, err := deploy.Run(t.Context(), c, sp, with.run...)
		require.NoError(t, err)
		again, err := deploy.Run(t.Context(), c, sp, with.run...)
		require.NoError(t, err)
		assert.Equal(t, first.ComposeHash, again.ComposeHash)
		assert.Equal(t, first.CVMs[0].ID, again.CVMs[0].ID)
		requireEnv(t, s, again.CVMs[0].ID, secrets())
	})
}

// A field of an unexpected type in a response does not end a deployment.
func TestRun_AcceptsFieldsOfUnexpectedTypes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		s.TamperResponse("CVMs.Provision", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) {
				m["compose_hash_registered"], m["teepod_id"], m["fmspc"] = "perhaps", []any{1}, 7
			})
		})
		_, err := deploy.Run(t.Context(), c, spec(t), with.run...)
		require.NoError(t, err)
	})
}
