package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/compose/inspect"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// odd are documents that a typed model can lose something of.
var odd = []string{
	`{"docker_compose_file":"services: {}","name":""}`,
	`{"docker_compose_file":"services: {}","name":"","storage_fs":null,"bash_script":null}`,
	`{"docker_compose_file":"services: {}","name":"","manifest_version":"3","requirements":{"os_version":">=0.6","launch_token_hash":"00"}}`,
	`{"docker_compose_file":"services: {}","name":"","init_script":["a","b"]}`,
	`{"docker_compose_file":"services: {}","name":"","swap_size":null}`,
	`{"docker_compose_file":"services: {}","name":"","swap_size":"2G","port_policy":{"ports":[{"port":1,"pp":true}],"restrict_mode":null,"x":[]}}`,
	`{"docker_compose_file":"services: {}","features":[],"allowed_envs":null,"x":{"y":[1.5,1e3,"\u2028<>&"]}}`,
	`{"docker_compose_file":"services: {}","name":7,"kms_enabled":"yes","public_logs":1}`,
}

// sentDocuments sends a document through Run and Update, and returns the texts that stand on the wire.
func sentDocuments(t testing.TB, app *compose.App) []json.RawMessage {
	t.Helper()
	var sent []json.RawMessage
	mock := httpmock.NewMockTransport()
	mock.RegisterNoResponder(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		var provision struct {
			ComposeFile json.RawMessage `json:"compose_file"`
		}
		if err := json.Unmarshal(body, &provision); err != nil {
			return nil, err
		}
		if strings.HasSuffix(r.URL.Path, "/compose_file/provision") { // an update has the members at the top
			var members map[string]json.RawMessage
			if err := json.Unmarshal(body, &members); err != nil {
				return nil, err
			}
			delete(members, "update_env_vars")
			if provision.ComposeFile, err = json.Marshal(members); err != nil {
				return nil, err
			}
		}
		sent = append(sent, provision.ComposeFile)
		return httpmock.NewStringResponse(http.StatusBadRequest, `{"detail":"that is all"}`), nil
	})
	mock.RegisterResponder("GET", "=~/cvms/", httpmock.NewStringResponder(http.StatusOK,
		`{"id":"cvm_1","name":"web-1","vm_uuid":"11111111-1111-1111-1111-111111111111","app_id":"0100000000000000000000000000000000000000","status":"running"}`))
	c, err := client.New(client.WithAPIKey("phak_test"), client.WithHTTPClient(&http.Client{Transport: mock}), client.WithoutRetry())
	require.NoError(t, err)
	_, err = deploy.Provision(t.Context(), c, deploy.Spec{Name: "web-1", Compose: app})
	require.ErrorContains(t, err, "that is all")
	anchor := &deploy.App{ID: kms.AppID{1}, CVMs: []deploy.CVM{{ID: "11111111-1111-1111-1111-111111111111", Name: "web-1"}}}
	_, err = deploy.Update(t.Context(), c, anchor, deploy.UpdateSpec{Compose: app, AllowedEnvs: nil})
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte("that is all")) {
		require.ErrorContains(t, err, "allowed_envs", "the only other reason")
	}
	return sent
}

// requireSameHash checks that every document on the wire has the hash that is compared.
func requireSameHash(t testing.TB, app *compose.App) {
	t.Helper()
	own := *app
	if own.AllowedEnvs == nil {
		own.AllowedEnvs = []string{} // those of the secrets: none
	}
	for i, raw := range sentDocuments(t, app) {
		canonical, err := compose.Canonicalize(raw)
		require.NoError(t, err)
		want, err := app.Hash()
		require.NoError(t, err)
		if i == 0 {
			want, err = own.Hash()
			require.NoError(t, err)
		}
		require.Equal(t, want, compose.Sum(canonical), "%s", raw)
	}
}

func TestProvision_SendsTheDocumentThatItHashes(t *testing.T) {
	t.Parallel()
	for i, text := range odd {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			app, err := compose.Parse([]byte(text))
			require.NoError(t, err)
			if app.Validate() == nil {
				requireSameHash(t, app)
			}
		})
	}
}

