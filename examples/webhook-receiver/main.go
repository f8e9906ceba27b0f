// Command webhook-receiver receives the cloud's webhooks: each event once, also after a restart, and while the secret is
// being rotated.
//
//	go run ./examples/webhook-receiver                          deliveries of an embedded cloud, then it ends
//	PHALA_WEBHOOK_SECRETS=new,old go run ./examples/webhook-receiver -listen 127.0.0.1:8080 -handled handled.txt
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/phala-go/phala/webhook"
)

const usage = `webhook-receiver receives the cloud's webhooks, each event once.

usage:
  webhook-receiver                                       deliveries of an embedded cloud, then it ends
  webhook-receiver -listen ADDRESS [-secrets FILE] …     until Ctrl-C

The secrets are those of -secrets, one a line, or of PHALA_WEBHOOK_SECRETS, separated by commas; newest first. A signature
with any of them is good. SIGHUP reads the file again, so that a secret is rotated without a pause: add the new one, rotate
it in the cloud, take the old one out.

It ends with 0 after Ctrl-C, with 1 if something failed, with 2 for wrong flags.

`

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

type settings struct{ listen, path, secrets, handled string }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "webhook-receiver:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "webhook-receiver:", err)
		os.Exit(1)
	}
}

func parse(args []string, problems io.Writer) (*settings, error) {
	var s settings
	flags := flag.NewFlagSet("webhook-receiver", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&s.listen, "listen", "", "serve on this `address` until Ctrl-C")
	flags.StringVar(&s.path, "path", "/phala", "`path` of the webhook")
	flags.StringVar(&s.secrets, "secrets", "", "`file` with the secrets, one a line, newest first")
	flags.StringVar(&s.handled, "handled", "handled.txt", "`file` that remembers the events that were handled")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	}
	if !strings.HasPrefix(s.path, "/") {
		return nil, fmt.Errorf("%w: -path %q must begin with a slash", errUsage, s.path)
	}
	return &s, nil
}

func run(ctx context.Context, args []string, out, problems io.Writer) error {
	s, err := parse(args, problems)
	if err != nil {
		return err
	}
	if s.listen == "" {
		dir, err := os.MkdirTemp("", "webhook-receiver-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		return demonstrate(ctx, filepath.Join(dir, "handled.txt"), out)
	}
	secrets, err := s.readSecrets()
	if err != nil {
		return err
	}
	events := newQueue(func(_ context.Context, event webhook.Event) { describe(out, event) })
	defer events.close()
	receiver, closing, err := newReceiver(secrets, s.handled, events.add, slog.New(slog.NewTextHandler(problems, nil)))
	if err != nil {
		return err
	}
	defer closing()
	go s.reload(ctx, receiver, problems)
	mux := http.NewServeMux()
	mux.Handle(s.path, receiver)
	return serve(ctx, s.listen, mux, out)
}

// newReceiver returns a receiver that remembers in a file what was handled.
func newReceiver(secrets []string, file string, handle func(context.Context, webhook.Event) error, log *slog.Logger) (*webhook.Receiver, func(), error) {
	store, err := openStore(file)
	if err != nil {
		return nil, nil, err
	}
	receiver, err := webhook.Handler(secrets[0], handle, webhook.WithSecrets(secrets[1:]...), webhook.WithStore(store), webhook.WithLogger(log))
	if err != nil {
		store.Close()
		return nil, nil, err
	}
	return receiver, func() { store.Close() }, nil
}

func (s *settings) readSecrets() ([]string, error) {
	text := strings.ReplaceAll(os.Getenv("PHALA_WEBHOOK_SECRETS"), ",", "\n")
	if s.secrets != "" {
		file, err := os.ReadFile(s.secrets)
		if err != nil {
			return nil, err
		}
		text = string(file)
	}
	secrets := strings.Fields(text)
	if len(secrets) == 0 {
		return nil, errors.New("no secret: give -secrets, or set PHALA_WEBHOOK_SECRETS")
	}
	return secrets, nil
}

// reload reads the secrets again at each SIGHUP. If that fails, those from before stay.
func (s *settings) reload(ctx context.Context, receiver *webhook.Receiver, problems io.Writer) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			secrets, err := s.readSecrets()
			if err == nil {
				err = receiver.SetSecrets(secrets[0], secrets[1:]...)
			}
			if err != nil {
				fmt.Fprintln(problems, "the secrets stay as they are:", err)
				continue
			}
			fmt.Fprintf(problems, "%d secrets are accepted now\n", len(secrets))
		}
	}
}

// describe prints an event. The token of an approval is a secret and is not printed.
func describe(out io.Writer, event webhook.Event) {
	if cvm, err := event.Lifecycle(); err == nil {
		fmt.Fprintf(out, "%-22s cvm %q is %q %s\n", event.Type, cvm.CVMName, cvm.Status, cvm.Error)
		return
	}
	if approval, err := event.PendingApproval(); err == nil {
		fmt.Fprintf(out, "%-22s app %s waits for compose hash %s until %s\n", event.Type, approval.AppID, approval.ComposeHash, approval.ExpiresAt.Format(time.RFC3339))
		return
	}
	fmt.Fprintf(out, "%-22q of a type that this program does not know\n", event.Type)
}

func serve(ctx context.Context, address string, handler http.Handler, out io.Writer) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	stopped := context.AfterFunc(ctx, func() { // what is being answered is finished
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ctx)
	})
	defer stopped()
	fmt.Fprintf(out, "listening on http://%s; put TLS in front of it: the cloud posts to https only\n", listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
