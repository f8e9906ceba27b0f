package deploy_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestUpdate_ChangesDocumentSecretsAndSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		before := running(t, c, with)
		fresh := []compose.EnvVar{{Key: "URL", Value: "hunter3"}, {Key: "EXTRA", Value: "hunter4"}}
		var events []string
		app, err := deploy.Update(t.Context(), c, before, deploy.UpdateSpec{
			DockerCompose: urlOnly, Env: fresh, RemoveSecrets: []string{"TOKEN"}, PublicLogs: openapi.Ptr(false),
			DiskSize: 40,
		}, append(with.change, deploy.WithProgress(func(e deploy.Event) { events = append(events, e.String()) }))...)
		require.NoError(t, err)

		runs := text(t, c, "web-1")
		assert.Equal(t, []string{"EXTRA", "URL"}, runs.AllowedEnvs, "the names follow the secrets, sorted")
		assert.Equal(t, urlOnly, *runs.DockerComposeFile)
		assert.False(t, *runs.PublicLogs)
		assert.Equal(t, "#!/bin/sh\n", *runs.PreLaunchScript, "what is not named stays")
		requireEnv(t, s, "web-1", []compose.EnvVar{fresh[1], fresh[0]})
		hash, err := runs.Hash()
		require.NoError(t, err)
		assert.Equal(t, hash, app.ComposeHash)
		assert.Equal(t, 40, *app.Last.CVM.Resource.DiskInGB)
		assert.Equal(t, map[string]deploy.ComparisonOutcome{
			deploy.ComparedSecrets: deploy.Noticed, deploy.ComparedComposeHash: deploy.Confirmed,
			deploy.ComparedKMSRoot: deploy.Confirmed, deploy.ComparedOS: deploy.Consistent, deploy.ComparedAttestation: deploy.Confirmed,
		}, outcomes(app.Last.Comparisons))
		assert.Contains(t, check(t, app.Last.Comparisons, deploy.ComparedSecrets).Reason, "EXTRA is mentioned neither")
		for _, r := range s.Requests() {
			assert.NotContains(t, string(r.Body), "hunter4")
		}
		for _, v := range fresh {
			assert.NotContains(t, strings.Join(events, "\n"), v.Value)
		}
		assert.Contains(t, events, "running: web-1")
	})
}

// The new anchor replaces the one before, which stays as it was.
func TestUpdate_ReturnsTheAnchorFromAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		before := running(t, c, with)
		kept, err := json.Marshal(before)
		require.NoError(t, err)
		app, err := deploy.Update(t.Context(), c, before, deploy.UpdateSpec{DockerCompose: urlOnly, Env: urlSecret(), RemoveSecrets: []string{"TOKEN"}}, with.change...)
		require.NoError(t, err)
		same, err := json.Marshal(before)
		require.NoError(t, err)
		assert.Equal(t, string(kept), string(same))

		assert.Equal(t, before.ID, app.ID)
		assert.NotEqual(t, before.ComposeHash, app.ComposeHash)
		assert.Equal(t, compose.Sum([]byte(app.Document)), app.ComposeHash)
		assert.Equal(t, []string{"URL"}, app.Secrets)
		assert.Equal(t, app.ComposeHash, app.CVMs[0].ComposeHash)
		assert.Equal(t, []deploy.Revision{{ComposeHash: before.ComposeHash, Document: before.Document, Secrets: []string{"TOKEN", "URL"}}}, app.Revisions)

		_, err = deploy.Update(t.Context(), c, before, deploy.UpdateSpec{DockerCompose: noSecrets, Env: []compose.EnvVar{}, RemoveSecrets: []string{"TOKEN", "URL"}}, with.change...)
		mismatch := requireMismatch(t, err, deploy.ComparedComposeHash)
		assert.Equal(t, before.ComposeHash.String(), mismatch.Local, "an anchor from before a change is out of date")
		assert.Equal(t, app.ComposeHash.String(), mismatch.Remote)
	})
}

