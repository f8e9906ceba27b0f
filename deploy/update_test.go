package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// running deploys the spec of these tests.
func running(t testing.TB, c *client.Client, root deploy.Option) *deploy.Result {
	t.Helper()
	r, err := deploy.Run(t.Context(), c, spec(t), root)
	require.NoError(t, err)
	return r
}

func text(t testing.TB, c *client.Client, cvm string) *compose.App {
	t.Helper()
	doc, err := c.CVMs.GetComposeFile(t.Context(), cvm, nil)
	require.NoError(t, err)
	app, err := compose.Parse(doc)
	require.NoError(t, err)
	return app
}

func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		before := running(t, c, root)
		fresh := []compose.EnvVar{{Key: "URL", Value: "other"}, {Key: "EXTRA", Value: "more"}}
		var events []string
		done, err := deploy.Update(t.Context(), c, deploy.Change{
			CVM: "web-1", DockerCompose: dockerCompose + "# second\n", Env: fresh, PublicLogs: openapi.Ptr(false), DiskSize: 40,
		}, root, deploy.WithProgress(func(e deploy.Event) { events = append(events, e.String()) }))
		require.NoError(t, err)

		app := text(t, c, "web-1")
		assert.Equal(t, []string{"URL", "EXTRA"}, app.AllowedEnvs, "the names follow the secrets")
		assert.Equal(t, dockerCompose+"# second\n", *app.DockerComposeFile)
		assert.False(t, *app.PublicLogs)
		assert.Equal(t, "#!/bin/sh\n", *app.PreLaunchScript, "what is not named stays")
		requireEnv(t, s, "web-1", fresh)
		hash, err := app.Hash()
		require.NoError(t, err)
		assert.Equal(t, hash, done.ComposeHash)
		assert.NotEqual(t, before.State.ComposeHash, done.ComposeHash)
		assert.Equal(t, 40, *done.CVM.Resource.DiskInGB)
		assert.Nil(t, done.Pending)
		outcomes := map[string]deploy.Outcome{}
		for _, check := range done.Checks {
			outcomes[check.Name] = check.Outcome
		}
		assert.Equal(t, map[string]deploy.Outcome{
			deploy.CheckComposeHash: deploy.Passed, deploy.CheckEnvKey: deploy.Passed, deploy.CheckKMSRoot: deploy.Passed,
			deploy.CheckAttestation: deploy.Passed,
		}, outcomes)
		updates := 0
		for _, r := range s.Requests() {
			if r.Operation == "CVMs.Update" {
				updates++
			}
			assert.NotContains(t, string(r.Body), "more")
		}
		assert.Equal(t, 1, updates, "one request carries it all")
		assert.NotContains(t, strings.Join(events, "\n"), "other")
		assert.Contains(t, events, "running: web-1")
	})
}

func TestUpdateKeepsWhatItDoesNotName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		_, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", PreLaunchScript: "#!/bin/sh\necho 2\n"}, root)
		require.NoError(t, err, "without secrets no root is needed")
		requireEnv(t, s, "web-1", secrets())
		assert.Equal(t, []string{"TOKEN", "URL"}, text(t, c, "web-1").AllowedEnvs)

		_, err = deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", AllowedEnvs: []string{"URL", "TOKEN"}}, root)
		require.NoError(t, err, "another order is no other set")
		assert.Equal(t, []string{"URL", "TOKEN"}, text(t, c, "web-1").AllowedEnvs)
		requireEnv(t, s, "web-1", secrets())

		_, err = deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", Env: []compose.EnvVar{}}, root)
		require.NoError(t, err)
		requireEnv(t, s, "web-1", nil)
		assert.Empty(t, text(t, c, "web-1").AllowedEnvs)
	})
}

func TestBadChangesAreRefusedBeforeAnythingIsChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		for want, tt := range map[string]struct {
			change deploy.Change
			opts   []deploy.Option
		}{
			"CVM is required":                   {deploy.Change{DockerCompose: "x"}, nil},
			"nothing to change":                 {deploy.Change{CVM: "web-1"}, nil},
			"DiskSize is -1":                    {deploy.Change{CVM: "web-1", DiskSize: -1}, nil},
			`AllowedEnvs: variable "A-B"`:       {deploy.Change{CVM: "web-1", AllowedEnvs: []string{"A-B"}}, nil},
			"AllowedEnvs: A is there twice":     {deploy.Change{CVM: "web-1", AllowedEnvs: []string{"A", "A"}}, nil},
			"need the secrets: give Env":        {deploy.Change{CVM: "web-1", AllowedEnvs: []string{"TOKEN"}}, nil},
			"TOKEN is not among":                {deploy.Change{CVM: "web-1", AllowedEnvs: []string{"URL"}, Env: secrets()}, []deploy.Option{root}},
			"secrets need a checked key":        {deploy.Change{CVM: "web-1", Env: secrets()}, nil},
			"pin the KMS root":                  {deploy.Change{CVM: "web-1", Env: []compose.EnvVar{}}, nil},
			"at most 204800 are allowed":        {deploy.Change{CVM: "web-1", DockerCompose: strings.Repeat("x", 204800)}, nil},
			"CVMs.Get: 404":                     {deploy.Change{CVM: "web-2", DiskSize: 50}, nil},
			"variable TOKEN: a value of 131073": {deploy.Change{CVM: "web-1", Env: []compose.EnvVar{{Key: "TOKEN", Value: strings.Repeat("x", 131073)}}}, []deploy.Option{root}},
		} {
			_, err := deploy.Update(t.Context(), c, tt.change, tt.opts...)
			require.ErrorContains(t, err, want)
		}
		assert.NotContains(t, operations(s), "CVMs.Update")
	})
}

