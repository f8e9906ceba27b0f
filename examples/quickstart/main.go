// Command quickstart deploys the docker-compose.yml beside it, with two secrets, follows it until it runs, and
// has the hardware prove what it is that runs. Without an account it does so on an embedded Phala Cloud; with PHALA_CLOUD_API_KEY set, on the real
// one.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
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
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		var unverified *deploy.VerificationError
		if errors.As(err, &unverified) && unverified.Report != nil {
			section("NOT proven by the hardware")
			showReport(unverified.Report)
		}
		fmt.Fprintln(os.Stderr, "\n✗", explain(err))
		os.Exit(exitCode(err))
	}
}

func run(ctx context.Context) error {
	c, opts, after, err := connect()
	if err != nil {
		return err
	}
	defer after.close()

	env, err := compose.ReadEnv(bytes.NewReader(envFile))
	if err != nil {
		return err
	}
	used, err := compose.EnvNames(dockerCompose)
	if err != nil {
		return err
	}
	app, err := compose.New(dockerCompose, compose.WithPreLaunchScript(preLaunchScript))
	if err != nil {
		return err
	}
	spec := deploy.Spec{Name: "quickstart", Compose: app, Env: env, InstanceType: "tdx.small"}
	if err := after.chooseAppID(ctx, c, &spec); err != nil {
		return err
	}

	section("Here, before anything is sent")
	line("docker-compose.yml", fmt.Sprintf("%d bytes, wants %s", len(dockerCompose), strings.Join(used, " and ")))
	line(".env", fmt.Sprintf("%d secrets", len(env)))
	if spec.AppID != nil {
		line("app id", fmt.Sprintf("%s (nonce %d of the team wallet)", spec.AppID, *spec.Nonce))
	}

	section("Deploying")
	result, err := deploy.Run(ctx, c, spec, append(opts, deploy.WithProgress(show))...)
	if err != nil {
		return err
	}

	section("Proven by the hardware")
	if result.Report != nil {
		showReport(result.Report)
	} else {
		line("nothing", result.Checks[len(result.Checks)-1].Reason)
	}

	section("Running")
	checked := make([]string, len(result.Checks))
	for i, check := range result.Checks {
		checked[i] = fmt.Sprintf("%s %s", check.Name, check.Outcome)
	}
	line("checked", strings.Join(checked, ", "))
	line("cvm", fmt.Sprintf("%s (%s)", result.CVM.Name, result.CVM.ID))
	for _, url := range result.URLs {
		line("url", url)
	}
	return after.report(result)
}

// connect returns a client of the real cloud where there is an API key, else of an embedded one.
func connect() (*client.Client, []deploy.Option, *ending, error) {
	if os.Getenv("PHALA_CLOUD_API_KEY") != "" {
		section("Phala Cloud")
		c, err := client.New()
		if root := os.Getenv("PHALA_KMS_ROOT"); root != "" && err == nil {
			signer, err := kms.ParseSigner(root)
			return c, []deploy.Option{deploy.WithKMSRoot(signer)}, &ending{}, err
		}
		line("note", "PHALA_KMS_ROOT is not set, so the KMS root key is the cloud's own word")
		return c, []deploy.Option{deploy.TrustKMSRootFromCloud()}, &ending{}, err
	}
	section("Embedded Phala Cloud (set PHALA_CLOUD_API_KEY to use the real one)")
	cloud, err := phalatest.Start(phalatest.WithTick(40 * time.Millisecond))
	if err != nil {
		return nil, nil, nil, err
	}
	c, err := client.New(client.WithAPIKey(cloud.APIKey), client.WithBaseURL(cloud.URL()))
	if err != nil {
		cloud.Close()
		return nil, nil, nil, err
	}
	line("listening on", cloud.URL())
	return c, []deploy.Option{
		deploy.WithKMSRoot(cloud.KMSRoot()),
		deploy.WithVerification(cloud.AttestationPolicy()),
		deploy.WithTeamWallet(cloud.TeamWallet()),
	}, &ending{cloud: cloud}, nil
}

// ending is what differs at the end of the embedded cloud and of the real one.
type ending struct{ cloud *phalatest.Server }

func (e *ending) close() {
	if e.cloud != nil {
		e.cloud.Close()
	}
}

// chooseAppID asks for the next app id, so that it is known, and can be derived, before provisioning.
func (e *ending) chooseAppID(ctx context.Context, c *client.Client, spec *deploy.Spec) error {
	next, err := c.KMS.GetNextAppIDs(ctx, nil)
	if err != nil {
		return err
	}
	if len(next.AppIDs) == 0 {
		return errors.New("the cloud named no next app id")
	}
	id, err := kms.ParseAppID(next.AppIDs[0].AppID)
	if err != nil {
		return err
	}
	nonce := uint64(next.AppIDs[0].Nonce)
	spec.AppID, spec.Nonce = &id, &nonce
	return nil
}

// report shows what only an embedded cloud can tell: that the guest could read the secrets.
func (e *ending) report(result *deploy.Result) error {
	if e.cloud == nil {
		return nil
	}
	env, err := e.cloud.Env(result.State.CVM)
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
	case deploy.CheckEvent:
		showCheck(e.Check)
	case deploy.EncryptedEvent:
		line("→ encrypted", fmt.Sprintf("%s into %d bytes", strings.Join(e.Names, ", "), e.Bytes))
	case deploy.CreatedEvent:
		line("→ created", "cvm "+e.CVM)
	case deploy.StateEvent:
		line("→ state", e.String())
	}
}

func showCheck(check deploy.Check) {
	mark := map[deploy.Outcome]string{deploy.Passed: "✓", deploy.Waived: "!", deploy.NotPossible: "–", deploy.NotNeeded: "–"}[check.Outcome]
	switch {
	case check.Local != "" && check.Remote != "":
		line(mark+" "+check.Name, "here  "+check.Local)
		line("", "cloud "+check.Remote)
	default:
		line(mark+" "+check.Name, string(check.Outcome))
	}
	if check.Reason != "" {
		line("", check.Reason)
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
		return fmt.Sprintf("%v\n  It exists and runs. Delete it, unless what the report says is acceptable to you; a policy can accept it by name.", unverified)
	case errors.As(err, &mismatch):
		return fmt.Sprintf("the cloud's %s is not the one computed here; nothing more was sent.\n  here  %s\n  cloud %s", mismatch.What, mismatch.Local, mismatch.Remote)
	case errors.As(err, &boot):
		return fmt.Sprintf("%v\n  It exists: look at its logs, or delete it.", boot)
	case errors.Is(err, client.ErrConflict):
		return fmt.Sprintf("%v\n  Delete the CVM named quickstart of an earlier run first.", err)
	case errors.Is(err, client.ErrUnauthorized):
		return "PHALA_CLOUD_API_KEY was refused: " + err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "not running after 15 minutes: " + err.Error()
	}
	return err.Error()
}

func exitCode(err error) int {
	var mismatch *deploy.MismatchError
	var boot *deploy.BootError
	var unverified *deploy.VerificationError
	var api *client.APIError
	switch {
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
