package client

import (
	"errors"
	"net/http"
)

// RoundTrip sends one request and returns the response, like an http.RoundTripper.
type RoundTrip func(*http.Request) (*http.Response, error)

// Middleware wraps a call, outside of its retries. operation is the called method, such as "CVMs.Get", or verb and
// path for an operation of [Client.Do] that the SDK does not describe. The middleware may change the request, its
// context and the response, but not the host. It calls next at most once.
type Middleware func(operation string, req *http.Request, next RoundTrip) (*http.Response, error)

// WithMiddleware wraps each call; the first one is the outermost. Those of the client are outside of those of a call.
func WithMiddleware(m Middleware) CallOption {
	return callOption(func(c *callConfig) error {
		if m == nil {
			return errors.New("middleware: nil")
		}
		c.middleware = append(c.middleware[:len(c.middleware):len(c.middleware)], m)
		return nil
	})
}

// wrapped returns the rest of the pipeline for one call, wrapped in its middlewares.
func (p *plan) wrapped(inner RoundTrip) RoundTrip {
	for i := len(p.config.middleware) - 1; i >= 0; i-- {
		m, next := p.config.middleware[i], inner
		inner = func(req *http.Request) (*http.Response, error) { return m(p.name, req, next) }
	}
	return inner
}
