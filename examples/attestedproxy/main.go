// Command attestedproxy lets programs in any language talk to one app alone: it listens on this machine, and forwards
// what it receives only after the hardware has proven that the other end is that app.
//
//	go run ./examples/attestedproxy                                     a demonstration against forged hardware
//	go run ./examples/attestedproxy -app ID -hash HASH -image HASH \
//		-to https://ID-8443s.dstack-prod5.phala.network
//	curl http://127.0.0.1:8443/
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/verify"
)

const usage = `attestedproxy forwards what it receives on this machine to one verified app.

usage:
  attestedproxy                                              a demonstration against forged hardware, then it ends
  attestedproxy -app ID -hash HASH -image HASH -to URL       until Ctrl-C; it needs no API key and costs nothing

It ends with 0 after Ctrl-C, with 1 if something failed, with 2 for wrong flags.

`

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "attestedproxy:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "attestedproxy:", err)
		os.Exit(1)
	}
}

// settings are the values of the flags.
type settings struct {
	listen, to, app, hash, images, measurements, waive string
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	var s settings
	flags := flag.NewFlagSet("attestedproxy", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&s.listen, "listen", "127.0.0.1:8443", "loopback `address` to listen on")
	flags.StringVar(&s.to, "to", "", "`URL` of the app: https, at a port where the gateway passes TLS through")
	flags.StringVar(&s.app, "app", "", "expected app `id`")
	flags.StringVar(&s.hash, "hash", "", "expected compose `hash`es, separated by commas")
	flags.StringVar(&s.images, "image", "", "`hashes` of the operating system images that may run, separated by commas")
	flags.StringVar(&s.measurements, "measurements", "", "`file` with the known good measurements: a JSON list of {\"Name\",\"MRTD\",\"RTMR0\",\"RTMR1\",\"RTMR2\"}")
	flags.StringVar(&s.waive, "waive", "", "`checks` that may fail, separated by commas, such as measurements")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	}
	if s.to == "" && s.app == "" {
		return demonstrate(ctx, out)
	}
	p, err := s.proxy()
	if err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return serve(ctx, s.listen, p, out, problems)
}

// proxy makes the proxy that the flags describe.
func (s *settings) proxy() (*proxy, error) {
	to, err := url.Parse(s.to)
	if err != nil {
		return nil, err
	}
	app, err := kms.ParseAppID(s.app)
	if err != nil {
		return nil, err
	}
	var policy attest.Policy
	for _, text := range split(s.hash) {
		hash, err := compose.ParseHash(text)
		if err != nil {
			return nil, err
		}
		policy.ComposeHashes = append(policy.ComposeHashes, hash)
	}
	for _, name := range split(s.waive) {
		policy.Waive = append(policy.Waive, attest.CheckName(name))
	}
	if s.images != "" {
		if policy.Images, err = osimage.ByHash(split(s.images)...); err != nil {
			return nil, fmt.Errorf("-image: %w", err)
		}
	}
	if s.measurements != "" {
		data, err := os.ReadFile(s.measurements)
		if err == nil {
			err = json.Unmarshal(data, &policy.Measurements)
		}
		if err != nil {
			return nil, fmt.Errorf("measurements: %w", err)
		}
	}
	transport, err := verify.NewTransport(app, policy)
	if err != nil {
		return nil, err
	}
	return newProxy(to, transport)
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

// serve listens until ctx ends.
func serve(ctx context.Context, address string, p *proxy, out, problems io.Writer) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("-listen %q: must be a loopback address with a port, because what is sent to it is not encrypted yet", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(problems, "", 0)}
	stopped := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stopped()
	fmt.Fprintf(out, "http://%s is the app at %s\n", listener.Addr(), p.to)
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
