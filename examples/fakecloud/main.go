// Command fakecloud serves phalatest on an address, for clients in any language.
//
//	go run ./examples/fakecloud -addr 127.0.0.1:8787
//
// It prints the environment that points the official SDKs and CLI, and this one, to it, and then each request
// that it gets. What it knows is gone when it ends.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/phala-go/phala/phalatest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "fakecloud:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "fakecloud:", err)
		os.Exit(1)
	}
}

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

// run serves until ctx ends.
func run(ctx context.Context, args []string, out, log io.Writer) error {
	flags := flag.NewFlagSet("fakecloud", flag.ContinueOnError)
	flags.SetOutput(log)
	addr := flags.String("addr", "127.0.0.1:8787", "`address` to listen on")
	key := flags.String("key", "phak_test", "API `key` to accept")
	tick := flags.Duration("tick", time.Second, "`time` of one step in the life of a CVM; booting takes three")
	certificate := flags.String("tls", "", "serve https, and write the certificate to trust to this `file`")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: argument %q, want flags only", errUsage, flags.Arg(0))
	}

	cloud, err := phalatest.Start(
		phalatest.WithAPIKey(*key), phalatest.WithTick(*tick), phalatest.WithLocalWebhooks(), phalatest.WithRequestLog(0),
		phalatest.WithLogger(slog.New(slog.NewTextHandler(log, nil))),
	)
	if err != nil {
		return err
	}
	defer cloud.Close()

	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *addr)
	if err != nil {
		return err
	}
	scheme, trust := "http", ""
	if *certificate != "" {
		own, err := selfSigned(*certificate)
		if err != nil {
			return err
		}
		scheme, trust = "https", fmt.Sprintf("export SSL_CERT_FILE=%[1]s\nexport NODE_EXTRA_CA_CERTS=%[1]s\n", *certificate)
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2", "http/1.1"}})
	}
	fmt.Fprintf(out, "%sexport PHALA_CLOUD_API_KEY=%s\nexport PHALA_CLOUD_API_PREFIX=%s://%s/api/v1\n", trust, *key, scheme, reachable(listener.Addr()))
	return serve(ctx, listener, cloud)
}

// serve answers until ctx ends, and with it every stream.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// reachable is the address that a client on this machine connects to.
func reachable(addr net.Addr) string {
	at, err := netip.ParseAddrPort(addr.String())
	if err != nil || !at.Addr().IsUnspecified() {
		return addr.String()
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port()).String()
}
