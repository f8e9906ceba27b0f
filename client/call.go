package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// WithOptions returns a context whose calls have the options; the options of a single call take precedence. It is for
// [Client.API], whose methods have no options, and for whole flows. The pipeline reads it in one place.
func WithOptions(ctx context.Context, opts ...CallOption) context.Context {
	before, _ := ctx.Value(optionsKey{}).([]CallOption)
	return context.WithValue(ctx, optionsKey{}, append(before[:len(before):len(before)], opts...))
}

type optionsKey struct{}

// call is one call of an operation: the data that the pipeline needs besides the request. Every request is built by a
// builder of package openapi and sent by send or exec.
type call struct {
	client *Client
	op     operation
	opts   []CallOption
}

func (c *Client) call(op operation, opts []CallOption) call {
	return call{client: c, op: op, opts: opts}
}

// send sends the request of a call and decodes the response. err is the builder's.
func send[T any](ctx context.Context, c call, req *http.Request, err error) (answer T, _ error) {
	resp, err := c.open(ctx, req, err)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	if err := decode(ctx, resp, &answer, c.route().mostItems()); err != nil {
		return answer, undecoded(ctx, c.name(), resp, err)
	}
	return answer, nil
}

// exec sends the request of a call whose response has no body.
func exec(ctx context.Context, c call, req *http.Request, err error) error {
	resp, err := c.open(ctx, req, err)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// open sends the request of a call and returns the response unread. The caller closes the body.
func (c call) open(ctx context.Context, req *http.Request, err error) (*http.Response, error) {
	if err == nil && c.op.known() && c.route().text && req.Body == nil && req.Header.Get("X-Compose-Hash") == "" {
		err = errors.New("body: the text is empty, and no compose hash of a prepared change is set")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name(), err)
	}
	return c.client.roundTrip(req.WithContext(ctx), c)
}

// route returns the route of the operation, or the empty first one if it is not described.
func (c call) route() *route {
	if !c.op.known() {
		return &c.client.router.routes[0]
	}
	return &c.client.router.routes[c.op]
}

func (c call) name() string { return c.client.router.name(c.op) }

// textBody and textMedia are a body of plain text. An empty text is no body, as the second phase of an update
// requires.
func textBody(text string) io.Reader {
	if text == "" {
		return nil
	}
	return strings.NewReader(text)
}

func textMedia(text, media string) string {
	if text == "" {
		return ""
	}
	return media
}
