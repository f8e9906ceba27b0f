// Command watch-fleet shows the CVMs of a workspace as a live table with a progress bar each.
//
//	go -C examples/watch-fleet run .           a fleet that boots on an embedded cloud, until all run
//	go -C examples/watch-fleet run . -cloud    the fleet of PHALA_CLOUD_API_KEY, until Ctrl-C; it only reads
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

const usage = `watch-fleet shows the CVMs of a workspace, with a progress bar each.

usage:
  watch-fleet                  a fleet that boots on an embedded cloud, until all run
  watch-fleet -cloud           the fleet of PHALA_CLOUD_API_KEY, until Ctrl-C; it only reads and costs nothing
  watch-fleet -cloud -settled  the same, until nothing is on its way any more

If the output is no terminal, each change is a line. It ends with 0, with 1 if something failed or, with the embedded
cloud and -settled, a CVM failed, with 2 for wrong flags.

`

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

// settings are the flags.
type settings struct {
	cloud, settled, lines bool
	count                 int
	interval              time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "watch-fleet:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "watch-fleet:", err)
		os.Exit(1)
	}
}

func parse(args []string, problems io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("watch-fleet", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	flags.BoolVar(&s.cloud, "cloud", false, "the fleet of PHALA_CLOUD_API_KEY")
	flags.BoolVar(&s.settled, "settled", false, "end when nothing is on its way any more, with -cloud")
	flags.BoolVar(&s.lines, "lines", false, "a line for each change, also on a terminal")
	flags.IntVar(&s.count, "count", 6, "`number` of CVMs on the embedded cloud")
	flags.DurationVar(&s.interval, "interval", 0, "`time` between two looks; 2s with -cloud, else 50ms")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	case s.count < 1 || s.count > 100:
		return nil, fmt.Errorf("%w: -count must be 1 to 100", errUsage)
	case s.interval < 0:
		return nil, fmt.Errorf("%w: -interval must not be negative", errUsage)
	}
	if s.interval == 0 {
		s.interval = 50 * time.Millisecond
		if s.cloud {
			s.interval = 2 * time.Second
		}
	}
	return &s, nil
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	s, err := parse(args, problems)
	if err != nil {
		return err
	}
	c, closing, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer closing()
	var shown display = &lines{out: out, last: map[string]string{}}
	if file, ok := out.(*os.File); ok && !s.lines && isTerminal(file) {
		shown = newTable(file)
	}
	defer shown.close()
	err = watch(ctx, c, s.interval, s.settled || !s.cloud, shown)
	if s.cloud && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how it ends; nothing was changed
	}
	return err
}

func isTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s *settings) connect(ctx context.Context) (*client.Client, func(), error) {
	if s.cloud {
		c, err := client.New()
		return c, func() {}, err
	}
	cloud, err := phalatest.Start(phalatest.WithTick(300 * time.Millisecond))
	if err != nil {
		return nil, nil, err
	}
	c, err := cloud.Client()
	if err == nil {
		err = boot(ctx, c, s.count, deploy.WithTeamWallet(cloud.TeamWallet()))
	}
	if err != nil {
		cloud.Close()
		return nil, nil, err
	}
	return c, cloud.Close, nil
}

// boot creates some CVMs, and does not wait for them.
func boot(ctx context.Context, c *client.Client, count int, opts ...deploy.Option) error {
	doc, err := compose.New("services:\n  web:\n    image: nginx:1.29\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return err
	}
	for i := range count {
		state, err := deploy.Provision(ctx, c, deploy.Spec{Name: fmt.Sprintf("shop-%d", i+1), Compose: doc}, opts...)
		if err != nil {
			return err
		}
		if err := deploy.Encrypt(ctx, c, state, nil); err != nil { // no secrets
			return err
		}
		if err := deploy.Create(ctx, c, state); err != nil {
			return err
		}
	}
	return nil
}
