package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// plan is the pipeline's data about a call. It is passed from step to step, so that a middleware may replace the
// context of the request.
type plan struct {
	route    *route // nil if the operation is not described
	name     string // of the operation, for errors and logs
	config   callConfig
	attempts int
}

// roundTrip is the pipeline: route and guard, options, headers, middleware, and inside of these retries and sending.
func (c *Client) roundTrip(req *http.Request, k call) (*http.Response, error) {
	op, err := c.guard(req, k)
	if err != nil {
		return nil, err
	}
	p := &plan{name: req.Method + " " + req.URL.Path}
	if op.known() {
		p.route = &c.router.routes[op]
		p.name = p.route.name
	}
	if p.config, err = c.configured(req.Context(), k.opts); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	if err := p.config.extend(req); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	if err := c.setHeaders(req, p); err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	began := time.Now()
	resp, err := p.wrapped(func(req *http.Request) (*http.Response, error) { return c.retried(req, p) })(req)
	if err == nil && p.config.answer != nil {
		p.config.answer.fill(p, resp, began)
	}
	return resp, err
}

// configured returns the configuration of a call: the client's, the context's and its own options, in this order.
func (c *Client) configured(ctx context.Context, own []CallOption) (callConfig, error) {
	cfg := c.config
	fromContext, _ := ctx.Value(optionsKey{}).([]CallOption)
	for _, opts := range [...][]CallOption{fromContext, own} {
		for _, o := range opts {
			if o == nil {
				return callConfig{}, errNilOption
			}
			if err := o.applyCall(&cfg); err != nil {
				return callConfig{}, err
			}
		}
	}
	return cfg, nil
}

// guard finds the operation of a request, and refuses a request that would reach another operation than intended.
func (c *Client) guard(req *http.Request, k call) (operation, error) {
	if err := c.checkHost(req); err != nil {
		return 0, err
	}
	path, below := strings.CutPrefix(req.URL.EscapedPath(), c.base.Path+basePath)
	if !below {
		return 0, fmt.Errorf("%w: %s is not below %s%s", ErrRoute, req.URL.Path, c.base.Path, basePath)
	}
	got := c.router.match(req.Method, path)
	switch {
	case k.op == opDescribed && !got.known():
		return 0, fmt.Errorf("%w: %s %s is no operation of the API; use Client.Do for what is not described", ErrRoute, req.Method, path)
	case k.op.known() && k.op != got:
		return 0, fmt.Errorf("%w: %s became %s %s, which is %s", ErrRoute, k.name(), req.Method, path, c.router.name(got))
	}
	return got, nil
}

// ErrNoAPIKey is returned if an operation needs an API key and the client has none. Nothing was sent.
var ErrNoAPIKey = errors.New("no api key: use WithAPIKey or set PHALA_CLOUD_API_KEY")

// setHeaders adds the client's headers to a request. The slices are shared between requests: a header is replaced,
// never changed in place.
func (c *Client) setHeaders(req *http.Request, p *plan) error {
	h, rt := req.Header, p.route
	for key, values := range p.config.header {
		h[key] = values
	}
	if h["Accept"] == nil {
		h["Accept"] = c.accept
	}
	h["User-Agent"] = c.agent
	h[versionHeader] = c.versionOf(rt, &p.config)
	delete(h, keyHeader)
	switch {
	case rt != nil && rt.public:
		// The operation does not need the key, so it is not sent.
	case c.key != nil:
		h[keyHeader] = c.key.header
	case rt != nil && rt.optionalKey:
	default:
		return ErrNoAPIKey
	}
	return nil
}

func (c *Client) versionOf(rt *route, cfg *callConfig) []string {
	switch {
	case cfg.versionSet:
		return []string{cfg.version}
	case rt != nil && rt.version != "":
		return []string{rt.version}
	}
	return c.version
}

// checkHost refuses a request that a middleware has directed to another host: it contains the API key.
func (c *Client) checkHost(req *http.Request) error {
	if req.URL.Scheme == c.base.Scheme && req.URL.Host == c.base.Host && (req.Host == "" || req.Host == c.base.Host) {
		return nil
	}
	return fmt.Errorf("%w: %s is not the base host %s", ErrRoute, req.URL.Host, c.base.Host)
}

// validHeaderName follows RFC 9110, section 5.1: a token.
func validHeaderName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return name != ""
}

// validHeaderValue follows RFC 9110, section 5.5: no control characters but the tab.
func validHeaderValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// attempted is the outcome of an attempt.
type attempted struct {
	number int
	status int // 0 without a response
	err    error
	began  time.Time
}

func (c *Client) logAttempt(req *http.Request, p *plan, a attempted) {
	if c.logger == nil || !c.logger.Enabled(req.Context(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("operation", p.name),
		slog.String("method", req.Method),
		slog.String("path", req.URL.Path),
		slog.Int("attempt", a.number),
		slog.Duration("took", time.Since(a.began)),
	}
	if a.status != 0 {
		attrs = append(attrs, slog.Int("status", a.status))
	}
	if a.err != nil {
		attrs = append(attrs, slog.Any("error", a.err))
	}
	c.logger.LogAttrs(req.Context(), slog.LevelDebug, "phala: call", attrs...)
}

func (c *Client) logRetry(req *http.Request, p *plan, err error, wait time.Duration) {
	if c.logger == nil {
		return
	}
	c.logger.LogAttrs(req.Context(), slog.LevelWarn, "phala: repeating a call",
		slog.String("operation", p.name),
		slog.Duration("wait", wait),
		slog.Any("error", err))
}
