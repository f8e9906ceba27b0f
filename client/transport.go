package client

import "net/http"

// maxIdlePerHost is how many connections to the API stay open between calls. net/http keeps two, so that 64
// goroutines over HTTP/1.1 open a new connection for every second call.
const maxIdlePerHost = 64

// transport is [http.DefaultTransport] with more idle connections. If a program or a test puts another one in
// its place, before or after the client was made, that one is used.
type transport struct {
	standard http.RoundTripper
	own      *http.Transport
}

func newTransport() http.RoundTripper {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil // net/http then takes the default one of the moment
	}
	own := standard.Clone()
	own.MaxIdleConnsPerHost = maxIdlePerHost
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

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the connections.
func (t *transport) CloseIdleConnections() { t.own.CloseIdleConnections() }
