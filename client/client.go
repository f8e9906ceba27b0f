package client

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/phala-go/phala/openapi"
)

// Client calls the Phala Cloud API. It is safe for concurrent use. Make one with [New].
type Client struct {
	Services

	// API is the generated client, for those who want the raw answers. It uses the same pipeline: a failure
	// is an *APIError, and [WithOptions] gives it call options.
	API *openapi.Client

	base     *url.URL // without /api/v1
	server   string   // base as text, as the generated request builders take it
	http     *http.Client
	router   *router
	config   callConfig
	key      []string
	agent    []string
	accept   []string
	version  []string
	logger   *slog.Logger
	bucket   *bucket
	inner    RoundTrip
	watchers chan struct{}
}

// New makes a client. Without options it takes the API key from PHALA_CLOUD_API_KEY and the base URL from
// PHALA_CLOUD_API_PREFIX. It fails where an option or the environment makes no sense. A client without a
// key can call the public operations only.
func New(opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	base, err := parseBase(cfg.baseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:     base,
		server:   base.String(),
		http:     httpClient(cfg),
		router:   newRouter(operations()),
		config:   cfg.call,
		agent:    []string{cfg.userAgent},
		accept:   []string{"application/json"},
		version:  []string{cfg.call.version},
		logger:   cfg.logger,
		bucket:   newBucket(),
		watchers: make(chan struct{}, maxStreams),
	}
	if cfg.apiKey != "" {
		c.key = []string{cfg.apiKey}
	}
	c.inner = chain(cfg.middleware, c.beneathMiddleware)
	c.Services = newServices(c)
	c.API, err = openapi.NewClient(c.server, openapi.WithHTTPClient(doer{c}))
	return c, err
}

// httpClient copies the user's client, so that nothing of it changes, and refuses redirects on the copy.
func httpClient(cfg *config) *http.Client {
	h := &http.Client{}
	if cfg.httpClient != nil {
		*h = *cfg.httpClient
		if h.Timeout > 0 && !cfg.timeoutSet {
			cfg.call.timeout = h.Timeout
		}
		h.Timeout = 0
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return h
}

// doer lets the generated client send through the pipeline.
type doer struct{ client *Client }

func (d doer) Do(req *http.Request) (*http.Response, error) { return d.client.roundTrip(req) }

// String shows where the client points, and no more.
func (c *Client) String() string { return "phala client of " + c.server }

// Format keeps the key out of every verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue keeps the key out of structured logs.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// plan is what the pipeline has found out about a request.
type plan struct {
	route *route
	call  callConfig
}

type planKey struct{}

// roundTrip is the pipeline: route and guard, headers, the user's middleware, and beneath it the rest.
func (c *Client) roundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	meant, _ := ctx.Value(intentKey{}).(*intent)
	op, err := c.guard(req, meant)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if op != 0 {
		p.route = &c.router.routes[op]
	}
	if p.call, err = c.configured(ctx, meant.options()); err != nil {
		return nil, fmt.Errorf("%s: %w", operationName(req, p.route), err)
	}
	if err := c.setHeaders(req, p.route, &p.call); err != nil {
		return nil, fmt.Errorf("%s: %w", operationName(req, p.route), err)
	}
	return c.inner(req.WithContext(context.WithValue(ctx, planKey{}, p)))
}

// configured gives the configuration of a call: the client's, then the context's, then its own.
func (c *Client) configured(ctx context.Context, own []CallOption) (callConfig, error) {
	cfg := c.config
	fromContext, _ := ctx.Value(optionsKey{}).([]CallOption)
	for _, opts := range [...][]CallOption{fromContext, own} {
		for _, o := range opts {
			if err := o.applyCall(&cfg); err != nil {
				return callConfig{}, err
			}
		}
	}
	return cfg, nil
}

func (m *intent) options() []CallOption {
	if m == nil {
		return nil
	}
	return m.opts
}

// beneathMiddleware is the pipeline from the retries on.
func (c *Client) beneathMiddleware(req *http.Request) (*http.Response, error) {
	p, ok := req.Context().Value(planKey{}).(*plan)
	if !ok {
		return nil, fmt.Errorf("%w: a middleware replaced the request's context", ErrRoute)
	}
	return c.retried(req, p.route, &p.call)
}

// guard finds the operation of a request, and refuses one that would reach another than intended.
func (c *Client) guard(req *http.Request, meant *intent) (operation, error) {
	if err := c.stayHome(req); err != nil {
		return 0, err
	}
	path, below := strings.CutPrefix(req.URL.EscapedPath(), c.base.Path+basePath)
	if !below {
		return 0, fmt.Errorf("%w: %s is not below %s%s", ErrRoute, req.URL.Path, c.base.Path, basePath)
	}
	got := c.router.match(req.Method, path)
	switch {
	case meant == nil && got == 0:
		return 0, fmt.Errorf("%w: %s %s is no operation of the API; use Client.Do for what is not described", ErrRoute, req.Method, path)
	case meant == nil || meant.op == 0:
		return got, nil
	case meant.op != got:
		return 0, fmt.Errorf("%w: %s became %s %s, which is %s", ErrRoute, c.router.name(meant.op), req.Method, path, c.router.name(got))
	}
	return got, nil
}
