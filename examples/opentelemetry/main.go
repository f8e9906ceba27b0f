// Command opentelemetry traces the calls of a client: a span for each call, around its retries, under the span of
// the work that makes them. It works without an account, against a fake cloud, and prints the spans.
//
//	go -C examples/opentelemetry run .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/trace"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/phalatest"
)

func main() {
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "opentelemetry prints the spans of some calls to an embedded cloud. It has no flags.")
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "opentelemetry takes no argument, got %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "opentelemetry:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	exporter, err := stdouttrace.New(stdouttrace.WithWriter(out), stdouttrace.WithPrettyPrint())
	if err != nil {
		return err
	}
	provider := trace.NewTracerProvider(trace.WithBatcher(exporter))
	defer func() { _ = provider.Shutdown(context.WithoutCancel(ctx)) }()
	cloud, err := phalatest.Start()
	if err != nil {
		return err
	}
	defer cloud.Close()
	tracer := provider.Tracer("example")
	c, err := cloud.Client(client.WithMiddleware(tracing(tracer)))
	if err != nil {
		return err
	}
	return inventory(ctx, tracer, c)
}

// inventory is some work that makes calls: it counts the CVMs and asks for one that does not exist.
func inventory(ctx context.Context, tracer oteltrace.Tracer, c *client.Client) error {
	ctx, span := tracer.Start(ctx, "inventory")
	defer span.End()
	for _, err := range c.CVMs.All(ctx, nil) {
		if err != nil {
			return err
		}
	}
	if _, err := c.CVMs.Get(ctx, "no-such-cvm"); !errors.Is(err, client.ErrNotFound) {
		return fmt.Errorf("want not found, got: %w", err)
	}
	return nil
}
