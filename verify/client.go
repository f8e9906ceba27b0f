package verify

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
)

// ErrRedirect is returned by a client of [Client] for a redirect that leaves the origin of the request.
var ErrRedirect = errors.New("the redirect leaves the app")

// maxRedirects is that of net/http.
const maxRedirects = 10

// Client returns an HTTP client for one app alone, whatever name or address a URL has: a connection is used only
// after the hardware has proven that it ends in a CVM that fulfils policy. See [Transport] for the rules. The client
// follows a redirect only to the same scheme, host and port, and otherwise returns [ErrRedirect].
//
//	c, err := verify.Client(app, attest.Policy{ComposeHashes: []compose.Hash{hash}, Images: images})
//	resp, err := c.Get("https://" + app.String() + "-8443s.example.phala.network/")
//
// The app must listen on a port with the suffix "s", where the gateway passes TLS through, and have a certificate
// with its quote (RA-TLS).
func Client(app kms.AppID, policy attest.Policy, opts ...ClientOption) (*http.Client, error) {
	t, err := NewTransport(app, policy, opts...)
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}, nil
}

func checkRedirect(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	if next.URL.Scheme != first.Scheme || origin(next.URL) != origin(first) {
		return fmt.Errorf("%w: from %.200q to %.200q", ErrRedirect, first.Scheme+"://"+first.Host, next.URL.Scheme+"://"+next.URL.Host)
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("%d redirects in a row", maxRedirects)
	}
	return nil
}

// origin returns host and port.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return strings.ToLower(u.Hostname()) + " " + port
}
