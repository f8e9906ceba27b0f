package openapi

import (
	"context"
	"fmt"
	"net/http"
)

// Client is the raw client: a method for each operation, which returns the response unread. It adds neither a key nor
// a retry; the field API of a client.Client sends through that client's pipeline.
type Client struct {
	// Server is the base URL, without /api/v1.
	Server string

	doer Doer
}

// Doer sends a request. An *http.Client is one.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// NewClient returns a raw client of a server, a base URL without /api/v1, that sends through doer.
func NewClient(server string, doer Doer) *Client { return &Client{Server: server, doer: doer} }

// Format writes the server, whatever the verb: what sends may hold a key.
func (c Client) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "raw client of %s", c.Server) }

func (c *Client) do(ctx context.Context, req *http.Request, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	return c.doer.Do(req.WithContext(ctx))
}
