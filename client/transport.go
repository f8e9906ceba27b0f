package client

import (
	"net/http"
)

// maxIdlePerHost is the number of connections to the API that stay open between calls. net/http keeps two, so that 64
// goroutines over HTTP/1.1 open a new connection for every second call.
const maxIdlePerHost = 64

// maxHeader limits the header of a response in bytes, with all 1xx responses before it. net/http reads 10 MiB. The time
// until the header is complete is limited by the timeout of the attempt.
const maxHeader = 1 << 20

// transport is [http.DefaultTransport] with more idle connections and a lower limit for headers. If a program or a test
// replaces the default transport, before or after New, the replacement is used.
type transport struct {
	standard http.RoundTripper
	own      *http.Transport
}

func newTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil // net/http then uses the current default transport
	}
	own := standard.Clone()
	own.MaxIdleConnsPerHost = maxIdlePerHost
	own.MaxResponseHeaderBytes = maxHeader
	if own.MaxIdleConns > 0 {
		own.MaxIdleConns = max(own.MaxIdleConns, maxIdlePerHost)
	}
	return &transport{standard: standard, own: own}
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if http.DefaultTransport != t.standard {
		return http.DefaultTransport.RoundTrip(req)
	}
	return t.own.RoundTrip(req)
}

// CloseIdleConnections closes the idle connections; http.Client.CloseIdleConnections calls it.
func (t *transport) CloseIdleConnections() { t.own.CloseIdleConnections() }

// TransportError is returned if no complete response of the API arrived: the connection failed or broke, the attempt
// timed out, or the context ended. It is not known whether the work was done. The error contains no URL, because a query
// may contain a token.
type TransportError struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// Err is the cause. If a context ended, errors.Is reports its error.
	Err error
}

func (e *TransportError) Error() string { return e.Operation + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *TransportError) Unwrap() error { return e.Err }
