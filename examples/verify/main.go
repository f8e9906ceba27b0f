// Command verify verifies what a CVM runs by its hardware, and prints the report: a line for every check, ✓ if it passed,
// ✗ if it failed, ? if it was not possible, – if nothing was expected. docs/ci.md shows it in a workflow.
//
//	go run ./examples/verify                                          an app on an embedded cloud
//	go run ./examples/verify -cvm web                                 a CVM of PHALA_CLOUD_API_KEY
//	go run ./examples/verify -app 588faf8496cde2ad6fcea2c8aac3257a7c5dc26b   every instance of an app
//	go run ./examples/verify -quote quote.bin -log log.json           what you have in files
//	go run ./examples/verify -app … -save evidence.json               and keep the evidence
//	go run ./examples/verify -bundle evidence.json                    verify it again, offline, years later
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/phala-go/phala/verify"
)

const usage = `verify verifies what a CVM runs by its hardware.

usage:
  verify                                an app on an embedded cloud
  verify -cvm NAME-OR-ID [flags]        one CVM of the account of PHALA_CLOUD_API_KEY
  verify -app APP-ID [flags]            every instance of an app
  verify -quote FILE -log FILE [flags]  a quote (raw or hexadecimal) and its event log (JSON)
  verify -bundle FILE [flags]           what -save wrote, offline, at the time of then

The exit code is 0 if everything is verified, 2 for wrong flags, 1 if there was nothing to verify, and else the kind of
check that failed: 10 hardware, 11 state of the platform, 12 debug mode, 13 operating system, 14 app, 15 key provider,
16 others, 20 nothing failed but something could not be checked.

Without an expectation the outcome of its check is "not asked". With -bundle and without expectations, those of the
author of the bundle apply.
`

// exitError is the exit code after the report was written.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("not verified (%d)", int(e)) }

// errUsage is for flags that cannot be used.
var errUsage = errors.New("wrong flags")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var code exitError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &code):
		os.Exit(int(code))
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	s, err := parse(args, problems)
	if err != nil {
		return err
	}
	policy, err := s.policy()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	options, err := s.options()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	result, err := s.verify(ctx, policy, options, problems)
	if result == nil {
		return err
	}
	if err != nil {
		fmt.Fprintf(problems, "\n%v\n", err)
	}
	if err := s.write(out, result); err != nil {
		return err
	}
	if err := s.keep(result); err != nil {
		return err
	}
	if code := result.ExitCode(); code != 0 {
		return exitError(code)
	}
	return nil
}

// keep writes the bundles to the file of -save, also of what is not verified.
func (s *settings) keep(result *verify.Result) error {
	if s.save == "" {
		return nil
	}
	text, err := json.Marshal(result.Bundles())
	if err != nil {
		return err
	}
	return os.WriteFile(s.save, text, 0o600)
}
