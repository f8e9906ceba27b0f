package deploy_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
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

// Compose files for updates: one that uses no secret, and one that uses URL alone.
const (
	noSecrets = "services: {web: {image: nginx}}\n"
	urlOnly   = "services: {web: {image: nginx, environment: [\"URL=${URL}\"]}}\n"
)

func secrets() []compose.EnvVar {
	return []compose.EnvVar{{Key: "TOKEN", Value: "hunter2 <&> \u2028"}, {Key: "URL", Value: "postgres://db"}}
}

// urlSecret are the secrets of urlOnly.
func urlSecret() []compose.EnvVar { return secrets()[1:] }

func spec(t testing.TB) deploy.Spec {
	t.Helper()
	app, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	return deploy.Spec{Name: "web-1", Compose: app, Env: secrets(), InstanceType: "tdx.small"}
}

// options are those of the flows of a test, by the kind of flow.
type options struct {
	run     []deploy.Option // Run, Resume and the phases of a deployment
	change  []deploy.Option // Update, Rollback, Replicate, AddInstance, Finish
	prepare []deploy.Option // Prepare, PrepareReplica
}

// cloud returns a fake cloud, a client of it, and the options that pin its KMS root and its team wallet and trust its
// hardware. It is for a bubble of synctest, where pauses cost no time.
func cloud(t testing.TB, opts ...phalatest.Option) (*phalatest.Server, *client.Client, options) {
	t.Helper()
	s := phalatest.New(t, opts...)
	c, err := s.Client()
	require.NoError(t, err)
	return s, c, pinned(s)
}

func pinned(s *phalatest.Server) options {
	root := deploy.WithKMSRoot(s.KMSRoot())
	return options{
		run:     []deploy.Option{root, deploy.WithTeamWallet(s.TeamWallet()), trusting(s)},
		change:  []deploy.Option{root, trusting(s)},
		prepare: []deploy.Option{root, deploy.TrustDeviceFromCloud()},
	}
}

// pinning are the options of a deployment that pins root and team wallet, and leaves the verification to more.
func pinning(s *phalatest.Server, more ...deploy.Option) []deploy.Option {
	return append([]deploy.Option{deploy.WithKMSRoot(s.KMSRoot()), deploy.WithTeamWallet(s.TeamWallet())}, more...)
}

// trusting is the option that trusts the hardware of a fake cloud.
func trusting(s *phalatest.Server) deploy.Option {
	return deploy.WithVerification(s.AttestationPolicy())
}

// running deploys the spec of these tests.
func running(t testing.TB, c *client.Client, with options) *deploy.App {
	t.Helper()
	app, err := deploy.Run(t.Context(), c, spec(t), with.run...)
	require.NoError(t, err)
	return app
}

// deployed deploys a spec, and returns its last state as well.
func deployed(t testing.TB, c *client.Client, sp deploy.Spec, opts ...deploy.Option) (*deploy.App, *deploy.State) {
	t.Helper()
	var st *deploy.State
	app, err := deploy.Run(t.Context(), c, sp, append(opts, deploy.WithCheckpoint(func(now *deploy.State) error { st = now; return nil }))...)
	require.NoError(t, err)
	return app, st
}

func operations(s *phalatest.Server) []string {
	var names []string
	for _, r := range s.Requests() {
		names = append(names, r.Operation)
	}
	return names
}

func outcomes(checks []deploy.Comparison) map[string]deploy.ComparisonOutcome {
	all := map[string]deploy.ComparisonOutcome{}
	for _, check := range checks {
		if check.Name != deploy.ComparedInspection { // what is noticed of the compose files of these tests
			all[check.Name] = check.Outcome
		}
	}
	return all
}

// check returns the last check of a name.
func check(t testing.TB, checks []deploy.Comparison, name string) deploy.Comparison {
	t.Helper()
	for _, c := range slices.Backward(checks) {
		if c.Name == name {
			return c
		}
	}
	require.Fail(t, "no check of that name", name)
	return deploy.Comparison{}
}

func requireMismatch(t testing.TB, err error, what string) *deploy.MismatchError {
	t.Helper()
	var mismatch *deploy.MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, what, mismatch.What)
	return mismatch
}

func requireEnv(t testing.TB, s *phalatest.Server, cvm string, want []compose.EnvVar) {
	t.Helper()
	env, err := s.Env(cvm)
	require.NoError(t, err)
	require.Len(t, env, len(want))
	for i := range want {
		require.Equal(t, env[i], want[i], want[i].Key)
	}
}

// text is the document that a CVM runs, as the cloud shows it.
func text(t testing.TB, c *client.Client, cvm string) *compose.App {
	t.Helper()
	doc, err := c.CVMs.GetComposeFile(t.Context(), cvm, nil)
	require.NoError(t, err)
	app, err := compose.Parse(doc)
	require.NoError(t, err)
	return app
}

func instances(t testing.TB, c *client.Client, of *deploy.App) []openapi.CVM {
	t.Helper()
	cvms, err := c.Apps.ListCVMs(t.Context(), of.ID.String())
	require.NoError(t, err)
	return cvms
}

// last is the CVM that a flow made last.
func last(app *deploy.App) deploy.CVM { return app.CVMs[len(app.CVMs)-1] }

// errCrash ends a flow as if its process were killed.
var errCrash = errors.New("crash")

func second[T any](_ T, err error) error { return err }

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

// rewritten is a JSON object with changed members; any other body stays.
func rewritten(body []byte, change func(map[string]any)) []byte {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return body
	}
	change(members)
	changed, _ := json.Marshal(members)
	return changed
}
