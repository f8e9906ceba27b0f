// Command quickstart deploys the docker-compose.yml beside it, with two secrets, follows it until it runs, and
// has the hardware prove what it is that runs.
//
//	go run ./examples/quickstart          on an embedded Phala Cloud, without an account
//	go run ./examples/quickstart -cloud   on the real one, with PHALA_CLOUD_API_KEY; it prints the price first
//	go run ./examples/quickstart -cloud -delete
//
// It keeps two files: the state of a deployment that is under way, so that running it again after Ctrl-C goes on, and
// the anchor of the app, which every later flow needs.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

//go:embed docker-compose.yml
var dockerCompose string

//go:embed .env
var envFile []byte

//go:embed pre-launch.sh
var preLaunchScript string

// The exit codes of the program.
const (
	exitSpec       = 2 // the input is wrong; nothing was sent
	exitAPI        = 3 // the cloud refused
	exitMismatch   = 4 // the cloud's answer is not what was computed here
	exitBoot       = 5 // the CVM was created but does not run
	exitUnverified = 6 // the CVM runs, but the hardware does not prove that it is this one
	exitStopped    = 7 // Ctrl-C, or not running in time
)

// settings are the flags of the program.
type settings struct {
	cloud, remove bool
	name, size    string
	dir           string
}

func main() {
	s, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(exitSpec)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if err := run(ctx, s); err != nil {
		var unverified *deploy.VerificationError
		if errors.As(err, &unverified) && unverified.Report != nil {
			section("NOT proven by the hardware")
			showReport(unverified.Report)
		}
		fmt.Fprintln(os.Stderr, "\n✗", explain(err))
		if ctx.Err() != nil {
			s.showWhatExists()
		}
		os.Exit(exitCode(err))
	}
}

func parse(args []string, out io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() {
		fmt.Fprintln(out, "quickstart deploys a docker-compose file with two secrets, and has the hardware prove what runs.\n\nFlags:")
		flags.PrintDefaults()
	}
	flags.BoolVar(&s.cloud, "cloud", false, "use the real Phala Cloud with PHALA_CLOUD_API_KEY; costs money")
	flags.BoolVar(&s.remove, "delete", false, "delete what an earlier run deployed (with -cloud)")
	flags.StringVar(&s.name, "name", "quickstart", "`name` of the CVM")
	flags.StringVar(&s.size, "instance-type", "tdx.small", "`size` of the CVM")
	flags.StringVar(&s.dir, "dir", "", "`folder` for the anchor and the state; a temporary one without -cloud, else the current one")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	var wrong error
	switch {
	case flags.NArg() > 0:
		wrong = fmt.Errorf("quickstart takes no argument, got %q", flags.Arg(0))
	case s.remove && !s.cloud:
		wrong = errors.New("-delete needs -cloud: the embedded cloud ends with the program")
	case compose.ValidateName(s.name) != nil:
		wrong = fmt.Errorf("-name: %w", compose.ValidateName(s.name))
	}
	if wrong != nil {
		fmt.Fprintln(out, wrong)
		return nil, wrong
	}
	if s.dir == "" && s.cloud {
		s.dir = "."
	}
	return &s, nil
}

func (s *settings) anchorFile() string { return filepath.Join(s.dir, s.name+".app.json") }
func (s *settings) stateFile() string  { return filepath.Join(s.dir, s.name+".state.json") }

func run(ctx context.Context, s *settings) error {
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "phala-quickstart-")
		if err != nil {
			return err
		}
		s.dir = dir
	}
	place, err := connect(ctx, s)
	if err != nil {
		return err
	}
	defer place.close()
	if s.remove {
		return remove(ctx, place.client, s)
	}

	env, err := compose.ReadEnv(bytes.NewReader(envFile))
	if err != nil {
		return err
	}
	uses, err := compose.EnvNames(dockerCompose)
	if err != nil {
		return err
	}
	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript(preLaunchScript))
	if err != nil {
		return err
	}
	spec := deploy.Spec{Name: s.name, Compose: doc, Env: env, InstanceType: s.size}

	section("Here, before anything is sent")
	line("docker-compose.yml", fmt.Sprintf("%d bytes, uses %s", len(dockerCompose), strings.Join(uses, " and ")))
	line(".env", fmt.Sprintf("%d secrets", len(env)))
	state, err := s.savedState()
	if err != nil {
		return err
	}

	section("Deploying")
	opts := append(place.options, deploy.WithProgress(show), deploy.WithCheckpoint(func(st *deploy.State) error {
		return deploy.SaveFile(s.stateFile(), st)
	}))
	app, err := deploy.Resume(ctx, place.client, spec, state, opts...)
	if err != nil {
		return err
	}
	if err := errors.Join(deploy.SaveFile(s.anchorFile(), app), os.Remove(s.stateFile())); err != nil {
		return err
	}

	section("Proven by the hardware")
	if app.Last.Report != nil {
		showReport(app.Last.Report)
	} else {
		line("nothing", app.Last.Comparisons[len(app.Last.Comparisons)-1].Reason)
	}

	section("Running")
	checked := make([]string, len(app.Last.Comparisons))
	for i, check := range app.Last.Comparisons {
		checked[i] = fmt.Sprintf("%s %s", check.Name, check.Outcome)
	}
	line("checked", strings.Join(checked, ", "))
	line("cvm", fmt.Sprintf("%s (%s)", printable(app.CVMs[0].Name), printable(app.CVMs[0].ID)))
	for _, url := range app.Last.URLs {
		line("url", printable(url))
	}
	line("anchor", s.anchorFile()+" (keep it: every update needs it)")
	return place.report(app)
}