// A cloud that lies about the key gets no secret.
func TestAnUpdateChecksTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		other := phalatest.New(t, phalatest.WithSeed("another"))
		_, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", Env: secrets()}, deploy.WithKMSRoot(other.KMSRoot()))
		var mismatch *deploy.MismatchError
		require.ErrorAs(t, err, &mismatch)
		assert.Equal(t, deploy.CheckKMSRoot, mismatch.What)
		assert.NotContains(t, operations(s), "CVMs.Update")
	})
}

func TestAnUpdateThatRunsSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		updated := false
		s.TamperAnswer("CVMs.Update", func(status int, body []byte) (int, []byte) { updated = true; return status, body })
		s.TamperAnswer("CVMs.Get", func(status int, body []byte) (int, []byte) {
			if updated {
				body = regexp.MustCompile(`"compose_hash":"[0-9a-f]{64}"`).ReplaceAll(body, []byte(`"compose_hash":"`+strings.Repeat("1", 64)+`"`))
			}
			return status, body
		})
		_, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, root)
		var mismatch *deploy.MismatchError
		require.ErrorAs(t, err, &mismatch)
		assert.Equal(t, deploy.CheckComposeHash, mismatch.What)
		assert.Equal(t, strings.Repeat("1", 64), mismatch.Remote)
	})
}

// Without a text that has the CVM's hash nothing can be predicted, and the result says so.
func TestAnUpdateWhoseHashCannotBePredicted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		s.TamperAnswer("CVMs.GetComposeFile", func(status int, body []byte) (int, []byte) {
			return status, []byte(strings.Replace(string(body), "{", `{"env_pubkey":"00",`, 1))
		})
		s.TamperAnswer("CVMs.GetAttestation", func(int, []byte) (int, []byte) { return http.StatusNotFound, []byte(`{}`) })
		done, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, root)
		require.NoError(t, err)
		require.Len(t, done.Checks, 2)
		assert.Equal(t, deploy.NotPossible, done.Checks[0].Outcome)
		assert.Contains(t, done.Checks[0].Reason, "no text that has the compose hash")
	})
}

func TestAnUpdateThatDoesNotBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		s.FailBoot("web-1", "image not found")
		_, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, root)
		var boot *deploy.BootError
		require.ErrorAs(t, err, &boot)
		assert.Equal(t, "image not found", boot.Text)
	})
}

func TestAnUpdateWaitsForAnotherOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		running(t, c, root)
		_, err := c.CVMs.Restart(t.Context(), "web-1", nil)
		require.NoError(t, err)
		_, err = deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n"}, root)
		require.NoError(t, err)
	})
}

func TestUpdateAgainAfterALostAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		running(t, c, root)
		s.Fault("CVMs.Update", phalatest.Fault{LoseAnswer: true})
		done, err := deploy.Update(t.Context(), c, deploy.Change{CVM: "web-1", DockerCompose: "services: {}\n", Env: secrets()}, root)
		require.NoError(t, err)
		want, err := text(t, c, "web-1").Hash()
		require.NoError(t, err)
		assert.Equal(t, want, done.ComposeHash)
		requireEnv(t, s, "web-1", secrets())
	})
}

func TestReplicateAndAddInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, root := cloud(t)
		first := running(t, c, root)
		replica, err := deploy.Replicate(t.Context(), c, deploy.Replica{CVM: first.State.CVM}, root)
		require.NoError(t, err)
		assert.NotEqual(t, first.CVM.VMUUID, replica.CVM.VMUUID)
		assert.EqualValues(t, "running", replica.CVM.Status)
		assert.Equal(t, first.CVM.ComposeHash, replica.CVM.ComposeHash)
		requireEnv(t, s, replica.CVM.VMUUID, secrets())

		other := []compose.EnvVar{{Key: "TOKEN", Value: "a"}, {Key: "URL", Value: "b"}}
		instance, err := deploy.AddInstance(t.Context(), c, deploy.Instance{AppID: first.State.AppID, Env: other}, root)
		require.NoError(t, err)
		requireEnv(t, s, instance.CVM.VMUUID, other)
		cvms, err := c.Apps.ListCVMs(t.Context(), first.State.AppID.String())
		require.NoError(t, err)
		assert.Len(t, cvms, 3)

		for want, err := range map[string]error{
			"CVM is required":            second(deploy.Replicate(t.Context(), c, deploy.Replica{})),
			"NodeID is -1":               second(deploy.Replicate(t.Context(), c, deploy.Replica{CVM: "x", NodeID: -1})),
			"AppID is required":          second(deploy.AddInstance(t.Context(), c, deploy.Instance{})),
			"secrets need a checked key": second(deploy.Replicate(t.Context(), c, deploy.Replica{CVM: first.State.CVM, Env: other})),
			"OTHER is not among": second(deploy.Replicate(t.Context(), c,
				deploy.Replica{CVM: first.State.CVM, Env: []compose.EnvVar{{Key: "OTHER"}}}, root)),
		} {
			require.ErrorContains(t, err, want)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestAnInstanceWithAnotherComposeFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		first := running(t, c, root)
		instance, err := deploy.AddInstance(t.Context(), c, deploy.Instance{AppID: first.State.AppID, DockerCompose: "services: {}\n"}, root)
		require.NoError(t, err)
		app := text(t, c, instance.CVM.VMUUID)
		assert.Equal(t, "services: {}\n", *app.DockerComposeFile)
		hash, err := app.Hash()
		require.NoError(t, err)
		assert.Equal(t, hash.String(), instance.CVM.ComposeHash)
	})
}

