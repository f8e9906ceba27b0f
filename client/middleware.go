package client

import (
	"errors"
	"net/http"
)

// RoundTrip sends one request and returns its answer, as an http.RoundTripper does.
type RoundTrip func(*http.Request) (*http.Response, error)

// Middleware wraps a call, outside of its retries. operation is the method that is called, such as "CVMs.Get",
// or verb and path for what [Client.Do] sends and the SDK does not describe. It may change the request, its
// context and the answer, but not the host. It calls next once, or not at all.
type Middleware func(operation string, req *http.Request, next RoundTrip) (*http.Response, error)

// WithMiddleware wraps each call; the first one given is the outermost, those of the client are outside of those
// of a call.
func WithMiddleware(m Middleware) CallOption {
	return callOption(func(c *callConfig) error {
		if m == nil {
			return errors.New("middleware: nil")
		}
		c.middleware = append(c.middleware[:len(c.middleware):len(c.middleware)], m)
		return nil
	})
}

// wrapped returns the rest of the pipeline for one call, with its middlewares around it.
func (p *plan) wrapped(inner RoundTrip) RoundTrip {
	for i := len(p.config.middleware) - 1; i >= 0; i-- {
		m, next := p.config.middleware[i], inner
		inner = func(req *http.Request) (*http.Response, error) { return m(p.name, req, next) }
	}
	return inner
}
