package verify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
)

// ErrCrossOrigin is returned by a client of [Client] for a redirect that leaves the origin of the request.
var ErrCrossOrigin = errors.New("the redirect leaves the app")

// maxRedirects is that of net/http.
const maxRedirects = 10

// Client returns an HTTP client for one app alone, whatever name or address a URL has: a connection is used only
// after the hardware has proven that it ends in a CVM that fulfils policy. See [Transport] for the rules. The client
// follows a redirect only to the same scheme, host and port, and otherwise returns [ErrCrossOrigin].
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
		return fmt.Errorf("%w: from %.200q to %.200q", ErrCrossOrigin, first.Scheme+"://"+first.Host, next.URL.Scheme+"://"+next.URL.Host)
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

const (
	// handshakeTimeout limits one TLS handshake together with the verification, which may have to fetch collateral.
	handshakeTimeout = 30 * time.Second
	idleTimeout      = 90 * time.Second
	// maxIdle is high, because an idle connection costs less than a handshake.
	maxIdle = 64
)

// Transport is an [http.RoundTripper] for one app alone.
//
//   - It sends nothing but https, and dials directly: environment variables such as HTTPS_PROXY have no effect.
//   - Names and certificate authorities are not used. The quote in the peer's certificate must fulfil the policy and sign
//     the certificate's key, and the handshake proves that the peer has that key.
//   - Connections are kept and reused, also with HTTP/2. A certificate is verified once for all its connections.
//   - A verification lasts until the collateral or the certificate expires. It is renewed then, before another byte is
//     sent on an open connection; if it fails, the connection is closed.
//
// A policy for a Transport must expect compose hashes, and Images or Measurements, or waive these checks by name
// ([attest.CheckComposeHash], [attest.CheckMeasurements]): without a known operating system anybody with a TDX
// machine can measure any app. If the policy has no source of collateral, Intel is used ([attest.IntelPCS]).
//
// A Transport can be used by several goroutines at once.
type Transport struct {
	base  *http.Transport
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	peers *peers
}

// ClientOption configures [NewTransport] and [Client].
type ClientOption func(*Transport) error

// WithDial sets the function that opens connections, for tests and for networks that need a tunnel. Its connections
// are verified like all others.
func WithDial(dial func(ctx context.Context, network, address string) (net.Conn, error)) ClientOption {
	return func(t *Transport) error {
		if dial == nil {
			return fmt.Errorf("verify: %w: WithDial needs a function", ErrInput)
		}
		t.dial = dial
		return nil
	}
}

// WithReport sets a function that is called with the report of each verification, also of those that fail. Several
// goroutines may call it at once.
func WithReport(fn func(*attest.Report)) ClientOption {
	return func(t *Transport) error {
		if fn == nil {
			return fmt.Errorf("verify: %w: WithReport needs a function", ErrInput)
		}
		t.peers.report = fn
		return nil
	}
}

// NewTransport returns a transport for the app. Its errors are [attest.ErrPolicy].
func NewTransport(app kms.AppID, policy attest.Policy, opts ...ClientOption) (*Transport, error) {
	policy, err := forPeers(app, policy)
	if err != nil {
		return nil, fmt.Errorf("client of app %s: %w", app, err)
	}
	t := &Transport{
		dial:  (&net.Dialer{Timeout: handshakeTimeout, KeepAlive: 30 * time.Second}).DialContext,
		peers: &peers{policy: policy, known: map[fingerprint]*verification{}},
	}
	for _, o := range opts {
		if err := o(t); err != nil {
			return nil, err
		}
	}
	t.base = &http.Transport{
		DialTLSContext:      t.dialTLS,
		DialContext:         refusePlain,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        2 * maxIdle,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     idleTimeout,
	}
	return t, nil
}

