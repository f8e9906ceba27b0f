package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/phala-go/phala/openapi"
)

// Do sends a request that the API knows and this SDK may not, through the same pipeline. The path is below
// /api/v1 and may have a query: "/cvms/web/stats?x=1". in is sent as JSON unless it is nil; the answer is
// decoded from JSON into out, a pointer, unless that is nil. A *string or *[]byte takes it as it is.
//
// A path with an empty, "." or ".." segment, an encoded slash, or a host is refused. An operation that is
// not described is repeated as safe if it is a GET or HEAD, else as unsafe.
func (c *Client) Do(ctx context.Context, method, path string, in, out any, opts ...CallOption) error {
	req, err := c.doRequest(method, path, in)
	if err != nil {
		return err
	}
	resp, err := c.send(ctx, 0, opts, req, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	switch into := out.(type) {
	case *string:
		err = decode(resp, into)
	case *[]byte:
		err = decode(resp, into)
	default:
		err = decode(resp, &out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, err)
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
	return setJSON(req, in)
}
