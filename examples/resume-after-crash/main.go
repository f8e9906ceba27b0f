// Command resume-after-crash deploys and updates an app while the process ends after every step, and goes on each time
// with nothing but the files that it saved. At the end it counts: one CVM, one create, one update.
//
//	go run ./examples/resume-after-crash
//	go run ./examples/resume-after-crash -cloud    the same on the real cloud, without crashes: stop it with Ctrl-C, start it again
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

const usage = `resume-after-crash deploys and updates an app, and goes on after a crash at any step.

usage:
  resume-after-crash            on an embedded cloud, with a crash after every step
  resume-after-crash -cloud     on Phala Cloud with PHALA_CLOUD_API_KEY: costs money until the CVM is deleted. Stop it with
                                Ctrl-C whenever you like, and start it again with the same -dir

PHALA_KMS_ROOT is the root key of the KMS; without it, it is that of Phala's central KMS. The program ends with 0, with 1 if
something failed, with 2 for wrong flags, with 3 after Ctrl-C.

`

const (
	name   = "resume-demo"
	first  = "services:\n  web:\n    image: nginx:1.29\n    environment: [\"TOKEN=${TOKEN}\"]\n"
	second = "services:\n  web:\n    image: nginx:1.30\n    environment: [\"TOKEN=${TOKEN}\"]\n"
)

var (
	errUsage = errors.New("wrong flags")
	errCrash = errors.New("the process dies")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "resume-after-crash:", err)
		os.Exit(2)
	case errors.Is(err, context.Canceled):
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "resume-after-crash:", err)
		os.Exit(1)
	}
}

// run takes further options for the real cloud: the hardware of a test's cloud is not Intel's.
func run(ctx context.Context, args []string, out, problems io.Writer, opts ...deploy.Option) error {
	flags := flag.NewFlagSet("resume-after-crash", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	cloud := flags.Bool("cloud", false, "use Phala Cloud; costs money")
	dir := flags.String("dir", ".", "`folder` of the files, with -cloud")
	size := flags.String("instance-type", "tdx.small", "`size` of the CVM, with -cloud")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	}
	if *cloud {
		return onCloud(ctx, *dir, *size, out, opts)
	}
	return demonstrate(ctx, out)
}

// job is a deployment followed by an update. All that it knows from one run to the next is in its files.
type job struct {
	client *client.Client
	spec   deploy.Spec
	appID  deploy.Option   // where the id of the new app comes from; a change has no use for it
	opts   []deploy.Option // of the deployment and the update

	state, anchor, pending, updated string // files

	crash bool            // die after each step
	died  map[string]bool // after these
	out   io.Writer
}

func newJob(c *client.Client, dir, size string, out io.Writer, appID deploy.Option, opts ...deploy.Option) (*job, error) {
	doc, err := compose.New(first, compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return nil, err
	}
	file := func(kind string) string { return filepath.Join(dir, name+"."+kind+".json") }
	return &job{
		client: c, appID: appID, opts: opts, out: out,
		spec:  deploy.Spec{Name: name, Compose: doc, Env: []compose.EnvVar{{Key: "TOKEN", Value: "s3cret"}}, InstanceType: size},
		state: file("state"), anchor: file("app"), pending: file("pending"), updated: file("updated"),
	}, nil
}

// run goes on from the files, wherever an earlier run ended.
func (j *job) run(ctx context.Context) (*deploy.App, error) {
	if app, err := load(j.updated, deploy.ParseApp); app != nil || err != nil {
		return app, err
	}
	app, err := load(j.anchor, deploy.ParseApp)
	if err != nil {
		return nil, err
	}
	if app == nil {
		if app, err = j.deploy(ctx); err != nil {
			return nil, err
		}
	}
	return j.update(ctx, app)
}

func (j *job) deploy(ctx context.Context) (*deploy.App, error) {
	state, err := load(j.state, deploy.ParseState)
	if err != nil {
		return nil, err
	}
	if state != nil {
		fmt.Fprintf(j.out, "  going on with the deployment, phase %s\n", state.Phase)
	}
	app, err := deploy.Resume(ctx, j.client, j.spec, state, slices.Concat(j.opts, []deploy.Option{j.appID, deploy.WithCheckpoint(func(st *deploy.State) error {
		if err := deploy.SaveFile(j.state, st); err != nil {
			return err
		}
		return j.step("deployment " + string(st.Phase))
	})})...)
	if err != nil {
		return nil, err
	}
	if err := deploy.SaveFile(j.anchor, app); err != nil {
		return nil, err
	}
	return app, j.step("deployed")
}