// A lost answer, a lost request, and a crash after either, all end with exactly one more CVM.
func TestReplicateMakesOneCVM(t *testing.T) {
	for name, fault := range map[string]phalatest.Fault{
		"lost answer":            {LoseAnswer: true},
		"lost request":           {LoseRequest: true},
		"failure after the work": {Status: http.StatusBadGateway, Body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c, root := cloud(t)
				first := running(t, c, root)
				var asked []byte // what a process that was killed while it asked has left
				keep := deploy.WithPending(func(p *deploy.Pending) error {
					if p.Asked && asked == nil {
						asked, _ = json.Marshal(p)
					}
					return nil
				})
				s.Fault("CVMs.Replicate", fault)
				replica, err := deploy.Replicate(t.Context(), c, deploy.Replica{CVM: first.State.CVM}, root, keep)
				if fault.LoseAnswer {
					require.NoError(t, err)
				} else {
					require.Error(t, err, "it is not sent a second time by itself")
				}
				p, err := deploy.ParsePending(asked)
				require.NoError(t, err)
				again, err := deploy.Continue(t.Context(), c, p, root)
				require.NoError(t, err)
				if replica != nil {
					assert.Equal(t, replica.CVM.VMUUID, again.CVM.VMUUID)
				}
				assert.Len(t, instances(t, c, first), 2)
			})
		})
	}
}

func instances(t testing.TB, c *client.Client, of *deploy.Result) []openapi.CVM {
	t.Helper()
	cvms, err := c.Apps.ListCVMs(t.Context(), of.State.AppID.String())
	require.NoError(t, err)
	return cvms
}

// A CVM that somebody else added while a replica waited for its approval is not taken for the replica.
func TestAStrangerIsNotTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		first := running(t, c, root)
		p, err := deploy.PrepareReplica(t.Context(), c, deploy.Replica{CVM: first.State.CVM})
		require.NoError(t, err)
		stranger, err := deploy.Replicate(t.Context(), c, deploy.Replica{CVM: first.State.CVM}, root)
		require.NoError(t, err)
		p.Approved(common.Hash{})
		done, err := deploy.Continue(t.Context(), c, handOver(t, p), root)
		require.NoError(t, err)
		assert.NotEqual(t, stranger.CVM.VMUUID, done.CVM.VMUUID)
		assert.Len(t, instances(t, c, first), 3)
	})
}

// Where several have come since, nobody can tell which one it is.
func TestSeveralNewCVMsAreAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, root := cloud(t)
		first := running(t, c, root)
		var asked *deploy.Pending
		keep := deploy.WithPending(func(p *deploy.Pending) error {
			if p.Asked && asked == nil {
				asked = handOver(t, p)
			}
			return nil
		})
		for range 2 {
			_, err := deploy.Replicate(t.Context(), c, deploy.Replica{CVM: first.State.CVM}, root, keep)
			require.NoError(t, err)
		}
		_, err := deploy.Continue(t.Context(), c, asked, root)
		require.ErrorContains(t, err, "several new CVMs")
		assert.Len(t, instances(t, c, first), 3)
	})
}

func TestParsePendingRefuses(t *testing.T) {
	t.Parallel()
	for want, doc := range map[string]string{
		"pending change":         `[`,
		`unknown kind "x"`:       `{"kind":"x"}`,
		"without a cvm":          `{"kind":"update"}`,
		"without an app id":      `{"kind":"update","cvm":"x"}`,
		"without a compose hash": `{"kind":"instance","app_id":"` + strings.Repeat("1", 40) + `"}`,
	} {
		_, err := deploy.ParsePending([]byte(doc))
		require.ErrorContains(t, err, want)
	}
}

func TestAPendingKeepsItsSecretsToItself(t *testing.T) {
	t.Parallel()
	p := deploy.Pending{Kind: deploy.PendingUpdate, Name: "web-1", Token: "hidden-token", Request: `{"encrypted_env":"hidden-env"}`}
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %v %+v", p, p, p, &p, &p, &p), "hidden")
}
