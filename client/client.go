package client

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

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
	key      *apiKey // nil without one
	agent    []string
	accept   []string
	version  []string
	logger   *slog.Logger
	budget   *retryBudget
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
		budget:   newRetryBudget(),
		watchers: make(chan struct{}, maxStreams),
	}
	if cfg.apiKey != "" {
		c.key = &apiKey{header: []string{cfg.apiKey}}
	}
	c.Services = newServices(c)
	c.API = openapi.NewClient(c.server, doer{c})
	return c, nil
}

// apiKey is behind a pointer and without methods, so that no way of formatting what holds it shows it.
type apiKey struct{ header []string }

// httpClient copies the user's client, so that nothing of it changes, and refuses redirects on the copy.
func httpClient(cfg *config) *http.Client {
	h := &http.Client{Transport: newTransport()}
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

func (d doer) Do(req *http.Request) (*http.Response, error) {
	return d.client.roundTrip(req, d.client.call(opDescribed, nil))
}

// String shows where the client points, and no more.
func (c Client) String() string { return "phala client of " + c.server }

// Format keeps the key out of every verb.
func (c Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue keeps the key out of structured logs.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// formatService is the Format of a service.
func (c *Client) formatService(f fmt.State, name string) {
	if c == nil {
		_, _ = fmt.Fprintf(f, "service %s", name)
		return
	}
	_, _ = fmt.Fprintf(f, "service %s of %s", name, c.server)
}
