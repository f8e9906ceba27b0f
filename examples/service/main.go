// Command service is a small service as other projects have them: each customer gets a confidential sandbox. See package
// sandboxes.
//
//	go -C examples/service run .                                          a day of the service on an embedded cloud
//	go -C examples/service run . -cloud -listen 127.0.0.1:8080 -dir state on Phala Cloud, until Ctrl-C
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"example.com/service/sandboxes"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

const usage = `service deploys a confidential sandbox for each customer who asks for one.

usage:
  service                                        some requests to the service on an embedded cloud, then it ends
  service -cloud -listen ADDRESS -dir FOLDER     on Phala Cloud with PHALA_CLOUD_API_KEY, until Ctrl-C. Each sandbox costs
                                                 money until it is deleted; the price is printed first

PHALA_KMS_ROOT is the root key of the KMS; without it, it is that of Phala's central KMS. The program ends with 0, with 1 if
something failed, with 2 for wrong flags. After Ctrl-C the folder has what exists; deployments that were under way go on with
the next start.

`

var errUsage = errors.New("wrong flags")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

// run takes further options for the real cloud: the hardware of a test's cloud is not Intel's.
func run(ctx context.Context, args []string, out, problems io.Writer, opts ...deploy.Option) error {
	flags := flag.NewFlagSet("service", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	cloud := flags.Bool("cloud", false, "use Phala Cloud; costs money")
	listen := flags.String("listen", "", "serve on this `address` until Ctrl-C, with -cloud")
	dir := flags.String("dir", "", "`folder` for what must survive, with -cloud")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	switch given := *listen != "" && *dir != ""; {
	case flags.NArg() > 0:
		return fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	case *cloud != given, !*cloud && (*listen != "" || *dir != ""):
		return fmt.Errorf("%w: -cloud, -listen and -dir go together", errUsage)
	}
	if !*cloud {
		return demonstrate(ctx, out)
	}
	return onCloud(ctx, *listen, *dir, out, problems, opts)
}

func onCloud(ctx context.Context, listen, dir string, out, problems io.Writer, opts []deploy.Option) error {
	c, err := client.New()
	if err != nil {
		return err
	}
	families, err := c.InstanceTypes.List(ctx)
	if err != nil {
		return err
	}
	for _, family := range families.Result {
		for _, size := range family.Items {
			fmt.Fprintf(out, "%q: %s USD an hour\n", size.ID, size.HourlyRate)
		}
	}
	root, err := kms.ParseRootKey(cmp.Or(os.Getenv("PHALA_KMS_ROOT"), kms.PhalaCentralRootKey))
	if err != nil {
		return fmt.Errorf("PHALA_KMS_ROOT: %w", err)
	}
	log := slog.New(slog.NewTextHandler(problems, nil))
	service, err := sandboxes.New(c, dir, log, append([]deploy.Option{deploy.WithKMSRoot(root), deploy.TrustAppIDFromCloud()}, opts...)...)
	if err != nil {
		return err
	}
	defer service.Close()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: service, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	fmt.Fprintf(out, "http://%s\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	fmt.Fprintf(out, "the sandboxes go on running; %s has what exists\n", dir)
	return nil
}

// demonstrate sends some requests.
func demonstrate(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "service-")
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
	service, err := sandboxes.New(c, dir, slog.New(slog.DiscardHandler),
		deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy()))
	if err != nil {
		return err
	}
	defer service.Close()
	call := func(method, path string) string {
		r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(url.Values{"token": {"hunter2"}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	fmt.Fprintln(out, "POST   /sandboxes/no       ", call("POST", "/sandboxes/no"))
	fmt.Fprintln(out, "POST   /sandboxes/alice-1  ", call("POST", "/sandboxes/alice-1"))
	for {
		answer := call("GET", "/sandboxes/alice-1")
		if !strings.Contains(answer, "deploying") {
			fmt.Fprintln(out, "GET    /sandboxes/alice-1  ", answer)
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	fmt.Fprintln(out, "DELETE /sandboxes/alice-1  ", call("DELETE", "/sandboxes/alice-1"))
	fmt.Fprintln(out, "GET    /sandboxes/alice-1  ", call("GET", "/sandboxes/alice-1"))
	return nil
}
