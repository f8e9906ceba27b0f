package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

//go:embed docker-compose.yml
var dockerCompose string

//go:embed .env
var envFile []byte

//go:embed pre-launch.sh
var preLaunchScript string

// deployment is one run of the program.
type deployment struct {
	settings
	output
}

// run deploys the app with the options that name what is trusted, or goes on with an earlier run.
func (d *deployment) run(ctx context.Context, c *client.Client, trust ...deploy.Option) (*deploy.App, error) {
	env, err := compose.ReadEnv(bytes.NewReader(envFile))
	if err != nil {
		return nil, err
	}
	uses, err := compose.EnvNames(dockerCompose)
	if err != nil {
		return nil, err
	}
	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript(preLaunchScript))
	if err != nil {
		return nil, err
	}
	d.section("Here, before anything is sent")
	d.line("docker-compose.yml", fmt.Sprintf("%d bytes, uses %s", len(dockerCompose), strings.Join(uses, " and ")))
	d.line(".env", fmt.Sprintf("%d secrets", len(env)))
	state, err := deploy.LoadFile(d.stateFile(), deploy.ParseState)
	if err == nil {
		d.line("going on", fmt.Sprintf("from %s, phase %s", d.stateFile(), state.Phase))
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}

	d.section("Deploying")
	spec := deploy.Spec{Name: d.name, Compose: doc, Env: env, InstanceType: d.size}
	app, err := deploy.Resume(ctx, c, spec, state, slices.Concat([]deploy.Option{
		deploy.WithProgress(d.event),
		deploy.WithCheckpoint(func(st *deploy.State) error { return deploy.SaveFile(d.stateFile(), st) }),
	}, trust)...)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(deploy.SaveFile(d.anchorFile(), app), os.Remove(d.stateFile())); err != nil {
		return nil, err
	}

	d.section("Proven by the hardware")
	if app.Last.Report != nil {
		d.report(app.Last.Report)
	} else {
		d.line("nothing", app.Last.Comparisons[len(app.Last.Comparisons)-1].Reason)
	}
	d.section("Running")
	d.app(app)
	d.line("anchor", d.anchorFile()+" (keep it: every update needs it)")
	return app, nil
}

// showWhatExists prints what a run that was stopped leaves behind.
func (d *deployment) showWhatExists(problems io.Writer) {
	state, err := deploy.LoadFile(d.stateFile(), deploy.ParseState)
	switch {
	case err != nil:
		fmt.Fprintln(problems, "  Nothing was created.")
	case state.CVM == "":
		fmt.Fprintf(problems, "  No CVM was created yet. Run it again to go on from %s.\n", d.stateFile())
	default:
		fmt.Fprintf(problems, "  CVM %s exists and goes on booting. Run it again to go on from %s, or with -cloud -delete to delete it.\n", printable(state.CVM), d.stateFile())
	}
}

// delete deletes the CVMs of the anchor, or of a deployment that did not finish.
func (d *deployment) delete(ctx context.Context, c *client.Client) error {
	var ids []string
	app, err := deploy.LoadFile(d.anchorFile(), deploy.ParseApp)
	if err == nil {
		for _, cvm := range app.CVMs {
			ids = append(ids, cvm.ID)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if state, err := deploy.LoadFile(d.stateFile(), deploy.ParseState); err == nil && state.CVM != "" {
		ids = append(ids, state.CVM)
	}
	if len(ids) == 0 {
		return fmt.Errorf("nothing to delete: neither %s nor %s has a CVM", d.anchorFile(), d.stateFile())
	}
	for _, id := range ids {
		if err := c.CVMs.Delete(ctx, id); err != nil {
			return fmt.Errorf("delete cvm %s: %w", id, err)
		}
		d.line("deleted", printable(id))
	}
	for _, file := range []string{d.anchorFile(), d.stateFile()} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
