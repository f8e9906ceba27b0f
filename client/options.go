package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/loopback"
)

// Option configures a [Client] in [New].
type Option interface {
	applyClient(*config) error
}

// CallOption changes a single call, or all calls of a client when it is given to [New].
type CallOption interface {
	Option
	applyCall(*callConfig) error
}

const (
	// Version is the version of this SDK. The User-Agent of every request names it.
	Version = "0.1.0"
	// DefaultBaseURL is the URL of the production cloud.
	DefaultBaseURL = "https://cloud-api.phala.com/api/v1"
	// DefaultAPIVersion is the version of the API that its documentation describes.
	DefaultAPIVersion = "2026-01-21"
	// DefaultTimeout limits one attempt, from sending it to the last byte of the response.
	DefaultTimeout = 60 * time.Second

	basePath  = "/api/v1"
	userAgent = "phala-go/" + Version

	keyHeader     = "X-Api-Key"
	versionHeader = "X-Phala-Version"
)

type config struct {
	apiKey     string
	baseURL    string
	httpClient *http.Client
	userAgent  string
	logger     *slog.Logger
	timeoutSet bool
	call       callConfig
}

// callConfig is the configuration that can differ from call to call.
type callConfig struct {
	version      string
	versionSet   bool // by this call, not by the client
	header       http.Header
	retry        RetryPolicy
	timeout      time.Duration
	conflictWait time.Duration
	prefetch     bool // of the next page, by iterators
	middleware   []Middleware
	query        []string // escaped pairs
	members      []bodyMember
	answer       *Answer
}

type clientOption func(*config) error

func (o clientOption) applyClient(c *config) error { return o(c) }

type callOption func(*callConfig) error

func (o callOption) applyClient(c *config) error   { return o(&c.call) }
func (o callOption) applyCall(c *callConfig) error { return o(c) }

// timeoutOption is WithTimeout. The client records that it was set, because it takes precedence over http.Client.Timeout.
type timeoutOption time.Duration

func (o timeoutOption) applyCall(c *callConfig) error { return o.set(c) }

func (o timeoutOption) applyClient(c *config) error {
	c.timeoutSet = true
	return o.set(&c.call)
}

func (o timeoutOption) set(c *callConfig) error {
	if o <= 0 {
		return fmt.Errorf("timeout %s: want more than 0", time.Duration(o))
	}
	c.timeout = time.Duration(o)
	return nil
}

// WithAPIKey sets the API key. Without it, New reads PHALA_CLOUD_API_KEY from the environment.
func WithAPIKey(key string) Option {
	return clientOption(func(c *config) error {
		if key == "" {
			return errors.New("api key: empty")
		}
		c.apiKey = key
		return nil
	})
}

// WithBaseURL sets the base URL of another cloud, such as a proxy or a test server, with or without the trailing
// /api/v1. Plain http is accepted for loopback addresses only. Without it, New reads PHALA_CLOUD_API_PREFIX from the
// environment, and uses [DefaultBaseURL] if that is not set.
func WithBaseURL(base string) Option {
	return clientOption(func(c *config) error {
		if base == "" {
			return errors.New("base url: empty")
		}
		c.baseURL = base
		return nil
	})
}

// WithHTTPClient sets a client to copy: its Transport and Jar, and its Timeout as the limit of an attempt unless
// [WithTimeout] is given. Redirects are refused, whatever its CheckRedirect returns.
func WithHTTPClient(h *http.Client) Option {
	return clientOption(func(c *config) error {
		if h == nil {
			return errors.New("http client: nil")
		}
		c.httpClient = h
		return nil
	})
}

// WithUserAgent adds agent before the SDK's own User-Agent.
func WithUserAgent(agent string) Option {
	return clientOption(func(c *config) error {
		if agent == "" || !validHeaderValue(agent) {
			return fmt.Errorf("user agent %q: not a header value", agent)
		}
		c.userAgent = agent + " " + userAgent
		return nil
	})
}

// WithLogger logs each attempt at debug level and each repetition at warn level. No secret, no body and no query is
// logged.
func WithLogger(l *slog.Logger) Option {
	return clientOption(func(c *config) error {
		if l == nil {
			return errors.New("logger: nil")
		}
		c.logger = l
		return nil
	})
}

// WithAPIVersion sets the version of the API: a date such as "2026-01-21", or "latest". Operations that pin a version
// keep it unless the option is given for the call.
func WithAPIVersion(version string) CallOption {
	return callOption(func(c *callConfig) error {
		if _, err := time.Parse(time.DateOnly, version); err != nil && !strings.EqualFold(version, "latest") {
			return fmt.Errorf("api version %q: want a date such as %s, or latest", version, DefaultAPIVersion)
		}
		c.version, c.versionSet = version, true
		return nil
	})
}

