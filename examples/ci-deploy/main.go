// Command ci-deploy deploys or updates an app from a CI job: everything comes from the environment, and one JSON object
// goes to the standard output.
//
//	go run ./examples/ci-deploy       a deployment, an update and a run without a change on an embedded cloud
//
// With DEPLOY_NAME set it works on Phala Cloud; see -h.
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
	"syscall"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
)

const usage = `ci-deploy deploys or updates an app: it reads the environment and writes one JSON object.

  PHALA_CLOUD_API_KEY    the API key
  DEPLOY_NAME            the name of the CVM; without it three jobs run on an embedded cloud
  DEPLOY_COMPOSE         the docker-compose file (docker-compose.yml)
  DEPLOY_PRE_LAUNCH      a file with the pre-launch script; without one the platform adds its own
  DEPLOY_SECRETS         names of variables of this environment that are the secrets, separated by commas
  DEPLOY_ANCHOR          the file of the anchor (NAME.app.json): there, the app is updated, else it is deployed. Keep it, as
                         a file of the repository or an artifact
  DEPLOY_INSTANCE_TYPE   the size (tdx.small)
  DEPLOY_KMS_ROOT        the root key of the KMS, hexadecimal (that of Phala's central KMS)
  DEPLOY_FORCE           1: update also if the document is the same, for instance after a change of a secret
  DEPLOY_TIMEOUT         how long it may take (20m)

Beside the anchor stands the file of a deployment or update that did not finish; the next run goes on from it.

Exit codes: 0 deployed, updated or unchanged, and verified · 2 the environment cannot be used, nothing was sent · 3 the cloud
refused · 4 the cloud's answer is not what was computed here · 5 the CVM does not boot · 6 the hardware does not prove it ·
7 ended before it was done.
`

// The exit codes, the same as those of quickstart.
const (
	exitInput      = 2
	exitAPI        = 3
	exitMismatch   = 4
	exitBoot       = 5
	exitUnverified = 6
	exitStopped    = 7
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run returns the exit code. It takes further options for the real cloud: the hardware of a test's cloud is not Intel's.
func run(ctx context.Context, args []string, getenv func(string) string, out, problems io.Writer, opts ...deploy.Option) int {
	flags := flag.NewFlagSet("ci-deploy", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() { fmt.Fprint(problems, usage) }
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return exitInput
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(problems, "ci-deploy takes no argument, got %q; see -h\n", flags.Arg(0))
		return exitInput
	}
	if getenv("DEPLOY_NAME") == "" {
		return demonstrate(ctx, out, problems)
	}
	j, err := newJob(getenv, problems)
	if err == nil {
		err = j.connect(ctx, getenv)
	}
	if err != nil {
		return write(out, &answer{Name: getenv("DEPLOY_NAME")}, err)
	}
	j.opts = append(j.opts, opts...)
	ctx, cancel := context.WithTimeout(ctx, j.timeout)
	defer cancel()
	result, err := j.run(ctx)
	return write(out, result, err)
}

// connect opens Phala Cloud, and prints what the CVM costs.
func (j *job) connect(ctx context.Context, getenv func(string) string) error {
	c, err := client.New()
	if err != nil {
		return err
	}
	key := getenv("DEPLOY_KMS_ROOT")
	if key == "" {
		key = kms.PhalaCentralRootKey
	}
	root, err := kms.ParseRootKey(key)
	if err != nil {
		return fmt.Errorf("DEPLOY_KMS_ROOT: %w", err)
	}
	j.client, j.appID, j.opts = c, deploy.TrustAppIDFromCloud(), []deploy.Option{deploy.WithKMSRoot(root)}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	families, err := c.InstanceTypes.List(ctx)
	if err != nil {
		return err
	}
	for _, family := range families.Result {
		for _, size := range family.Items {
			if string(size.ID) == j.spec.InstanceType {
				fmt.Fprintf(j.log, "%s costs %s USD an hour until it is deleted\n", size.ID, size.HourlyRate)
			}
		}
	}
	return nil
}

// answer is what the program writes.
type answer struct {
	Action      string              `json:"action,omitempty"` // deployed, updated, unchanged
	Name        string              `json:"name"`
	AppID       string              `json:"app_id,omitempty"`
	ComposeHash string              `json:"compose_hash,omitempty"`
	CVMs        []string            `json:"cvms,omitempty"`
	URLs        []string            `json:"urls,omitempty"`
	Verified    bool                `json:"verified"`
	Comparisons []deploy.Comparison `json:"comparisons,omitempty"`
	Anchor      string              `json:"anchor,omitempty"`
	// Error and Kind are there if it failed; Resume is the file from which the next run goes on.
	Error  string `json:"error,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Resume string `json:"resume,omitempty"`
}

// write writes the answer and returns the exit code.
func write(out io.Writer, a *answer, err error) int {
	code := 0
	if err != nil {
		a.Error = err.Error()
		a.Kind, code = kind(err)
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(a); err != nil {
		return exitStopped
	}
	return code
}

// kind names an error for machines.
func kind(err error) (string, int) {
	var mismatch *deploy.MismatchError
	var boot *deploy.BootError
	var unverified *deploy.VerificationError
	var timeout *deploy.TimeoutError
	var api *client.APIError
	switch {
	case errors.As(err, &unverified), errors.Is(err, errUnverified):
		return "unverified", exitUnverified
	case errors.As(err, &mismatch):
		return "mismatch", exitMismatch
	case errors.As(err, &boot):
		return "boot", exitBoot
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout):
		return "stopped", exitStopped
	case errors.As(err, &api):
		return "api", exitAPI
	}
	return "input", exitInput
}
