// Command proofpage serves the live report of an app under /proof: what the hardware proves, as a page for people, as
// JSON for machines, and as evidence to download. See package proof for the handler that a service mounts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/examples/proofpage/proof"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

const usage = `proofpage serves what the hardware proves of an app.

usage:
  proofpage                            three answers about an app on an embedded cloud, then it ends
  proofpage -listen 127.0.0.1:8080     the same app until Ctrl-C
  proofpage -out page.html             the page as a file
  proofpage -cloud -app ID -listen …   an app on Phala Cloud; it costs nothing, and needs no API key if the app shows
                                       its attestation

It ends with 0, with 1 if something failed, and with 2 for wrong flags.

`

const dockerCompose = "services:\n  web:\n    image: nginx:1.29\n    ports: [\"80:80\"]\n"

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

// settings are the flags.
type settings struct {
	listen, out      string
	cloud, tamper    bool
	app, hash, image string
	interval         time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "proofpage:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "proofpage:", err)
		os.Exit(1)
	}
}

func parse(args []string, problems io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("proofpage", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&s.listen, "listen", "", "serve on this `address` until Ctrl-C")
	flags.StringVar(&s.out, "out", "", "write the page to this `file`")
	flags.BoolVar(&s.cloud, "cloud", false, "show an app on Phala Cloud, with -app")
	flags.BoolVar(&s.tamper, "tamper", false, "let the embedded cloud boot another document than the one that is expected")
	flags.StringVar(&s.app, "app", "", "`id` of the app, 40 hexadecimal digits")
	flags.StringVar(&s.hash, "hash", "", "expected compose `hash`, 64 hexadecimal digits")
	flags.StringVar(&s.image, "image", "", "`hash` of the operating system image that may run")
	flags.DurationVar(&s.interval, "interval", time.Minute, "shortest `time` between two verifications")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	case s.cloud != (s.app != ""):
		return nil, fmt.Errorf("%w: -cloud and -app go together", errUsage)
	case !s.cloud && (s.hash != "" || s.image != ""), s.cloud && s.tamper:
		return nil, fmt.Errorf("%w: -hash and -image are for -cloud, -tamper is for the embedded one", errUsage)
	}
	return &s, nil
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	s, err := parse(args, problems)
	if err != nil {
		return err
	}
	verifyApp, closing, err := s.source(ctx)
	if err != nil {
		return err
	}
	defer closing()
	mux := http.NewServeMux()
	mux.Handle("/proof", proof.Handler(verifyApp, s.interval))
	switch {
	case s.listen != "":
		return serve(ctx, s.listen, mux, out)
	case s.out != "":
		return os.WriteFile(s.out, get(ctx, mux, "/proof").Body.Bytes(), 0o600)
	}
	for _, form := range []string{"/proof", "/proof?format=json", "/proof?format=bundle"} {
		answer := get(ctx, mux, form)
		fmt.Fprintf(out, "GET %-22s %d %s, %d bytes\n", form, answer.Code, answer.Header().Get("Content-Type"), answer.Body.Len())
	}
	fmt.Fprintln(out, "\nTo see the page: go run ./examples/proofpage -listen 127.0.0.1:8080")
	return nil
}

// source is where the report comes from.
func (s *settings) source(ctx context.Context) (func(context.Context) (*verify.Result, error), func(), error) {
	if !s.cloud {
		return embedded(ctx, s.tamper)
	}
	app, err := kms.ParseAppID(s.app)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: -app: %w", errUsage, err)
	}
	var policy attest.Policy
	if s.hash != "" {
		hash, err := compose.ParseHash(s.hash)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: -hash: %w", errUsage, err)
		}
		policy.ComposeHashes = []compose.Hash{hash}
	}
	if s.image != "" {
		if policy.Images, err = osimage.ByHash(s.image); err != nil {
			return nil, nil, fmt.Errorf("%w: -image: %w", errUsage, err)
		}
	}
	c, err := client.New()
	if err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context) (*verify.Result, error) { return verify.App(ctx, c, app, policy) }, func() {}, nil
}

// embedded deploys an app on a cloud in this process.
func embedded(ctx context.Context, tamper bool) (func(context.Context) (*verify.Result, error), func(), error) {
	cloud, err := phalatest.Start(phalatest.WithSeed("proofpage"))
	if err != nil {
		return nil, nil, err
	}
	fail := func(err error) (func(context.Context) (*verify.Result, error), func(), error) {
		cloud.Close()
		return nil, nil, err
	}
	c, err := cloud.Client()
	if err != nil {
		return fail(err)
	}
	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return fail(err)
	}
	if tamper {
		cloud.BootInstead("web-1", func(s *quotetest.Spec) { s.AppCompose += " " })
	}
	app, err := deploy.Run(ctx, c, deploy.Spec{Name: "web-1", Compose: doc}, deploy.SkipVerification(), deploy.WithTeamWallet(cloud.TeamWallet()))
	if err != nil {
		return fail(err)
	}
	policy := cloud.AttestationPolicy()
	policy.ComposeHashes = []compose.Hash{app.ComposeHash}
	return func(ctx context.Context) (*verify.Result, error) { return verify.App(ctx, c, app.ID, policy) }, cloud.Close, nil
}

func get(ctx context.Context, handler http.Handler, path string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil))
	return answer
}

// serve listens until ctx ends.
func serve(ctx context.Context, address string, handler http.Handler, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	fmt.Fprintf(out, "http://%s/proof\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
