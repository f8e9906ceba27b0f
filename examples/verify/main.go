// Command verify has the hardware prove what a CVM runs, and prints the report: a line for every check, ✓ where it
// passed, ✗ where it failed, ? where it was not possible, – where nothing was asked.
//
//	go run ./examples/verify                                          an app on an embedded cloud
//	go run ./examples/verify -cvm web                                 a CVM of PHALA_CLOUD_API_KEY
//	go run ./examples/verify -app 588faf8496cde2ad6fcea2c8aac3257a7c5dc26b   every instance of an app
//	go run ./examples/verify -quote quote.bin -log log.json           what you have in files
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
	"strings"
	"time"
	"unicode"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/verify"
)

const usage = `verify has the hardware prove what a CVM runs.

usage:
  verify                                an app on an embedded cloud
  verify -cvm NAME-OR-ID [flags]        one CVM of the account of PHALA_CLOUD_API_KEY
  verify -app APP-ID [flags]            every instance of an app
  verify -quote FILE -log FILE [flags]  a quote (raw or hexadecimal) and its event log (JSON)

What is expected, each of which may be left out; the report then says "not asked":
`

// errUnverified ends the program where the report says all there is to say.
var errUnverified = errors.New("not verified")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case errors.Is(err, errUnverified):
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(2)
	}
}