func TestUpdate_KeepsWhatItDoesNotName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app, err := deploy.Update(t.Context(), c, running(t, c, with), deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, trusting(s))
		require.NoError(t, err, "without secrets no root is needed")
		requireEnv(t, s, "web-1", secrets())
		assert.Equal(t, []string{"TOKEN", "URL"}, text(t, c, "web-1").AllowedEnvs)

		app, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{AllowedEnvs: []string{"URL", "TOKEN"}}, with.change...)
		require.NoError(t, err, "another order is no other set")
		assert.Equal(t, []string{"URL", "TOKEN"}, text(t, c, "web-1").AllowedEnvs)
		requireEnv(t, s, "web-1", secrets())

		app, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{DiskSize: 60}, with.change...)
		require.NoError(t, err)
		assert.Equal(t, 60, *app.Last.CVM.Resource.DiskInGB)
		requireEnv(t, s, "web-1", secrets())

		app, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{
			DockerCompose: noSecrets, Env: []compose.EnvVar{}, RemoveSecrets: []string{"TOKEN", "URL"},
		}, with.change...)
		require.NoError(t, err)
		requireEnv(t, s, "web-1", nil)
		assert.Empty(t, text(t, c, "web-1").AllowedEnvs)
		assert.Equal(t, []string{}, app.Secrets)
	})
}

// New values for the names that the app has are no new document.
func TestUpdate_RotatesSecretsWithoutAnotherDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		before := running(t, c, with)
		fresh := secrets()
		fresh[0].Value = "rotated"
		app, err := deploy.Update(t.Context(), c, before, deploy.UpdateSpec{Env: fresh}, with.change...)
		require.NoError(t, err)
		requireEnv(t, s, "web-1", fresh)
		assert.Equal(t, before.ComposeHash, app.ComposeHash)
		assert.Empty(t, app.Revisions)
		assert.NotContains(t, operations(s), "CVMs.ProvisionComposeUpdate")
	})
}

func TestUpdate_TakesAWholeDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		before := running(t, c, with)
		doc, err := before.Compose()
		require.NoError(t, err)
		doc.Extra = map[string]json.RawMessage{"later": json.RawMessage(`{"a":null}`)}
		want, err := doc.Hash()
		require.NoError(t, err)
		app, err := deploy.Update(t.Context(), c, before, deploy.UpdateSpec{Compose: doc}, with.change...)
		require.NoError(t, err)
		assert.Equal(t, want, app.ComposeHash)
		assert.Contains(t, app.Document, `"later":{"a":null}`)
		requireEnv(t, s, "web-1", secrets())
	})
}

// The root that Run checked is the one that an update needs.
func TestUpdate_ChecksTheKeyAgainstTheRootOfTheAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		before := running(t, c, with)
		app, err := deploy.Update(t.Context(), c, before, deploy.UpdateSpec{Env: secrets()}, trusting(s))
		require.NoError(t, err)
		root := check(t, app.Last.Comparisons, deploy.ComparedKMSRoot)
		assert.Equal(t, s.KMSRoot().String(), root.Local)
		assert.Equal(t, "the root is that of the anchor", root.Reason)

		other := phalatest.New(t, phalatest.WithSeed("another"))
		sent := len(s.Requests())
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, deploy.WithKMSRoot(other.KMSRoot()))
		requireMismatch(t, err, deploy.ComparedKMSRoot)
		assert.NotContains(t, operations(s)[sent:], "CVMs.Update")

		app.KMSRoot = kms.RootKey{}
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, trusting(s))
		require.ErrorIs(t, err, deploy.ErrNoKMSRoot)
	})
}

// A root that the cloud names is taken by name only, and pinned from then on.
func TestUpdate_TakesARootFromTheCloudOnlyByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		app.KMSRoot = kms.RootKey{}
		done, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, deploy.TrustKMSRootFromCloud(), trusting(s))
		require.NoError(t, err)
		assert.Contains(t, check(t, done.Last.Comparisons, deploy.ComparedKMSRoot).Reason, "TrustKMSRootFromCloud")
		assert.Equal(t, s.KMSRoot(), done.KMSRoot)
		assert.True(t, done.RootFromCloud)
		again, err := deploy.Update(t.Context(), c, done, deploy.UpdateSpec{Env: secrets()}, trusting(s))
		require.NoError(t, err)
		assert.Contains(t, check(t, again.Last.Comparisons, deploy.ComparedKMSRoot).Reason, "the cloud reported when the app was deployed")
		assert.True(t, again.RootFromCloud)

		s.TamperResponse("KMS.Inspect", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["rpc"], m["rpc_error"] = nil, "down" })
		})
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()}, deploy.TrustKMSRootFromCloud(), trusting(s))
		require.ErrorContains(t, err, "the cloud does not report it")
	})
}

