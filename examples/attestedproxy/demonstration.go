package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// demonstrate talks through the proxy to an app on forged hardware, and then to an impostor with another compose file.
func demonstrate(ctx context.Context, out io.Writer) error {
	hardware, err := quotetest.New()
	if err != nil {
		return err
	}
	spec := quotetest.Spec{AppID: kms.AppID{1}, AppCompose: `{"name":"shop"}`}
	policy := hardware.Policy()
	policy.ComposeHashes = []compose.Hash{compose.Sum([]byte(spec.AppCompose))}
	policy.Waive = []attest.CheckName{attest.CheckMeasurements} // the forged hardware has none worth knowing
	transport, err := verify.NewTransport(spec.AppID, policy)
	if err != nil {
		return err
	}
	defer transport.CloseIdleConnections()
	fmt.Fprintln(out, "On forged hardware; see -help for a real app.")
	for _, text := range []string{spec.AppCompose, `{"name":"impostor"}`} {
		spec.AppCompose = text
		certificate, _, err := hardware.Certificate(spec)
		if err != nil {
			return err
		}
		if err := visit(ctx, certificate, transport, out); err != nil {
			return err
		}
	}
	return nil
}

// visit sends one request through a proxy to an app with this certificate.
func visit(ctx context.Context, certificate tls.Certificate, transport http.RoundTripper, out io.Writer) error {
	app := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the app received %s", r.Header.Get("Authorization"))
	}))
	app.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	app.Config.ErrorLog = log.New(io.Discard, "", 0)
	app.StartTLS()
	defer app.Close()
	to, err := url.Parse(app.URL)
	if err != nil {
		return err
	}
	p, err := newProxy(to, transport)
	if err != nil {
		return err
	}
	local := httptest.NewServer(p)
	defer local.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, local.URL, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer 123")
	resp, err := local.Client().Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Fprintf(out, "%s: %s\n", resp.Status, body)
	return err
}
