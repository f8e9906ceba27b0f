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
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

// The exit codes of the program.
const (
	exitInput      = 2 // the input is wrong; nothing was sent
	exitAPI        = 3 // the cloud refused
	exitMismatch   = 4 // the cloud's answer is not what was computed here
	exitBoot       = 5 // the CVM was created but does not run
	exitUnverified = 6 // the CVM runs, but the hardware does not prove that it is this one
	exitStopped    = 7 // Ctrl-C, or not running in time
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit code. A test adds options for the real cloud: the hardware of its own is not Intel's.
func run(ctx context.Context, args []string, out, problems io.Writer, opts ...deploy.Option) int {
	s, err := parse(args, problems)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitInput
	}
	d := &deployment{settings: *s, output: output{out}}
	if s.cloud {
		err = d.onCloud(ctx, opts)
	} else {
		err = d.onEmbedded(ctx)
	}
	if err == nil {
		return 0
	}
	var unverified *deploy.VerificationError
	if errors.As(err, &unverified) && unverified.Report != nil {
		d.section("NOT proven by the hardware")
		d.report(unverified.Report)
	}
	text, code := explain(err)
	fmt.Fprintln(problems, "\n✗", text)
	if ctx.Err() != nil {
		d.showWhatExists(problems)
	}
	return code
}

// settings are the flags of the program.
type settings struct {
	cloud, remove bool
	name, size    string
	dir           string
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

// explain returns what an error means for the reader, and the exit code.
func explain(err error) (string, int) {
	var mismatch *deploy.MismatchError
	var boot *deploy.BootError
	var unverified *deploy.VerificationError
	var api *client.APIError
	switch {
	case errors.Is(err, context.Canceled):
		return "stopped", exitStopped
	case errors.Is(err, context.DeadlineExceeded):
		return "not running after 15 minutes: " + err.Error(), exitStopped
	case errors.As(err, &unverified):
		return fmt.Sprintf("%v\n  It exists and runs. Delete it, unless the failed check is acceptable to you; a policy can accept it by name.", unverified), exitUnverified
	case errors.As(err, &mismatch):
		return fmt.Sprintf("the cloud's %s is not the one computed here; nothing more was sent.\n  here  %s\n  cloud %s", mismatch.What, mismatch.Local, printable(mismatch.Remote)), exitMismatch
	case errors.As(err, &boot):
		return fmt.Sprintf("%v\n  It exists: look at its logs, or delete it.", boot), exitBoot
	case errors.Is(err, client.ErrConflict):
		return fmt.Sprintf("%v\n  Delete the CVM of that name first, or give another one with -name.", err), exitAPI
	case errors.Is(err, client.ErrUnauthorized):
		return "PHALA_CLOUD_API_KEY was refused: " + err.Error(), exitAPI
	case errors.As(err, &api):
		return err.Error(), exitAPI
	}
	return err.Error(), exitInput
}
