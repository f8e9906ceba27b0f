package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/verify"
)

// errUnverified is returned if an app that was not changed is not verified.
var errUnverified = errors.New("what runs is not verified")

// job is one run of the CI.
type job struct {
	client  *client.Client
	spec    deploy.Spec
	appID   deploy.Option   // where the id of a new app comes from
	opts    []deploy.Option // of a deployment and an update
	policy  attest.Policy   // of a run without a change
	anchor  string          // files
	force   bool
	timeout time.Duration
	log     io.Writer
}

// newJob reads the environment.
func newJob(getenv func(string) string, log io.Writer) (*job, error) {
	value := func(name, otherwise string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	name := getenv("DEPLOY_NAME")
	if err := compose.ValidateName(name); err != nil {
		return nil, fmt.Errorf("DEPLOY_NAME: %w", err)
	}
	j := &job{anchor: value("DEPLOY_ANCHOR", name+".app.json"), force: getenv("DEPLOY_FORCE") == "1", log: log}
	var err error
	if j.timeout, err = time.ParseDuration(value("DEPLOY_TIMEOUT", "20m")); err != nil {
		return nil, fmt.Errorf("DEPLOY_TIMEOUT: %w", err)
	}
	text, err := os.ReadFile(value("DEPLOY_COMPOSE", "docker-compose.yml"))
	if err != nil {
		return nil, fmt.Errorf("DEPLOY_COMPOSE: %w", err)
	}
	env, err := secrets(getenv("DEPLOY_SECRETS"), getenv)
	if err != nil {
		return nil, err
	}
	options := []compose.Option{compose.WithEnv(env)}
	if file := getenv("DEPLOY_PRE_LAUNCH"); file != "" {
		script, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("DEPLOY_PRE_LAUNCH: %w", err)
		}
		options = append(options, compose.WithPreLaunchScript(string(script)))
	}
	doc, err := compose.New(string(text), options...)
	if err != nil {
		return nil, fmt.Errorf("DEPLOY_COMPOSE: %w", err)
	}
	j.spec = deploy.Spec{Name: name, Compose: doc, Env: env, InstanceType: value("DEPLOY_INSTANCE_TYPE", "tdx.small")}
	return j, nil
}

// secrets reads the variables that a list names. One that is not set is an error: CI systems leave out what a job may not
// see.
func secrets(list string, getenv func(string) string) ([]compose.EnvVar, error) {
	var env []compose.EnvVar
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		value := getenv(name)
		if value == "" {
			return nil, fmt.Errorf("DEPLOY_SECRETS names %s, which is empty or not set", name)
		}
		env = append(env, compose.EnvVar{Key: name, Value: value})
	}
	return env, nil
}

// run deploys if there is no anchor yet, else updates.
func (j *job) run(ctx context.Context) (*answer, error) {
	a := &answer{Name: j.spec.Name, Anchor: j.anchor}
	app, err := load(j.anchor, deploy.ParseApp)
	if err != nil {
		return a, err
	}
	stateFile, pendingFile := j.anchor+".state", j.anchor+".pending"
	pending, err := load(pendingFile, deploy.ParsePending)
	if err != nil {
		return a, err
	}
	unfinished := pendingFile
	switch {
	case app == nil:
		a.Action, unfinished = "deployed", stateFile
		app, err = j.deploy(ctx, stateFile)
	case pending == nil && !j.force && j.unchanged(app):
		a.Action = "unchanged"
		a.describe(app)
		err := j.verify(ctx, app)
		a.Verified = err == nil
		return a, err
	default:
		a.Action = "updated"
		app, err = j.update(ctx, app, pending, pendingFile)
	}
	if err != nil {
		a.Action = ""
		if _, statErr := os.Stat(unfinished); statErr == nil {
			a.Resume = unfinished
		}
		return a, err
	}
	if err := deploy.SaveFile(j.anchor, app); err != nil {
		return a, err
	}
	if err := os.Remove(unfinished); err != nil && !errors.Is(err, os.ErrNotExist) {
		return a, err
	}
	a.describe(app)
	a.Verified, a.URLs, a.Comparisons = app.Last.Report != nil && app.Last.Report.Verified, app.Last.URLs, app.Last.Comparisons
	return a, nil
}

func (a *answer) describe(app *deploy.App) {
	a.AppID, a.ComposeHash = app.ID.String(), app.ComposeHash.String()
	for _, cvm := range app.CVMs {
		a.CVMs = append(a.CVMs, cvm.ID)
	}
}

func (j *job) deploy(ctx context.Context, file string) (*deploy.App, error) {
	state, err := load(file, deploy.ParseState)
	if err != nil {
		return nil, err
	}
	save := deploy.WithCheckpoint(func(st *deploy.State) error { return deploy.SaveFile(file, st) })
	return deploy.Resume(ctx, j.client, j.spec, state, slices.Concat(j.opts, []deploy.Option{j.appID, save, j.progress()})...)
}

func (j *job) update(ctx context.Context, app *deploy.App, pending *deploy.Pending, file string) (*deploy.App, error) {
	save := deploy.WithPending(func(p *deploy.Pending) error { return deploy.SaveFile(file, p) })
	opts := slices.Concat(j.opts, []deploy.Option{save, j.progress()})
	if pending != nil {
		return deploy.Finish(ctx, j.client, pending, opts...)
	}
	removed := slices.DeleteFunc(slices.Clone(app.Secrets), func(name string) bool {
		return slices.ContainsFunc(j.spec.Env, func(v compose.EnvVar) bool { return v.Key == name })
	})
	return deploy.Update(ctx, j.client, app, deploy.UpdateSpec{Compose: j.spec.Compose, Env: j.spec.Env, RemoveSecrets: removed}, opts...)
}

// unchanged reports whether the anchor has the document of this run. Values of secrets are nowhere to compare with.
func (j *job) unchanged(app *deploy.App) bool {
	hash, err := j.spec.Compose.Hash()
	return err == nil && j.spec.Compose.Predictable() && hash == app.ComposeHash
}

// verify verifies the hardware's evidence of what runs.
func (j *job) verify(ctx context.Context, app *deploy.App) error {
	policy := j.policy
	policy.ComposeHashes = []compose.Hash{app.ComposeHash}
	if _, err := verify.App(ctx, j.client, app.ID, policy); err != nil {
		return fmt.Errorf("%w: %w", errUnverified, err)
	}
	return nil
}

func (j *job) progress() deploy.Option {
	return deploy.WithProgress(func(event deploy.Event) { fmt.Fprintln(j.log, event) })
}

// load reads a file; nil if there is none.
func load[T any](file string, parse func([]byte) (*T, error)) (*T, error) {
	v, err := deploy.LoadFile(file, parse)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return v, err
}