// WithHeader adds a header to each request. It cannot set the API key, the version, the user agent and the headers
// that describe the message itself.
func WithHeader(key, value string) CallOption {
	return callOption(func(c *callConfig) error {
		key := textproto.CanonicalMIMEHeaderKey(key)
		switch key {
		case keyHeader, versionHeader, "User-Agent", "Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Accept-Encoding":
			return fmt.Errorf("header %s: set by the client", key)
		}
		if !validHeaderName(key) || !validHeaderValue(value) {
			return fmt.Errorf("header %q: not a valid name and value", key)
		}
		c.header = c.header.Clone()
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Set(key, value)
		return nil
	})
}

// WithTimeout limits one attempt. For a stream it limits the time until the response begins, not the stream.
func WithTimeout(d time.Duration) CallOption { return timeoutOption(d) }

// WithRetry sets the retry policy. Zero fields keep their defaults.
func WithRetry(p RetryPolicy) CallOption {
	return callOption(func(c *callConfig) error {
		if err := p.check(); err != nil {
			return err
		}
		c.retry = p.complete()
		return nil
	})
}

// WithoutRetry disables the repetition of failed calls.
func WithoutRetry() CallOption {
	return callOption(func(c *callConfig) error {
		c.retry.MaxAttempts = 1
		return nil
	})
}

// WithConflictWait repeats a call for up to d while the API returns 409 without a code: another operation runs on the
// same CVM.
func WithConflictWait(d time.Duration) CallOption {
	return callOption(func(c *callConfig) error {
		if d <= 0 {
			return fmt.Errorf("conflict wait %s: want more than 0", d)
		}
		c.conflictWait = d
		return nil
	})
}

func newConfig(opts []Option) (*config, error) {
	cfg := &config{
		userAgent: userAgent,
		call:      callConfig{version: DefaultAPIVersion, retry: DefaultRetryPolicy(), timeout: DefaultTimeout},
	}
	for _, o := range opts {
		if o == nil {
			return nil, errors.New("client: nil option")
		}
		if err := o.applyClient(cfg); err != nil {
			return nil, fmt.Errorf("client: %w", err)
		}
	}
	cfg.call.versionSet = false
	if cfg.apiKey == "" {
		cfg.apiKey = os.Getenv("PHALA_CLOUD_API_KEY")
	}
	if strings.TrimSpace(cfg.apiKey) != cfg.apiKey || !validHeaderValue(cfg.apiKey) {
		return nil, errors.New("client: api key: not a header value; look for a blank or a line end in it")
	}
	if cfg.baseURL == "" {
		cfg.baseURL = os.Getenv("PHALA_CLOUD_API_PREFIX")
	}
	if cfg.baseURL == "" {
		cfg.baseURL = DefaultBaseURL
	}
	return cfg, nil
}

// parseBase returns the base URL without the trailing /api/v1.
func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, errors.New("client: base url: not a URL")
	}
	shown := u.Redacted()
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("client: base url %q: want https", shown)
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("client: base url %q: no host", shown)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "":
		return nil, fmt.Errorf("client: base url %q: want a host and a path, nothing else", shown)
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return nil, fmt.Errorf("client: base url %q: http is for loopback addresses only, use https", shown)
	case strings.Contains(u.EscapedPath(), "%") || strings.Contains(u.Path, "//") || strings.Contains(u.Path+"/", "/../"):
		return nil, fmt.Errorf("client: base url %q: the path must be plain", shown)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), basePath)
	return u, nil
}

var (
	errNilOption = errors.New("nil option")
	errNilAnswer = errors.New("answer: nil")
)

// bodyMember is a member that a call adds to its body.
type bodyMember struct {
	name  string
	value json.RawMessage
}

// WithQuery adds a query parameter that the SDK does not know yet.
func WithQuery(name, value string) CallOption {
	return callOption(func(c *callConfig) error {
		if name == "" {
			return errors.New("query: the name is empty")
		}
		c.query = append(slices.Clone(c.query), url.QueryEscape(name)+"="+url.QueryEscape(value))
		return nil
	})
}

// WithBodyMember adds a member to the JSON object of the body, for members that the SDK does not know yet. The call
// returns an error if the body has the member already.
func WithBodyMember(name string, value any) CallOption {
	return callOption(func(c *callConfig) error {
		data, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("body member %q: %w", name, err)
		}
		c.members = append(slices.Clone(c.members), bodyMember{name, data})
		return nil
	})
}

// extend adds the query and the members of the options to a request.
func (c *callConfig) extend(req *http.Request) error {
	for _, part := range c.query {
		if req.URL.RawQuery != "" {
			req.URL.RawQuery += "&"
		}
		req.URL.RawQuery += part
	}
	if len(c.members) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return err
		}
		data, err := io.ReadAll(body)
		if err == nil {
			err = json.Unmarshal(data, &members)
		}
		if err != nil || members == nil {
			return errors.New("body: a member can be added to a JSON object only")
		}
	}
	if members == nil {
		members = map[string]json.RawMessage{}
	}
	for _, m := range c.members {
		if _, ok := members[m.name]; ok {
			return fmt.Errorf("body: the member %q exists already", m.name)
		}
		members[m.name] = m.value
	}
	return setJSON(req, members)
}

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