// forPeers completes the policy of a transport.
func forPeers(app kms.AppID, policy attest.Policy) (attest.Policy, error) {
	if app.IsZero() {
		return policy, fmt.Errorf("%w: the app id is zero", attest.ErrPolicy)
	}
	if !policy.AppID.IsZero() && policy.AppID != app {
		return policy, fmt.Errorf("%w: it is for app %s", attest.ErrPolicy, policy.AppID)
	}
	policy.AppID = app
	if err := policy.Validate(); err != nil {
		return policy, err
	}
	if policy.ReportData != nil {
		return policy, fmt.Errorf("%w: it sets ReportData, which is the key of the certificate for a connection", attest.ErrPolicy)
	}
	for name, expected := range map[attest.CheckName]bool{
		attest.CheckComposeHash:  len(policy.ComposeHashes) > 0,
		attest.CheckMeasurements: len(policy.Images)+len(policy.Measurements) > 0,
	} {
		if !expected && !slices.Contains(policy.Waive, name) {
			return policy, fmt.Errorf("%w: it expects nothing of %q; expect something or waive the check by name", attest.ErrPolicy, name)
		}
	}
	for _, name := range []attest.CheckName{attest.CheckSignature, attest.CheckReportData, attest.CheckAppID} {
		if slices.Contains(policy.Waive, name) {
			return policy, fmt.Errorf("%w: %q cannot be waived for a connection", attest.ErrPolicy, name)
		}
	}
	if policy.Collateral == nil {
		policy.Collateral = attest.NewCollateralCache(attest.IntelPCS(nil)).Collateral
	}
	return policy, nil
}

// RoundTrip sends a request to the app, and nowhere else.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL == nil || r.URL.Scheme != "https" {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, fmt.Errorf("request to %.200q: %w: an app is reached by https alone", r.URL, ErrInput)
	}
	return t.base.RoundTrip(r)
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

func refusePlain(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("an app is reached by https alone")
}

// dialTLS opens a connection and verifies the other end of it.
func (t *Transport) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	plain, err := t.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	guarded := &guardedConn{Conn: plain}
	conn := tls.Client(guarded, &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2", "http/1.1"},
		ServerName: host,
		// The quote replaces names and authorities.
		InsecureSkipVerify: true,
	})
	if err := t.handshake(ctx, conn, guarded); err != nil {
		_ = plain.Close()
		return nil, fmt.Errorf("connection to %s: %w", address, err)
	}
	return conn, nil
}

func (t *Transport) handshake(ctx context.Context, conn *tls.Conn, guarded *guardedConn) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	certificates := conn.ConnectionState().PeerCertificates
	if len(certificates) == 0 {
		return fmt.Errorf("%w: the peer has no certificate", attest.ErrNotPossible)
	}
	peer := t.peers.of(certificates[0])
	if err := peer.renew(ctx); err != nil {
		return err
	}
	guarded.peer.Store(peer)
	return nil
}

// guardedConn sends nothing after the verification of its peer has ended, unless it can be renewed.
type guardedConn struct {
	net.Conn
	peer     atomic.Pointer[verification] // nil during the handshake
	deadline atomic.Pointer[time.Time]    // of writing
	failure  atomic.Pointer[error]        // why it was closed here
}

// Read returns the failure of the verification, rather than that the connection is closed.
func (c *guardedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if why := c.failure.Load(); err != nil && why != nil {
		err = *why
	}
	return n, err
}

func (c *guardedConn) Write(b []byte) (int, error) {
	peer := c.peer.Load()
	if peer == nil || peer.valid() {
		return c.Conn.Write(b)
	}
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	if d := c.deadline.Load(); d != nil && !d.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, *d)
		defer stop()
	}
	if err := peer.renew(ctx); err != nil {
		c.failure.Store(&err)
		_ = c.Conn.Close()
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *guardedConn) SetDeadline(d time.Time) error {
	c.deadline.Store(&d)
	return c.Conn.SetDeadline(d)
}

func (c *guardedConn) SetWriteDeadline(d time.Time) error {
	c.deadline.Store(&d)
	return c.Conn.SetWriteDeadline(d)
}