// savedState is the state of an earlier run that did not finish; nil if there is none.
func (s *settings) savedState() (*deploy.State, error) {
	state, err := deploy.LoadFile(s.stateFile(), deploy.ParseState)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		line("going on", fmt.Sprintf("from %s, phase %s", s.stateFile(), state.Phase))
	}
	return state, err
}

// showWhatExists prints what a run that was stopped leaves behind.
func (s *settings) showWhatExists() {
	state, err := deploy.LoadFile(s.stateFile(), deploy.ParseState)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "  Nothing was created.")
	case state.CVM == "":
		fmt.Fprintf(os.Stderr, "  No CVM was created yet. Run it again to go on from %s.\n", s.stateFile())
	default:
		fmt.Fprintf(os.Stderr, "  CVM %s exists and goes on booting. Run it again to go on from %s, or with -cloud -delete to delete it.\n", printable(state.CVM), s.stateFile())
	}
}

// remove deletes the CVMs of the anchor, or of a deployment that did not finish.
func remove(ctx context.Context, c *client.Client, s *settings) error {
	var ids []string
	app, err := deploy.LoadFile(s.anchorFile(), deploy.ParseApp)
	if err == nil {
		for _, cvm := range app.CVMs {
			ids = append(ids, cvm.ID)
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if state, err := deploy.LoadFile(s.stateFile(), deploy.ParseState); err == nil && state.CVM != "" {
		ids = append(ids, state.CVM)
	}
	if len(ids) == 0 {
		return fmt.Errorf("nothing to delete: neither %s nor %s has a CVM", s.anchorFile(), s.stateFile())
	}
	for _, id := range ids {
		if err := c.CVMs.Delete(ctx, id); err != nil {
			return fmt.Errorf("delete cvm %s: %w", id, err)
		}
		line("deleted", id)
	}
	for _, file := range []string{s.anchorFile(), s.stateFile()} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// place is where the program deploys.
type place struct {
	client   *client.Client
	options  []deploy.Option
	embedded *phalatest.Server // nil on the real cloud
}

func connect(ctx context.Context, s *settings) (*place, error) {
	if s.cloud {
		return connectReal(ctx, s)
	}
	section("Embedded Phala Cloud (give -cloud to use the real one)")
	cloud, err := phalatest.Start(phalatest.WithTick(40 * time.Millisecond))
	if err != nil {
		return nil, err
	}
	c, err := client.New(client.WithAPIKey(cloud.APIKey), client.WithBaseURL(cloud.URL()))
	if err != nil {
		cloud.Close()
		return nil, err
	}
	line("listening on", cloud.URL())
	return &place{client: c, embedded: cloud, options: []deploy.Option{
		deploy.WithKMSRoot(cloud.KMSRoot()),
		deploy.WithVerification(cloud.AttestationPolicy()),
		deploy.WithTeamWallet(cloud.TeamWallet()),
	}}, nil
}

func connectReal(ctx context.Context, s *settings) (*place, error) {
	if os.Getenv("PHALA_CLOUD_API_KEY") == "" {
		return nil, errors.New("PHALA_CLOUD_API_KEY is not set")
	}
	section("Phala Cloud")
	c, err := client.New()
	if err != nil {
		return nil, err
	}
	p := &place{client: c}
	if s.remove {
		return p, nil
	}
	price, err := priceOf(ctx, c, s.size)
	if err != nil {
		return nil, err
	}
	line("price", price)
	line("app id", "the cloud chooses it; nothing on this side knows which ids belong to the workspace")
	p.options = append(p.options, deploy.TrustAppIDFromCloud())
	if root := os.Getenv("PHALA_KMS_ROOT"); root != "" {
		signer, err := kms.ParseRootKey(root)
		if err != nil {
			return nil, fmt.Errorf("PHALA_KMS_ROOT: %w", err)
		}
		p.options = append(p.options, deploy.WithKMSRoot(signer))
		return p, nil
	}
	line("KMS root", "PHALA_KMS_ROOT is not set, so the cloud's own answer is pinned")
	p.options = append(p.options, deploy.TrustKMSRootFromCloud())
	return p, nil
}

// priceOf is what an instance type costs.
func priceOf(ctx context.Context, c *client.Client, id string) (string, error) {
	families, err := c.InstanceTypes.List(ctx)
	if err != nil {
		return "", err
	}
	for _, family := range families.Result {
		for _, size := range family.Items {
			if string(size.ID) == id {
				return fmt.Sprintf("%s: %s USD per hour for %d vCPU and %d MB, until it is deleted", id, size.HourlyRate, size.VCPU, size.MemoryMB), nil
			}
		}
	}
	return "", fmt.Errorf("instance type %q: the cloud does not list it", id)
}

func (p *place) close() {
	if p.embedded != nil {
		p.embedded.Close()
	}
}

// report prints what only an embedded cloud can know: that the guest could read the secrets.
func (p *place) report(app *deploy.App) error {
	if p.embedded == nil {
		return nil
	}
	env, err := p.embedded.Env(app.CVMs[0].ID)
	if err != nil {
		return err
	}
	names := make([]string, len(env))
	for i, v := range env {
		names[i] = v.Key
	}
	line("guest decrypted", strings.Join(names, ", "))
	return nil
}

func section(title string) { fmt.Printf("\n%s\n", title) }

func line(name, value string) { fmt.Printf("  %-18s %s\n", name, value) }

func show(event deploy.Event) {
	switch e := event.(type) {
	case deploy.ProvisionedEvent:
		line("→ provisioned", "app "+e.AppID)
	case deploy.ComparisonEvent:
		showComparison(e.Comparison)
	case deploy.EncryptedEvent:
		line("→ encrypted", fmt.Sprintf("%s into %d bytes", strings.Join(e.Names, ", "), e.Bytes))
	case deploy.CreatedEvent:
		line("→ created", "cvm "+printable(e.CVM))
	case deploy.StatusEvent:
		line("→ state", e.String())
	}
}

func showComparison(c deploy.Comparison) {
	mark := map[deploy.ComparisonOutcome]string{
		deploy.Confirmed: "✓", deploy.Consistent: "=", deploy.Waived: "!", deploy.Undecided: "–", deploy.NotNeeded: "–", deploy.Noticed: "!",
	}[c.Outcome]
	switch {
	case c.Local != "" && c.Remote != "":
		line(mark+" "+c.Name, "here  "+c.Local)
		line("", "cloud "+printable(c.Remote))
	default:
		line(mark+" "+c.Name, string(c.Outcome))
	}
	if c.Reason != "" {
		line("", printable(c.Reason))
	}
}

// showReport has a line for every check, also for what was not asked.
func showReport(report *attest.Report) {
	for _, check := range report.Checks {
		mark := map[attest.Outcome]string{attest.Passed: "✓", attest.Failed: "✗", attest.NotPossible: "?", attest.NotAsked: "–"}[check.Outcome]
		what := check.Detail
		if what == "" {
			what = check.Actual
		}
		switch {
		case what == "":
			what = string(check.Outcome)
		case check.Outcome == attest.NotAsked:
			what = "not asked, " + what
		}
		line(mark+" "+string(check.Name), shorten(what))
		if check.Outcome == attest.Failed && check.Expected != "" {
			line("", "expected "+printable(check.Expected))
			line("", "actual   "+printable(check.Actual))
		}
	}
}

// printable keeps what others wrote from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// shorten keeps a value on one line.
func shorten(text string) string {
	const most = 90
	r := []rune(printable(text))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}

// explain says what an error means for the reader.
func explain(err error) string {
	var mismatch *deploy.MismatchError
	var boot *deploy.BootError
	var unverified *deploy.VerificationError
	switch {
	case errors.As(err, &unverified):
		return fmt.Sprintf("%v\n  It exists and runs. Delete it, unless the failed check is acceptable to you; a policy can accept it by name.", unverified)
	case errors.As(err, &mismatch):
		return fmt.Sprintf("the cloud's %s is not the one computed here; nothing more was sent.\n  here  %s\n  cloud %s", mismatch.What, mismatch.Local, printable(mismatch.Remote))
	case errors.As(err, &boot):
		return fmt.Sprintf("%v\n  It exists: look at its logs, or delete it.", boot)
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.Is(err, context.DeadlineExceeded):
		return "not running after 15 minutes: " + err.Error()
	case errors.Is(err, client.ErrConflict):
		return fmt.Sprintf("%v\n  Delete the CVM of that name first, or give another one with -name.", err)
	case errors.Is(err, client.ErrUnauthorized):
		return "PHALA_CLOUD_API_KEY was refused: " + err.Error()
	}
	return err.Error()
}

func exitCode(err error) int {
	var mismatch *deploy.MismatchError
	var boot *deploy.BootError
	var unverified *deploy.VerificationError
	var api *client.APIError
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return exitStopped
	case errors.As(err, &unverified):
		return exitUnverified
	case errors.As(err, &mismatch):
		return exitMismatch
	case errors.As(err, &boot):
		return exitBoot
	case errors.As(err, &api):
		return exitAPI
	}
	return exitSpec
}