// settings are what the flags say.
type settings struct {
	cvm, app, quote, log, text   string
	hash, kmsCA, nonce, statuses string
	collateral                   string
	json                         bool
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	flags := flag.NewFlagSet("verify", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	var s settings
	flags.StringVar(&s.cvm, "cvm", "", "verify the CVM of this `name` or id")
	flags.StringVar(&s.app, "app", "", "verify every instance of the app of this `id`")
	flags.StringVar(&s.quote, "quote", "", "verify the quote in this `file`")
	flags.StringVar(&s.log, "log", "", "`file` with the event log of -quote")
	flags.StringVar(&s.text, "compose", "", "`file` with the exact app-compose text of -quote")
	flags.StringVar(&s.hash, "hash", "", "expected compose `hash`, 64 hexadecimal digits")
	flags.StringVar(&s.kmsCA, "kms-ca", "", "expected root CA of the KMS, DER public `key` in hexadecimal")
	flags.StringVar(&s.nonce, "nonce", "", "`text` that the guest was asked to sign (report data)")
	flags.StringVar(&s.statuses, "tcb", "", "accepted TCB `statuses`, separated by commas; UpToDate alone by default")
	flags.StringVar(&s.collateral, "collateral", "", "`file` with collateral (JSON), instead of asking for it")
	flags.BoolVar(&s.json, "json", false, "print the reports as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("argument %q: want flags only, see -help", flags.Arg(0))
	}
	policy, err := s.policy()
	if err != nil {
		return err
	}
	reports, err := s.verify(ctx, policy, problems)
	if len(reports) == 0 {
		return err
	}
	if printErr := s.print(out, reports); printErr != nil {
		return printErr
	}
	if err != nil {
		fmt.Fprintf(problems, "\n%v\n", err)
		return errUnverified
	}
	return nil
}

// policy is what the flags expect.
func (s *settings) policy() (attest.Policy, error) {
	var p attest.Policy
	if s.hash != "" {
		hash, err := compose.ParseHash(s.hash)
		if err != nil {
			return p, err
		}
		p.ComposeHashes = []compose.Hash{hash}
	}
	if s.kmsCA != "" {
		key, err := attest.ParseKMSRootCA(s.kmsCA)
		if err != nil {
			return p, err
		}
		p.KMSRootCAs = [][]byte{key}
	}
	if s.nonce != "" {
		data, err := attest.RawReportData([]byte(s.nonce))
		if err != nil {
			return p, err
		}
		p.ReportData = &data
	}
	for _, status := range strings.FieldsFunc(s.statuses, func(r rune) bool { return r == ',' }) {
		p.TCBStatuses = append(p.TCBStatuses, attest.TCBStatus(status))
	}
	if s.collateral != "" {
		data, err := os.ReadFile(s.collateral)
		if err != nil {
			return p, err
		}
		collateral, err := attest.ParseCollateral(data)
		if err != nil {
			return p, err
		}
		p.Collateral = attest.OfflineCollateral(collateral)
	}
	return p, p.Validate()
}

// verify finds the evidence that the flags name.
func (s *settings) verify(ctx context.Context, policy attest.Policy, problems io.Writer) ([]*attest.Report, error) {
	named := 0
	for _, name := range []string{s.cvm, s.app, s.quote} {
		if name != "" {
			named++
		}
	}
	switch {
	case named > 1:
		return nil, errors.New("-cvm, -app and -quote exclude one another")
	case s.quote != "":
		evidence, err := attest.FromFiles(s.quote, s.log, s.text)
		if err != nil {
			return nil, err
		}
		if policy.Collateral == nil {
			policy.Collateral = attest.IntelPCS(nil)
		}
		return attest.VerifyAll(ctx, []attest.Evidence{evidence}, policy)
	case s.cvm != "" || s.app != "":
		c, err := client.New()
		if err != nil {
			return nil, err
		}
		return verifyRunning(ctx, c, s.cvm, s.app, policy)
	}
	return verifyEmbedded(ctx, policy, problems)
}

// verifyRunning verifies one CVM, or all of an app.
func verifyRunning(ctx context.Context, c *client.Client, cvm, appID string, policy attest.Policy) ([]*attest.Report, error) {
	if cvm != "" {
		instance, err := verify.CVM(ctx, c, cvm, policy)
		if instance == nil || instance.Report == nil {
			return nil, err
		}
		return []*attest.Report{instance.Report}, err
	}
	app, err := kms.ParseAppID(appID)
	if err != nil {
		return nil, err
	}
	result, err := verify.App(ctx, c, app, policy)
	if result == nil {
		return nil, err
	}
	var reports []*attest.Report
	for _, instance := range result.Instances {
		if instance.Report != nil {
			reports = append(reports, instance.Report)
		}
	}
	return reports, err
}

// verifyEmbedded deploys an app to an embedded cloud, whose hardware has a root of its own, and verifies that.
func verifyEmbedded(ctx context.Context, policy attest.Policy, problems io.Writer) ([]*attest.Report, error) {
	cloud, err := phalatest.Start()
	if err != nil {
		return nil, err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return nil, err
	}
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return nil, err
	}
	result, err := deploy.Run(ctx, c, deploy.Spec{Name: "verify", Compose: app}, deploy.SkipVerification())
	if err != nil {
		return nil, err
	}
	known := cloud.AttestationPolicy()
	known.ReportData, known.TCBStatuses = policy.ReportData, policy.TCBStatuses
	if known.ComposeHashes = policy.ComposeHashes; known.ComposeHashes == nil {
		known.ComposeHashes = []compose.Hash{result.State.ComposeHash}
	}
	if policy.KMSRootCAs != nil {
		known.KMSRootCAs = policy.KMSRootCAs
	}
	fmt.Fprintln(problems, "On an embedded Phala Cloud; see -help for CVMs and files.")
	return verifyRunning(ctx, c, result.State.CVM, "", known)
}

func (s *settings) print(out io.Writer, reports []*attest.Report) error {
	if s.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(reports)
	}
	for _, report := range reports {
		table(out, report)
	}
	return nil
}

// table has a line for every check, also for what was not asked.
func table(out io.Writer, report *attest.Report) {
	verdict := "✗ NOT VERIFIED"
	if report.Verified {
		verdict = "✓ verified"
	}
	fmt.Fprintf(out, "\n%s  %s\n\n", verdict, printable(report.Name))
	marks := map[attest.Outcome]string{attest.Passed: "✓", attest.Failed: "✗", attest.NotPossible: "?", attest.NotAsked: "–"}
	for _, check := range report.Checks {
		what := check.Detail
		if what == "" {
			what = check.Actual
		}
		line := fmt.Sprintf("  %s %-16s %-12s %s", marks[check.Outcome], check.Name, check.Outcome, shorten(what))
		fmt.Fprintln(out, strings.TrimRight(line, " "))
		if check.Outcome == attest.Failed && check.Expected != "" {
			fmt.Fprintf(out, "  %-31s expected %s\n  %-31s actual   %s\n", "", printable(check.Expected), "", printable(check.Actual))
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
	const most = 80
	r := []rune(printable(text))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}