func (j *job) update(ctx context.Context, app *deploy.App) (*deploy.App, error) {
	pending, err := load(j.pending, deploy.ParsePending)
	if err != nil {
		return nil, err
	}
	opts := slices.Concat(j.opts, []deploy.Option{deploy.WithPending(func(p *deploy.Pending) error {
		if err := deploy.SaveFile(j.pending, p); err != nil {
			return err
		}
		return j.step(fmt.Sprintf("update, committed: %t", p.Committed))
	})})
	var updated *deploy.App
	if pending != nil {
		fmt.Fprintf(j.out, "  going on with the update, committed: %t\n", pending.Committed)
		updated, err = deploy.Finish(ctx, j.client, pending, opts...)
	} else {
		updated, err = deploy.Update(ctx, j.client, app, deploy.UpdateSpec{DockerCompose: second}, opts...)
	}
	if err != nil {
		return nil, err
	}
	return updated, deploy.SaveFile(j.updated, updated)
}

// step ends the run if it is to crash here, once.
func (j *job) step(what string) error {
	if !j.crash || j.died[what] {
		return nil
	}
	j.died[what] = true
	return fmt.Errorf("%w after: %s", errCrash, what)
}

// load reads a file; nil if there is none.
func load[T any](file string, parse func([]byte) (*T, error)) (*T, error) {
	v, err := deploy.LoadFile(file, parse)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return v, err
}

// demonstrate ends the process after every step. Each run is a new job, which has only the files.
func demonstrate(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "resume-after-crash-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cloud, err := phalatest.Start()
	if err != nil {
		return err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return err
	}
	died := map[string]bool{}
	for run := 1; ; run++ {
		j, err := newJob(c, dir, "", out, deploy.WithTeamWallet(cloud.TeamWallet()),
			deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithVerification(cloud.AttestationPolicy()))
		if err != nil {
			return err
		}
		j.crash, j.died = true, died
		fmt.Fprintf(out, "run %d\n", run)
		app, err := j.run(ctx)
		if errors.Is(err, errCrash) {
			fmt.Fprintf(out, "  %v\n", err)
			continue
		}
		if err != nil {
			return err
		}
		return count(ctx, cloud, c, app, out)
	}
}

// count prints what all runs together have done.
func count(ctx context.Context, cloud *phalatest.Server, c *client.Client, app *deploy.App, out io.Writer) error {
	cvms := 0
	for _, err := range c.CVMs.All(ctx, nil) {
		if err != nil {
			return err
		}
		cvms++
	}
	calls := map[string]int{}
	for _, r := range cloud.Requests() {
		calls[r.Operation]++
	}
	fmt.Fprintf(out, "\ndone: %d CVM, created by %d request, updated by %d\nit runs %s\n",
		cvms, calls["CVMs.Create"], calls["CVMs.CommitComposeUpdate"], app.ComposeHash)
	if cvms != 1 {
		return fmt.Errorf("%d CVMs exist, want 1", cvms)
	}
	return nil
}

// onCloud runs the job on the real cloud.
func onCloud(ctx context.Context, dir, size string, out io.Writer, opts []deploy.Option) error {
	c, err := client.New()
	if err != nil {
		return err
	}
	price, err := priceOf(ctx, c, size)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s costs %s USD an hour until it is deleted\n", size, price)
	root, err := kms.ParseRootKey(cmp.Or(os.Getenv("PHALA_KMS_ROOT"), kms.PhalaCentralRootKey))
	if err != nil {
		return fmt.Errorf("PHALA_KMS_ROOT: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	j, err := newJob(c, dir, size, out, deploy.TrustAppIDFromCloud(), append([]deploy.Option{deploy.WithKMSRoot(root)}, opts...)...)
	if err != nil {
		return err
	}
	app, err := j.run(ctx)
	if err != nil {
		j.showWhatExists(out)
		return err
	}
	fmt.Fprintf(out, "app %s runs %s; delete CVM %q when you are done\n", app.ID, app.ComposeHash, app.CVMs[0].ID)
	return nil
}

// showWhatExists prints what a run that ended early leaves behind.
func (j *job) showWhatExists(out io.Writer) {
	if app, _ := load(j.anchor, deploy.ParseApp); app != nil {
		fmt.Fprintf(out, "CVM %q exists and runs; %s is its anchor. Start again to go on with the update.\n", app.CVMs[0].ID, j.anchor)
		return
	}
	if state, _ := load(j.state, deploy.ParseState); state != nil && state.CVM != "" {
		fmt.Fprintf(out, "CVM %q exists and goes on booting. Start again to go on from %s.\n", state.CVM, j.state)
		return
	}
	fmt.Fprintln(out, "No CVM was created yet.")
}

func priceOf(ctx context.Context, c *client.Client, size string) (string, error) {
	families, err := c.InstanceTypes.List(ctx)
	if err != nil {
		return "", err
	}
	for _, family := range families.Result {
		for _, item := range family.Items {
			if string(item.ID) == size {
				return string(item.HourlyRate), nil
			}
		}
	}
	return "", fmt.Errorf("instance type %q: the cloud does not list it", size)
}