func TestUpdate_RefusesABadChangeBeforeAnythingIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		whole, err := app.Compose()
		require.NoError(t, err)
		for want, change := range map[string]deploy.UpdateSpec{
			"nothing to change":                       {},
			"DiskSize is -1":                          {DiskSize: -1},
			`"A-B"`:                                   {AllowedEnvs: []string{"A-B"}, Env: secrets()[:0], RemoveSecrets: []string{"TOKEN", "URL"}},
			"needs the secrets: give Env":             {AllowedEnvs: []string{"TOKEN"}},
			"secrets: TOKEN: the allowed_envs":        {AllowedEnvs: []string{"URL"}, Env: secrets()},
			"secrets: TOKEN: new secrets replace":     {DockerCompose: urlOnly, Env: urlSecret()},
			"secrets: X: RemoveSecrets has secrets":   {Env: secrets(), RemoveSecrets: []string{"X"}},
			"secrets: URL: RemoveSecrets has secrets": {Env: secrets(), RemoveSecrets: []string{"URL"}},
			"RemoveSecrets needs Env":                 {RemoveSecrets: []string{"URL"}},
			"secrets: MORE: the docker-compose fi":    {DockerCompose: "services: {a: {image: \"${MORE}\"}}\n"},
			"at most 204800 are allowed":              {DockerCompose: "# " + strings.Repeat("x", 204800)},
			"CVMs.Get: 404":                           {CVM: "web-2", DiskSize: 50},
			"variable TOKEN: a value of 131073 byt":   {Env: []compose.EnvVar{{Key: "TOKEN", Value: strings.Repeat("x", 131073)}, secrets()[1]}},
			"Compose is a whole document":             {Compose: whole, DockerCompose: urlOnly},
			"RetireOld needs WithChain":               {PreLaunchScript: "#!/bin/sh\n:\n", RetireOld: true},
			"ShutdownTimeout is 1s":                   {ShutdownTimeout: time.Second},
			"a device id that is zero":                {PreLaunchScript: "#!/bin/sh\n:\n", Devices: make([]kms.DeviceID, 1)},
		} {
			_, err := deploy.Update(t.Context(), c, app, change, with.change...)
			require.ErrorContains(t, err, want)
		}
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{CVM: kms.AppID{1}.String(), PreLaunchScript: "#!/bin/sh\n:\n"}, with.change...)
		requireMismatch(t, err, deploy.ComparedAppID)
		app.Document = ""
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{DockerCompose: urlOnly}, with.change...)
		require.ErrorIs(t, err, deploy.ErrUnknownDocument)
		for _, operation := range []string{"CVMs.Update", "CVMs.ProvisionComposeUpdate"} {
			assert.NotContains(t, operations(s), operation)
		}
	})
}

func TestUpdate_EndsIfSomethingElseRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		updated := false
		s.TamperResponse("CVMs.CommitComposeUpdate", func(status int, body []byte) (int, []byte) { updated = true; return status, body })
		s.TamperResponse("CVMs.Get", func(status int, body []byte) (int, []byte) {
			if updated {
				body = regexp.MustCompile(`"compose_hash":"[0-9a-f]{64}"`).ReplaceAll(body, []byte(`"compose_hash":"`+strings.Repeat("1", 64)+`"`))
			}
			return status, body
		})
		_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		mismatch := requireMismatch(t, err, deploy.ComparedComposeHash)
		assert.Equal(t, strings.Repeat("1", 64), mismatch.Remote)
	})
}

// What the cloud wants committed is compared with what was computed here.
func TestUpdate_EndsAtAHashOfTheCloudsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		for what, member := range map[string]string{deploy.ComparedComposeHash: "compose_hash", deploy.ComparedAppID: "app_id"} {
			s.TamperResponse("CVMs.ProvisionComposeUpdate", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m[member] = strings.Repeat("1", len(m[member].(string))) })
			})
			_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
			requireMismatch(t, err, what)
		}
		assert.NotContains(t, operations(s), "CVMs.CommitComposeUpdate")
	})
}

// A document that the platform completes cannot be predicted; what runs then is proven to follow from it.
func TestUpdate_ProvesACompletedDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		doc, err := compose.New(dockerCompose)
		require.NoError(t, err)
		_, script := s.PreLaunchScript()
		accept := deploy.AcceptPreLaunchScripts(script)
		app, err := deploy.Update(t.Context(), c, running(t, c, with), deploy.UpdateSpec{Compose: doc}, append(with.change, accept)...)
		require.NoError(t, err)
		assert.Equal(t, deploy.Undecided, check(t, app.Last.Comparisons, deploy.ComparedComposeHash).Outcome)
		assert.Equal(t, deploy.Confirmed, check(t, app.Last.Comparisons, deploy.ComparedDocument).Outcome)
		assert.Equal(t, compose.Sum([]byte(app.Document)), app.ComposeHash)
		assert.Equal(t, app.Last.CVM.ComposeHash, app.ComposeHash.String())
		requireEnv(t, s, "web-1", secrets())
	})
}