func FuzzSentDocument(f *testing.F) {
	for _, text := range odd {
		f.Add(text)
	}
	f.Add(`{"docker_compose_file":"survices: {}","name":""}`) // refused by Docker Compose, and so by the flows
	f.Fuzz(func(t *testing.T, text string) {
		app, err := compose.Parse([]byte(text))
		if err != nil || app.Validate() != nil {
			return
		}
		if app.DockerComposeFile != nil {
			report, err := inspect.App(t.Context(), app)
			if err != nil || len(report.Env) > 0 { // no secrets are given
				return
			}
			if slices.ContainsFunc(report.Findings, func(f inspect.Finding) bool { return f.Severity == inspect.Error }) {
				return
			}
		}
		requireSameHash(t, app)
	})
}

func TestRun_RefusesWhatCannotWorkInAConfidentialVM(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		doc, err := compose.New("services:\n  web:\n    build: .\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
		require.NoError(t, err)
		sp := deploy.Spec{Name: "web-1", Compose: doc}
		_, err = deploy.Run(t.Context(), c, sp, with.run...)
		var wrong *deploy.FindingsError
		require.ErrorAs(t, err, &wrong)
		require.Len(t, wrong.Findings, 1)
		assert.Equal(t, inspect.Build, wrong.Findings[0].Rule)
		assert.Empty(t, s.Requests(), "nothing was sent")

		app, err := deploy.Run(t.Context(), c, sp, append(with.run, deploy.AcceptFindings(inspect.Build))...)
		require.NoError(t, err)
		var reasons []string
		for _, check := range app.Last.Comparisons {
			if check.Name == deploy.ComparedInspection {
				assert.Equal(t, deploy.Noticed, check.Outcome)
				reasons = append(reasons, check.Reason)
			}
		}
		assert.Contains(t, reasons[0], "build", "still reported")

		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{DockerCompose: "services:\n  web:\n    image: a\n    env_file: x\n"}, with.change...)
		require.ErrorAs(t, err, &wrong)
	})
}

// scriptless is a spec whose app-compose the platform completes.
func scriptless(t *testing.T) deploy.Spec {
	t.Helper()
	doc, err := compose.New(dockerCompose)
	require.NoError(t, err)
	sp := spec(t)
	sp.Compose = doc
	return sp
}

func TestRun_UnknownPreLaunchScriptFailsWithItsHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		_, hash := s.PreLaunchScript()
		_, err := deploy.Run(t.Context(), c, scriptless(t), with.run...)
		var unverified *deploy.VerificationError
		require.ErrorAs(t, err, &unverified)
		assert.Contains(t, err.Error(), hash.String())
		requireMismatch(t, err, deploy.ComparedDocument)
	})
}

func TestRun_PlatformChangesMoreThanItsScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		_, hash := s.PreLaunchScript()
		s.BootInstead("web-1", func(spec *quotetest.Spec) {
			spec.AppCompose = strings.Replace(spec.AppCompose, "image: nginx", "image: thief", 1)
		})
		_, err := deploy.Run(t.Context(), c, scriptless(t), append(with.run, deploy.AcceptPreLaunchScripts(hash))...)
		require.Error(t, err)
	})
}

func TestPreLaunch_LooksUpWhatTheCloudAnnounces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		status, err := deploy.PreLaunch(t.Context(), c, app)
		require.NoError(t, err)
		assert.Equal(t, compose.Sum([]byte("#!/bin/sh\n")), status.Hash)
		assert.Nil(t, status.Running, "a script of its own")
		assert.Nil(t, status.Latest, "nobody vouches for the script of a fake cloud")

		newest := compose.PreLaunchScripts()
		known := newest[len(newest)-1]
		s.TamperResponse("CVMs.GetPreLaunchUpgrade", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["latest_official_hash"] = known.SHA256 })
		})
		status, err = deploy.PreLaunch(t.Context(), c, app)
		require.NoError(t, err)
		assert.Equal(t, known.Version, status.Latest.Version)
	})
}
