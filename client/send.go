package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const eventStream = "text/event-stream"

var errAttemptTimeout = errors.New("no response in time")

// errUnexpectedStream is returned if the response is a stream where a value was expected.
var errUnexpectedStream = errors.New("the response is an event stream; use CVMs.Watch to follow a CVM")

// attempt sends a request once. A value is read to its end within the attempt, so that a truncated response is a
// failed attempt. A stream is returned as soon as its headers have arrived.
func (c *Client) attempt(req *http.Request, p *plan, number int) (*http.Response, error) {
	if err := c.checkHost(req); err != nil {
		return nil, err
	}
	began := time.Now()
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(p.config.timeout, func() { cancel(errAttemptTimeout) })
	resp, err := c.http.Do(req.WithContext(ctx))
	if err == nil && resp.StatusCode < 300 && acceptsStream(req) {
		if timer.Stop() {
			resp.Body = &streamBody{ReadCloser: resp.Body, cancel: cancel}
			c.logAttempt(req, p, attempted{number, resp.StatusCode, nil, began})
			return resp, nil
		}
		_ = resp.Body.Close()
		err = errAttemptTimeout
	}
	if err == nil {
		resp, err = c.finish(req, p, resp, began)
	}
	timer.Stop()
	if err != nil {
		err = p.explain(ctx, req, err)
	}
	cancel(nil)
	status := 0
	if resp != nil {
		status = resp.StatusCode
	}
	c.logAttempt(req, p, attempted{number, status, err, began})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// finish reads the body of a response and converts a failure to an APIError.
func (c *Client) finish(req *http.Request, p *plan, resp *http.Response, now time.Time) (*http.Response, error) {
	defer resp.Body.Close()
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		if mediaType(resp.Header) == eventStream {
			return resp, &DecodeError{Operation: p.name, StatusCode: resp.StatusCode, Err: errUnexpectedStream}
		}
		limit := p.route.bodyLimit()
		data, more, err := readAll(resp, limit)
		if err != nil {
			return resp, err
		}
		if more {
			return resp, &BodyTooLargeError{Operation: p.name, Limit: limit}
		}
		resp.Body = newBuffered(data)
		return resp, nil
	}
	// The part that was read of an error response is used, even if the connection broke.
	data, _, _ := readAll(resp, maxErrorBody)
	api := decodeError(resp, data, now)
	api.Operation, api.Method = p.name, req.Method
	return resp, api
}

// explain adds the operation to a transport error, and removes the URL from it: a query may contain a token.
func (p *plan) explain(ctx context.Context, req *http.Request, err error) error {
	var api *APIError
	var large *BodyTooLargeError
	if errors.As(err, &api) || errors.As(err, &large) || errors.Is(err, errUnexpectedStream) {
		return err
	}
	err = withoutURL(err)
	switch {
	case req.Context().Err() != nil:
		err = endOf(req.Context(), nil)
	case errors.Is(context.Cause(ctx), errAttemptTimeout):
		err = fmt.Errorf("%w (%s): %w", errAttemptTimeout, p.config.timeout, context.DeadlineExceeded)
	}
	return &TransportError{Operation: p.name, Err: err}
}

// withoutURL removes the errors of net/http clients, which repeat the URL. A transport may have wrapped one more.
func withoutURL(err error) error {
	var in *url.Error
	for errors.As(err, &in) {
		err = in.Err
	}
	return err
}

func acceptsStream(req *http.Request) bool {
	accept := req.Header["Accept"]
	return len(accept) == 1 && accept[0] == eventStream
}

func mediaType(h http.Header) string {
	text := h.Get("Content-Type")
	if i := strings.IndexByte(text, ';'); i < 0 {
		return strings.ToLower(strings.TrimSpace(text))
	}
	media, _, err := mime.ParseMediaType(text)
	if err != nil {
		return ""
	}
	return media
}

// streamBody ends the attempt's context when the stream is closed.
type streamBody struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *streamBody) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

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