func TestUpdate_ReturnsABootErrorIfTheCVMDoesNotBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		s.FailBoot("web-1", "image not found")
		_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		var boot *deploy.BootError
		require.ErrorAs(t, err, &boot)
		assert.Equal(t, "image not found", boot.Text)
	})
}

func TestUpdate_WaitsForAnotherOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, with := cloud(t)
		app := running(t, c, with)
		_, err := c.CVMs.Restart(t.Context(), "web-1", nil)
		require.NoError(t, err)
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		require.NoError(t, err)
	})
}

// The cloud may leave a CVM that was stopped as it was, or start it. A CVM that does not run is not verified.
func TestUpdate_EndsForAStoppedCVM(t *testing.T) {
	t.Parallel()
	for status, opts := range map[string][]phalatest.Option{"running": nil, "stopped": {phalatest.WithStoppedUpdates()}} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t, opts...)
				app := running(t, c, with)
				_, err := c.CVMs.Stop(t.Context(), "web-1")
				require.NoError(t, err)
				require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "stopped"))
				var p *deploy.Pending
				save := deploy.WithPending(func(now *deploy.Pending) error { p = now; return nil })
				done, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, append(with.change, save)...)
				if status == "stopped" {
					var unverified *deploy.VerificationError
					require.ErrorAs(t, err, &unverified, "WithVerification")
					require.ErrorIs(t, err, attest.ErrNotPossible)
					done, err = deploy.Finish(t.Context(), c, handOver(t, p), deploy.ByDefault(s.AttestationPolicy()))
				}
				require.NoError(t, err)
				assert.EqualValues(t, status, done.Last.CVM.Status)
				assert.Equal(t, done.ComposeHash.String(), done.Last.CVM.ComposeHash)
				proven := check(t, done.Last.Comparisons, deploy.ComparedAttestation)
				if status == "stopped" {
					assert.Equal(t, deploy.Undecided, proven.Outcome)
					assert.Contains(t, proven.Reason, "verify it with Finish")
					_, err := c.CVMs.Start(t.Context(), "web-1")
					require.NoError(t, err)
					require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
					again, err := deploy.Finish(t.Context(), c, handOver(t, p), with.change...)
					require.NoError(t, err)
					assert.Equal(t, deploy.Confirmed, check(t, again.Last.Comparisons, deploy.ComparedAttestation).Outcome)
				} else {
					assert.Equal(t, deploy.Confirmed, proven.Outcome)
				}
			})
		})
	}
}

// The answer of each call is lost once, after its work was done.
func TestUpdate_SurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"CVMs.ProvisionComposeUpdate", "CVMs.CommitComposeUpdate", "CVMs.Update", "CVMs.Get"} {
		t.Run(operation, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				app := running(t, c, with)
				s.Fault(operation, phalatest.Fault{LoseResponse: true})
				done, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{
					DockerCompose: urlOnly, Env: urlSecret(), RemoveSecrets: []string{"TOKEN"}, DiskSize: 40,
				}, with.change...)
				require.NoError(t, err)
				want, err := text(t, c, "web-1").Hash()
				require.NoError(t, err)
				assert.Equal(t, want, done.ComposeHash)
				assert.Equal(t, 40, *done.Last.CVM.Resource.DiskInGB)
				requireEnv(t, s, "web-1", urlSecret())
			})
		})
	}
}

// An update that is killed whenever it has saved something is finished from what it saved.
func TestUpdate_SurvivesACrashAtEachStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		for crash := 1; ; crash++ {
			var saved *deploy.Pending
			count := 0
			keep := deploy.WithPending(func(p *deploy.Pending) error {
				saved = handOver(t, p)
				if count++; count == crash {
					return errCrash
				}
				return nil
			})
			change := deploy.UpdateSpec{
				DockerCompose: dockerCompose + strings.Repeat("# more\n", crash), Env: secrets(), DiskSize: 40 + crash,
			}
			_, err := deploy.Update(t.Context(), c, app, change, append(with.change, keep)...)
			if err == nil {
				require.Greater(t, crash, 3, "it has that many steps")
				return
			}
			require.ErrorIs(t, err, errCrash)
			done, err := deploy.Finish(t.Context(), c, saved, with.change...)
			require.NoError(t, err, "after a crash at step %d", crash)
			assert.Equal(t, saved.Approval.ComposeHash, done.ComposeHash)
			assert.Equal(t, 40+crash, *done.Last.CVM.Resource.DiskInGB)
			requireEnv(t, s, "web-1", secrets())
			app = done
		}
	})
}

func TestRollback_RunsAnEarlierDocumentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		next, err := deploy.Update(t.Context(), c, first, deploy.UpdateSpec{DockerCompose: urlOnly, Env: urlSecret(), RemoveSecrets: []string{"TOKEN"}}, with.change...)
		require.NoError(t, err)

		_, err = deploy.Rollback(t.Context(), c, next, deploy.RollbackSpec{ComposeHash: first.ComposeHash}, with.change...)
		var names *deploy.SecretsError
		require.ErrorAs(t, err, &names, "the old document has other names")
		assert.Equal(t, []string{"TOKEN"}, names.Names)
		back, err := deploy.Rollback(t.Context(), c, next, deploy.RollbackSpec{ComposeHash: first.ComposeHash, Env: secrets()}, with.change...)
		require.NoError(t, err)
		assert.Equal(t, first.ComposeHash, back.ComposeHash)
		assert.Equal(t, first.Document, back.Document)
		assert.Equal(t, next.ComposeHash, back.Revisions[0].ComposeHash)
		assert.Len(t, back.Revisions, 1)
		requireEnv(t, s, "web-1", secrets())

		back.Revisions = nil // the cloud has the text; its hash is compared
		again, err := deploy.Rollback(t.Context(), c, back, deploy.RollbackSpec{ComposeHash: next.ComposeHash, Env: urlSecret(), RemoveSecrets: []string{"TOKEN"}}, with.change...)
		require.NoError(t, err)
		assert.Equal(t, next.Document, again.Document)

		_, err = deploy.Rollback(t.Context(), c, again, deploy.RollbackSpec{ComposeHash: compose.Hash{1}}, with.change...)
		require.ErrorContains(t, err, "neither the App nor the cloud has the text")
		_, err = deploy.Rollback(t.Context(), c, again, deploy.RollbackSpec{}, with.change...)
		require.ErrorContains(t, err, "ComposeHash is required")
	})
}

// A text of the cloud that has not the pinned hash is not taken.
func TestRollback_RefusesAnotherText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		next, err := deploy.Update(t.Context(), c, first, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		require.NoError(t, err)
		next.Revisions = nil
		s.TamperResponse("Apps.GetRevision", func(status int, body []byte) (int, []byte) {
			return status, []byte(strings.ReplaceAll(string(body), "nginx", "miner"))
		})
		sent := len(s.Requests())
		_, err = deploy.Rollback(t.Context(), c, next, deploy.RollbackSpec{ComposeHash: first.ComposeHash}, with.change...)
		require.ErrorContains(t, err, "neither the App nor the cloud has the text")
		assert.Contains(t, operations(s)[sent:], "Apps.GetRevision")
		assert.NotContains(t, operations(s)[sent:], "CVMs.ProvisionComposeUpdate")
	})
}

func TestUpdate_SomebodyElseChangedTheApp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		mine := running(t, c, with)
		theirs, err := deploy.Update(t.Context(), c, mine, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho theirs\n"}, with.change...)
		require.NoError(t, err)
		_, err = deploy.Update(t.Context(), c, mine, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho mine\n"}, with.change...)
		mismatch := requireMismatch(t, err, deploy.ComparedComposeHash)
		assert.Equal(t, mine.ComposeHash.String(), mismatch.Local)
		assert.Equal(t, theirs.ComposeHash.String(), mismatch.Remote)
		assert.Contains(t, err.Error(), "Attach")

		again, err := deploy.Attach(t.Context(), c, mine.ID, s.AttestationPolicy(), deploy.WithKMSRoot(s.KMSRoot()))
		require.NoError(t, err)
		_, err = deploy.Update(t.Context(), c, again, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho mine\n"}, with.change...)
		require.NoError(t, err)
	})
}

func TestUpdate_CVMOfAnotherAppID(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		before := len(s.Requests())
		for _, name := range []string{"app_" + kms.AppID{1}.String(), "0x" + kms.AppID{1}.String()} {
			_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{CVM: name, Env: secrets()}, with.change...)
			requireMismatch(t, err, deploy.ComparedAppID)
		}
		assert.Len(t, s.Requests(), before, "nothing was sent")
		for _, name := range []string{"", "web-1", app.CVMs[0].ID, app.ID.String(), "app_" + app.ID.String()} {
			_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{CVM: name, Env: secrets()}, with.change...)
			require.NoError(t, err, name)
		}
	})
}
