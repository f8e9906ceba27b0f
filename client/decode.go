package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
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

const (
	// largeAnswer is the size in bytes from which on the items of a response are counted before it is decoded, and
	// the decoding ends with the context. Smaller ones take a few milliseconds.
	largeAnswer = 256 << 10
	// maxItems limits the items of one list. The longest of the API, all CVMs of a workspace, has 27,000 in the 32
	// MiB that are read.
	maxItems = 50_000
	// maxValues limits the total number of lists, objects and items in a response.
	maxValues = 1_000_000
)

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

// unmarshal decodes JSON. A large response is decoded in another goroutine, and the caller does not wait for it once
// the context has ended.
func unmarshal(ctx context.Context, data []byte, answer any, most int) error {
	if len(data) < largeAnswer {
		return lenientUnmarshal(data, answer)
	}
	if err := checkCounts(data, most); err != nil {
		return err
	}
	into := reflect.New(reflect.TypeOf(answer).Elem())
	done := make(chan error, 1)
	go func() { done <- lenientUnmarshal(data, into.Interface()) }()
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
		return maxItems
	}
	return min(10*rt.page, maxItems)
}

// checkCounts refuses a response whose lists are so long that decoding it would take far more memory than it has
// bytes: a page of more than most items, or another list of more than maxItems. It checks the structure only; the
// decoder reports invalid JSON.
func checkCounts(data []byte, most int) error {
	type open struct{ items, bound int }
	var stack []open // lists and objects
	values := 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '"':
			end := stringEnd(data[i+1:])
			if end < 0 {
				return nil
			}
			i += end
		case '[', '{':
			bound := maxItems
			if c == '[' && len(stack) < 2 { // the items of a page, alone or as a member of it
				bound = most
			}
			stack = append(stack, open{1, bound})
			values++
		case ']', '}':
			if len(stack) > 0 {
				stack = stack[:len(stack)-1]
			}
		case ',':
			if len(stack) == 0 {
				return nil
			}
			top := &stack[len(stack)-1]
			top.items++
			values++
			if top.items > top.bound {
				return fmt.Errorf("a list has more than %d items", top.bound)
			}
		}
		if values > maxValues {
			return fmt.Errorf("the response has more than %d values", maxValues)
		}
	}
	return nil
}

// stringEnd returns the index after the closing quote of a string, or -1.
func stringEnd(data []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(data[at:], '"')
		if i < 0 {
			return -1
		}
		at += i + 1
		escapes := 0
		for j := at - 2; j >= 0 && data[j] == '\\'; j-- {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
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
