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

// ErrDecode is matched by the errors of an answer that came whole and could not be decoded. Asking again would
// not help.
var ErrDecode = errors.New("the answer cannot be decoded")

// DecodeError is returned for an answer that came whole and is not what its operation answers. What was asked
// for may have been done.
type DecodeError struct {
	// Operation that was called, such as "CVMs.Get".
	Operation string
	// StatusCode is the HTTP status of the answer.
	StatusCode int
	// Err is what does not fit.
	Err error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("%s: %v", e.Operation, e.Err)
}

// Unwrap returns Err.
func (e *DecodeError) Unwrap() error { return e.Err }

// Is matches [ErrDecode].
func (*DecodeError) Is(target error) bool { return target == ErrDecode }

// undecoded is the error of an answer that was not decoded: the context's if that ended meanwhile.
func undecoded(ctx context.Context, operation string, resp *http.Response, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
		return fmt.Errorf("%s: %w", operation, err)
	}
	return &DecodeError{Operation: operation, StatusCode: resp.StatusCode, Err: err}
}

const (
	// largeAnswer is the size in bytes from which on the items of an answer are counted before it is decoded, and
	// the decoding ends with the context. Smaller ones are done in a few milliseconds.
	largeAnswer = 256 << 10
	// maxItems bounds the items of one list. The longest of the API, all CVMs of a workspace, has 27,000 in the
	// 32 MiB that are read.
	maxItems = 50_000
	// maxValues bounds the lists, objects and items of an answer in all.
	maxValues = 1_000_000
)

// decode reads an answer into a pointer to what the caller wants: text, bytes, or anything of JSON.
// most bounds the items of a page.
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
		// Some updates are accepted without a word about them.
		data = []byte("{}")
	} else if len(blank) == 0 {
		return errors.New("the answer is empty")
	}
	if err := unmarshal(ctx, data, answer, most); err != nil {
		return fmt.Errorf("the answer (%s, %d bytes) cannot be read: %w", describeMedia(resp.Header), len(data), err)
	}
	if v := reflect.ValueOf(answer).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		return errors.New("the answer is null")
	}
	return nil
}

// unmarshal decodes JSON. A large answer is decoded beside the caller, who does not wait for it once the context
// has ended.
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

// mostItems bounds the items of a page: ten times what is documented, so that a server whose pages have grown is
// still read.
func (rt *route) mostItems() int {
	if rt.page == 0 {
		return maxItems
	}
	return min(10*rt.page, maxItems)
}

// checkCounts refuses an answer whose lists are so long that decoding it would take far more memory than it has
// bytes: a page of more than most items, or another list of more than maxItems. It looks at the structure only;
// what is not JSON is for the decoder.
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
			return fmt.Errorf("it has more than %d values", maxValues)
		}
	}
	return nil
}

// stringEnd returns the place after the closing quote of a string that was opened, or -1.
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
