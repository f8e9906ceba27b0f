package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

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
	case cfg.versionAsked:
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
