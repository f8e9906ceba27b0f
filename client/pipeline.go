package client

import (
	"context"
	"fmt"
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
