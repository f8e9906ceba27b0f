package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
)

const (
	name          = "onchain-demo"
	size          = "tdx.small"
	firstVersion  = "services:\n  web:\n    image: nginx:1.29\n    environment: [\"TOKEN=${TOKEN}\"]\n    ports: [\"80:80\"]\n"
	secondVersion = "services:\n  web:\n    image: nginx:1.30\n    environment: [\"TOKEN=${TOKEN}\", \"LEVEL=${LEVEL}\"]\n    ports: [\"80:80\"]\n"
	script        = "#!/bin/sh\necho ready\n"
)

// job is a deployment followed by an update. All that it needs from one run to the next is in its files.
type job struct {
	client *client.Client
	chain  *onchain.Chain
	opts   []deploy.Option // of the deployment and the update

	state, anchor, pending, updated string // files

	out io.Writer
}

func newJob(c *client.Client, chain *onchain.Chain, dir string, out io.Writer, opts []deploy.Option) *job {
	file := func(kind string) string { return filepath.Join(dir, name+"."+kind+".json") }
	j := &job{
		client: c, chain: chain, out: out,
		state: file("state"), anchor: file("app"), pending: file("pending"), updated: file("updated"),
	}
	j.opts = slices.Concat([]deploy.Option{deploy.WithChain(chain.Flow()), deploy.TrustDeviceFromCloud(), deploy.WithProgress(j.show)}, opts)
	return j
}

// run goes on from the files, wherever an earlier run ended, and returns the app after the update.
func (j *job) run(ctx context.Context) (*deploy.App, error) {
	flow := j.chain.Flow()
	line(j.out, "chain", fmt.Sprint(flow.ChainID()))
	line(j.out, "KMS contract", flow.KMS().Hex())
	line(j.out, "account", flow.Sender().Hex())
	deployed, err := load(j.anchor, deploy.ParseApp)
	if err != nil {
		return nil, err
	}
	if deployed == nil {
		if deployed, err = j.deploy(ctx); err != nil {
			return nil, err
		}
	}
	updated, err := load(j.updated, deploy.ParseApp)
	if err != nil {
		return nil, err
	}
	if updated == nil {
		if updated, err = j.update(ctx, deployed); err != nil {
			return nil, err
		}
	}
	fmt.Fprintln(j.out, "\nWhat the contract of the app allows")
	for _, hash := range []compose.Hash{deployed.ComposeHash, updated.ComposeHash} {
		allowed, err := j.chain.Allowance(ctx, deployed.ID, hash, kms.DeviceID{})
		if err != nil {
			return nil, err
		}
		line(j.out, "allowed", fmt.Sprintf("%s %t", hash, allowed.ComposeHash))
	}
	return updated, nil
}

func (j *job) deploy(ctx context.Context) (*deploy.App, error) {
	fmt.Fprintln(j.out, "\nDeploying")
	doc, err := compose.New(firstVersion, compose.WithPreLaunchScript(script))
	if err != nil {
		return nil, err
	}
	state, err := load(j.state, deploy.ParseState)
	if err != nil {
		return nil, err
	}
	if state != nil {
		line(j.out, "going on", fmt.Sprintf("from %s, phase %s", j.state, state.Phase))
	}
	spec := deploy.Spec{Name: name, Compose: doc, Env: []compose.EnvVar{{Key: "TOKEN", Value: "s3cret"}}, InstanceType: size}
	save := deploy.WithCheckpoint(func(st *deploy.State) error { return deploy.SaveFile(j.state, st) })
	app, err := deploy.Resume(ctx, j.client, spec, state, slices.Concat(j.opts, []deploy.Option{save})...)
	if err != nil {
		return nil, err
	}
	for _, url := range app.Last.URLs {
		line(j.out, "url", printable(url))
	}
	return app, deploy.SaveFile(j.anchor, app)
}

func (j *job) update(ctx context.Context, app *deploy.App) (*deploy.App, error) {
	fmt.Fprintln(j.out, "\nUpdating compose file and secrets in one step")
	pending, err := load(j.pending, deploy.ParsePending)
	if err != nil {
		return nil, err
	}
	save := deploy.WithPending(func(p *deploy.Pending) error { return deploy.SaveFile(j.pending, p) })
	opts := slices.Concat(j.opts, []deploy.Option{save})
	var updated *deploy.App
	if pending != nil {
		line(j.out, "going on", fmt.Sprintf("from %s, committed: %t", j.pending, pending.Committed))
		updated, err = deploy.Finish(ctx, j.client, pending, opts...)
	} else {
		updated, err = deploy.Update(ctx, j.client, app, deploy.UpdateSpec{
			DockerCompose: secondVersion, RetireOld: true,
			Env: []compose.EnvVar{{Key: "TOKEN", Value: "n3w"}, {Key: "LEVEL", Value: "debug"}},
		}, opts...)
	}
	if err != nil {
		return nil, err
	}
	line(j.out, "runs now", updated.ComposeHash.String())
	return updated, deploy.SaveFile(j.updated, updated)
}

// showWhatExists prints what a run that ended early leaves behind.
func (j *job) showWhatExists() {
	fmt.Fprintln(j.out, "\nWhat exists")
	app, _ := load(j.anchor, deploy.ParseApp)
	updated, _ := load(j.updated, deploy.ParseApp)
	state, _ := load(j.state, deploy.ParseState)
	pending, _ := load(j.pending, deploy.ParsePending)
	switch {
	case app != nil:
		line(j.out, "app contract", app.ID.String())
		line(j.out, "cvm", printable(app.CVMs[0].ID))
		switch {
		case updated != nil:
			line(j.out, "anchor", j.updated)
		case pending != nil:
			line(j.out, "anchor", j.anchor)
			line(j.out, "update", fmt.Sprintf("not finished, committed: %t, in %s", pending.Committed, j.pending))
		default:
			line(j.out, "anchor", j.anchor)
		}
	case state != nil:
		if state.Phase == deploy.PhaseProvisioned {
			line(j.out, "app contract", "none, or the transaction is on its way")
		} else {
			line(j.out, "app contract", state.AppID.String())
		}
		if state.CVM != "" {
			line(j.out, "cvm", printable(state.CVM))
		}
		line(j.out, "deployment", fmt.Sprintf("not finished, phase %s, in %s", state.Phase, j.state))
	default:
		line(j.out, "nothing", "neither a contract nor a CVM")
	}
	fmt.Fprintln(j.out, "Start it again with the same -dir to go on.")
}

// load reads a file; nil if there is none.
func load[T any](file string, parse func([]byte) (*T, error)) (*T, error) {
	v, err := deploy.LoadFile(file, parse)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return v, err
}
