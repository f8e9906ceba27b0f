package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/phala-go/phala/openapi"
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

// Do sends a request that this SDK may not describe, through the same pipeline. The path is relative to /api/v1 or
// begins with it, and may have a query: "/cvms/web/stats?x=1". in is sent as the JSON of [openapi.Marshal] unless it
// is nil. The response is decoded from JSON into out, a pointer, unless out is nil; a *string or *[]byte receives the
// unchanged body.
//
// Do returns an error for a path with an empty, "." or ".." segment, an encoded slash, or a host. An operation that
// is not described has the retry class safe for GET and HEAD, else unsafe.
func (c *Client) Do(ctx context.Context, method, path string, in, out any, opts ...CallOption) error {
	if v := reflect.ValueOf(out); out != nil && (v.Kind() != reflect.Pointer || v.IsNil()) {
		return fmt.Errorf("client: Do: out is a %T, want a pointer that is not nil, or nil", out)
	}
	req, err := c.doRequest(method, path, in)
	if err != nil {
		return err
	}
	k := c.call(opAny, opts)
	resp, err := k.open(ctx, req, nil)
	if err != nil || out == nil {
		if err == nil {
			err = resp.Body.Close()
		}
		return err
	}
	defer resp.Body.Close()
	if err := decode(ctx, resp, out, k.route().mostItems()); err != nil {
		return undecoded(ctx, req.Method+" "+req.URL.Path, resp, err)
	}
	return nil
}

func (c *Client) doRequest(method, path string, in any) (*http.Request, error) {
	if !validHeaderName(method) {
		return nil, fmt.Errorf("%w: %q is not a method", ErrRoute, method)
	}
	escaped, query, _ := strings.Cut(path, "?")
	if !strings.HasPrefix(escaped, "/") || strings.ContainsAny(path, "#\\") {
		return nil, fmt.Errorf("%w: the path must begin with a slash and have no fragment or backslash", ErrRoute)
	}
	if rest, ok := strings.CutPrefix(escaped, basePath+"/"); ok {
		escaped = "/" + rest
	}
	for segment := range strings.SplitSeq(escaped[1:], "/") {
		plain, err := url.PathUnescape(segment)
		if err != nil {
			return nil, fmt.Errorf("%w: the path is not escaped well", ErrRoute)
		}
		if err := openapi.PathParam(plain).Check(); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRoute, err)
		}
	}
	if _, err := url.ParseQuery(query); err != nil {
		return nil, fmt.Errorf("%w: the query is not escaped well", ErrRoute)
	}
	req := &http.Request{
		Method: strings.ToUpper(method),
		URL:    c.resolve(escaped),
		Host:   c.base.Host,
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 8),
	}
	req.URL.RawQuery = query
	return req, setJSON(req, in)
}

// resolve returns the URL of an escaped path below the base URL.
func (c *Client) resolve(path string) *url.URL {
	u := *c.base
	escaped := c.base.Path + basePath + path
	u.Path = escaped
	if plain, err := url.PathUnescape(escaped); err == nil && plain != escaped {
		u.Path, u.RawPath = plain, escaped
	}
	return &u
}

// setJSON sets the body of a request, unless it is nil.
func setJSON(req *http.Request, body any) error {
	if body == nil {
		return nil
	}
	if v := reflect.ValueOf(body); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	data, err := openapi.Marshal(body)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	req.ContentLength = int64(len(data))
	req.Body = io.NopCloser(bytes.NewReader(data))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	req.Header["Content-Type"] = []string{"application/json"}
	return nil
}
