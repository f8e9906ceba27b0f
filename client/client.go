package client

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/phala-go/phala/internal/creations"
	"github.com/phala-go/phala/openapi"
)

// Client calls the Phala Cloud API. It is safe for concurrent use. [New] returns one.
type Client struct {
	Services

	// API is the generated client, which returns undecoded responses. It uses the same pipeline: a failure is an
	// *APIError, and [WithOptions] sets call options.
	API *openapi.Client

	base     *url.URL // without /api/v1
	server   string   // base as text, for the generated request builders
	http     *http.Client
	router   *router
	config   callConfig
	key      *apiKey // nil if there is none
	agent    []string
	accept   []string
	version  []string
	logger   *slog.Logger
	budget   *retryBudget
	watchers chan struct{}
	made     *creations.Log
}

// New returns a client. Without options it reads the API key from PHALA_CLOUD_API_KEY and the base URL from
// PHALA_CLOUD_API_PREFIX. It returns an error if an option or the environment is invalid. A client without a key can
// call the public operations only.
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
		made:     &creations.Log{},
	}
	if cfg.apiKey != "" {
		c.key = &apiKey{header: []string{cfg.apiKey}}
	}
	c.Services = newServices(c)
	c.API = openapi.NewClient(c.server, doer{c})
	return c, nil
}

// apiKey is behind a pointer and has no methods, so that no formatting of a value that contains it prints it.
type apiKey struct{ header []string }

// httpClient returns a copy of the user's client that refuses redirects. The user's client is not changed.
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

// doer is the client as the generated client uses it: it sends through the pipeline.
type doer struct{ client *Client }

func (d doer) Do(req *http.Request) (*http.Response, error) {
	return d.client.roundTrip(req, d.client.call(opDescribed, nil))
}

// String returns the base URL, and nothing else of the client.
func (c Client) String() string { return "phala client of " + c.server }

// Format writes the text of String for every verb, so that the key is never printed.
func (c Client) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.String())) }

// LogValue returns the text of String, so that the key is never logged.
func (c Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// formatService is the Format method of every service.
func (c *Client) formatService(f fmt.State, name string) {
	if c == nil {
		_, _ = fmt.Fprintf(f, "service %s", name)
		return
	}
	_, _ = fmt.Fprintf(f, "service %s of %s", name, c.server)
}

// Creations returns the log of the CVMs that this client created, for package deploy. With it the CVMs of an app are
// created one after the other, so that concurrent flows with one client do not take each other's CVMs.
func (c *Client) Creations() *creations.Log { return c.made }
