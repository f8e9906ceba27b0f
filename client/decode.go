package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/phala-go/phala/internal/strictjson"
)

// ErrDecode is matched by the errors of a complete response that could not be decoded. Repeating the call would not
// help.
var ErrDecode = errors.New("the response cannot be decoded")

// DecodeError is returned if a complete response does not have the format of its operation. The operation may have
// taken effect.
type DecodeError struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// StatusCode is the HTTP status of the response.
	StatusCode int
	// Err is the cause.
	Err error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s: %v", e.Operation, e.Err)
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrDecode].
func (*DecodeError) Is(target error) bool { return target == ErrDecode }

// undecoded returns the error of a response that was not decoded: the context's if it has ended meanwhile.
func undecoded(ctx context.Context, operation string, resp *http.Response, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return &DecodeError{Operation: operation, StatusCode: resp.StatusCode, Err: err}
}

// largeAnswer is the size in bytes from which on the decoding of a response ends with the context. Smaller ones take a
// few milliseconds.
const largeAnswer = 256 << 10

// decode reads a response into a pointer to text, bytes, or any type for JSON. most limits the items of a page.
func decode(ctx context.Context, resp *http.Response, answer any, most int) error {
	data, err := bodyBytes(resp)
	if err != nil {
		return err
	}
	switch into := answer.(type) {
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
		// Some updates are accepted with an empty body.
		data = []byte("{}")
	} else if len(blank) == 0 {
		return errors.New("the response is empty")
	}
	if err := unmarshal(ctx, data, answer, most); err != nil {
		return fmt.Errorf("the response (%s, %d bytes) cannot be decoded: %w", describeMedia(resp.Header), len(data), err)
	}
	if v := reflect.ValueOf(answer).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("the response is null")
	}
	return nil
}

// unmarshal decodes JSON that complies with the rules of strictjson. A large response is decoded in another goroutine,
// and the caller does not wait for it once the context has ended.
func unmarshal(ctx context.Context, data []byte, answer any, most int) error {
	if len(data) < largeAnswer {
		if err := strictjson.Check(data, most); err != nil {
			return err
		}
		return lenientUnmarshal(data, answer)
	}
	into := reflect.New(reflect.TypeOf(answer).Elem())
	done := make(chan error, 1)
	go func() {
		err := strictjson.Check(data, most)
		if err == nil {
			err = lenientUnmarshal(data, into.Interface())
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err == nil {
			reflect.ValueOf(answer).Elem().Set(into.Elem())
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// mostItems returns the limit of items per page: ten times the documented number, so that larger pages of newer
// servers are still accepted.
func (rt *route) mostItems() int {
	if rt.page == 0 {
		return strictjson.MaxItems
	}
	return min(10*rt.page, strictjson.MaxItems)
}

func describeMedia(h http.Header) string {
	if media := mediaType(h); media != "" {
		return media
	}
	return "no content type"
}

// bodyBytes returns the body that the pipeline has read already, without a copy, or reads the one that a middleware
// has put in its place.
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
