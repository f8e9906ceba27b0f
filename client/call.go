package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"

	"github.com/phala-go/phala/openapi"
)

// WithOptions returns a context whose calls have the options, unless a call is given its own. It is for
// [Client.API], whose methods take none, and for whole flows.
func WithOptions(ctx context.Context, opts ...CallOption) context.Context {
	before, _ := ctx.Value(optionsKey{}).([]CallOption)
	return context.WithValue(ctx, optionsKey{}, append(before[:len(before):len(before)], opts...))
}

type (
	optionsKey struct{}
	intentKey  struct{}
)

// intent is what a service knows of its request and the pipeline cannot read from it.
type intent struct {
	op   operation
	opts []CallOption
}

// call calls an operation and decodes its answer into T.
func call[T any](ctx context.Context, c *Client, op operation, opts []CallOption, body any, path ...openapi.PathParam) (T, error) {
	return callBuilt[T](ctx, c, op, opts)(c.newRequest(op, body, path))
}

// callBuilt is call for a request that was built elsewhere.
func callBuilt[T any](ctx context.Context, c *Client, op operation, opts []CallOption) func(*http.Request, error) (T, error) {
	return func(req *http.Request, err error) (answer T, _ error) {
		resp, err := c.send(ctx, op, opts, req, err)
		if err != nil {
			return answer, err
		}
		defer resp.Body.Close()
		if err := decode(resp, &answer); err != nil {
			return answer, fmt.Errorf("%s: %w", c.router.name(op), err)
		}
		return answer, nil
	}
}

// exec calls an operation that answers no body.
func exec(ctx context.Context, c *Client, op operation, opts []CallOption, body any, path ...openapi.PathParam) error {
	req, err := c.newRequest(op, body, path)
	resp, err := c.send(ctx, op, opts, req, err)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// send sends the request of an operation.
func (c *Client) send(ctx context.Context, op operation, opts []CallOption, req *http.Request, err error) (*http.Response, error) {
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.router.name(op), err)
	}
	return c.roundTrip(req.WithContext(context.WithValue(ctx, intentKey{}, &intent{op, opts})))
}

// stream calls an operation that answers with events, and hands out the live body.
func (c *Client) stream(ctx context.Context, op operation, opts []CallOption, req *http.Request, err error) (*http.Response, error) {
	if err == nil {
		req.Header["Accept"] = []string{eventStream}
		req.Header["Cache-Control"] = []string{"no-cache"}
	}
	return c.send(ctx, op, opts, req, err)
}

// newRequest builds the request of an operation from its route.
func (c *Client) newRequest(op operation, body any, params []openapi.PathParam) (*http.Request, error) {
	path, err := c.router.fill(op, params)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method: c.router.routes[op].verb,
		URL:    c.resolve(path),
		Host:   c.base.Host,
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 8),
	}
	return setJSON(req, body)
}

// resolve gives the URL of an escaped path below the base URL.
func (c *Client) resolve(path string) *url.URL {
	u := *c.base
	escaped := c.base.Path + basePath + path
	u.Path = escaped
	if plain, err := url.PathUnescape(escaped); err == nil && plain != escaped {
		u.Path, u.RawPath = plain, escaped
	}
	return &u
}

// withJSON puts an optional body on a request that was built without one.
func withJSON[T any](body *T) func(*http.Request, error) (*http.Request, error) {
	return func(req *http.Request, err error) (*http.Request, error) {
		if err != nil {
			return nil, err
		}
		req.Header.Del("Content-Type")
		return setJSON(req, body)
	}
}

// withText puts a text on a request that was built without a body. Without a text the request must be the
// second phase of an update, which names the compose hash in a header.
func withText(text, media string) func(*http.Request, error) (*http.Request, error) {
	return func(req *http.Request, err error) (*http.Request, error) {
		if err != nil {
			return nil, err
		}
		req.Header.Del("Content-Type")
		switch {
		case text != "":
			setBody(req, []byte(text), media)
		case req.Header.Get("X-Compose-Hash") == "":
			return nil, errors.New("body: the text is empty, and no compose hash names a prepared one")
		}
		return req, nil
	}
}

func setBody(req *http.Request, data []byte, media string) {
	req.ContentLength = int64(len(data))
	req.Body = io.NopCloser(bytes.NewReader(data))
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	req.Header["Content-Type"] = []string{media}
}

func setJSON(req *http.Request, body any) (*http.Request, error) {
	if body == nil {
		return req, nil
	}
	if v := reflect.ValueOf(body); v.Kind() == reflect.Pointer && v.IsNil() {
		return req, nil
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	setBody(req, data, "application/json")
	return req, nil
}

// decode reads an answer into a pointer to what the caller wants: text, bytes, or anything of JSON.
func decode[T any](resp *http.Response, answer *T) error {
	data, err := bodyBytes(resp)
	if err != nil {
		return err
	}
	switch into := any(answer).(type) {
	case *[]byte:
		*into = data
		return nil
	case *string:
		if mediaType(resp.Header) != "application/json" || json.Unmarshal(data, into) != nil {
			*into = string(data)
		}
		return nil
	}
	blank := bytes.TrimSpace(data)
	if resp.StatusCode == http.StatusAccepted && (len(blank) == 0 || string(blank) == "null") {
		// Some updates are accepted without a word about them.
		data = []byte("{}")
	} else if len(blank) == 0 {
		return errors.New("the answer is empty")
	}
	if err := json.Unmarshal(data, answer); err != nil {
		return fmt.Errorf("the answer (%s, %d bytes) cannot be read: %w", describeMedia(resp.Header), len(data), err)
	}
	if v := reflect.ValueOf(answer).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("the answer is null")
	}
	return nil
}

func describeMedia(h http.Header) string {
	if media := mediaType(h); media != "" {
		return media
	}
	return "no content type"
}

// bodyBytes is the body that the pipeline has read already, without a copy; a middleware may have put
// another one there.
func bodyBytes(resp *http.Response) ([]byte, error) {
	if b, ok := resp.Body.(*buffered); ok && b.Len() == len(b.data) {
		return b.data, nil
	}
	data, more, err := readAll(resp, maxBody)
	if err == nil && more {
		err = &BodyTooLargeError{Operation: "the answer", Limit: maxBody}
	}
	return data, err
}
