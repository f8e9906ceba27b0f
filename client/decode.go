package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"strings"

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

const (
	// maxBody limits a response. The longest ones, attestations with their event logs, have a few MiB.
	maxBody = 32 << 20
	// maxErrorBody limits the part of an error response that is kept.
	maxErrorBody = 1 << 20
)

// bodyLimit returns the limit of an operation's response; rt may be nil.
func (rt *route) bodyLimit() int64 {
	if rt == nil || rt.limit == 0 {
		return maxBody
	}
	return rt.limit
}

// BodyTooLargeError is returned if a response is longer than the client reads.
type BodyTooLargeError struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// Limit is the limit in bytes.
	Limit int64
}

func (e *BodyTooLargeError) Error() string {
	return fmt.Sprintf("%s: the response is longer than %d bytes", e.Operation, e.Limit)
}

// buffered is the body of a response that has been read already.
type buffered struct {
	bytes.Reader
	data []byte
}

func (*buffered) Close() error { return nil }

func newBuffered(data []byte) *buffered {
	b := &buffered{data: data}
	b.Reset(data)
	return b
}

// readAll reads a body of at most limit bytes. more reports whether the body is longer.
func readAll(resp *http.Response, limit int64) (data []byte, more bool, err error) {
	if n := resp.ContentLength; n >= 0 && n <= limit {
		// One byte more than announced, so that the end is seen without growing.
		data = make([]byte, 0, n+1)
	} else {
		data = make([]byte, 0, 4096)
	}
	for {
		if int64(len(data)) > limit {
			return data[:limit], true, nil
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		free := data[len(data):min(int64(cap(data)), limit+1)]
		n, err := resp.Body.Read(free)
		data = data[:len(data)+n]
		if err == io.EOF {
			if int64(len(data)) > limit {
				return data[:limit], true, nil
			}
			return data, false, nil
		}
		if err != nil {
			return data, false, err
		}
	}
}

// lenientUnmarshal decodes JSON, and a value that does not fit its field a second time with conversions: a number
// from a text or with a decimal point, a boolean from a number or a text, a text from a number. A value that cannot
// be converted leaves its field zero, as if it were absent, so that one unexpected field does not fail a whole page.
// Only invalid JSON, or JSON of another type than requested, is an error.
func lenientUnmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	if err == nil || !json.Valid(data) {
		return err
	}
	v := reflect.ValueOf(into).Elem()
	v.SetZero()
	if !fit(data, v) {
		return err
	}
	return nil
}

// fit decodes a value of JSON into v, and reports whether it fits. If not, v is zero.
func fit(data []byte, v reflect.Value) bool {
	data = bytes.TrimSpace(data)
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		if u.UnmarshalJSON(data) != nil {
			v.SetZero()
			return false
		}
		return true
	}
	switch v.Kind() {
	case reflect.Pointer:
		if string(data) == "null" {
			return true
		}
		elem := reflect.New(v.Type().Elem())
		if !fit(data, elem.Elem()) {
			return false
		}
		v.Set(elem)
		return true
	case reflect.Struct:
		return fitStruct(data, v)
	case reflect.Slice:
		return fitSlice(data, v)
	case reflect.Map:
		return fitMap(data, v)
	}
	if json.Unmarshal(data, v.Addr().Interface()) == nil {
		return true
	}
	v.SetZero()
	return fitScalar(data, v)
}

func fitStruct(data []byte, v reflect.Value) bool {
	if len(data) == 0 || data[0] != '{' {
		return string(data) == "null"
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return false
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-" || !field.IsExported():
		case name == "" && field.Anonymous && field.Type.Kind() == reflect.Struct:
			fitStruct(data, v.Field(i))
		default:
			if raw, ok := memberOf(members, cmp.Or(name, field.Name)); ok {
				fit(raw, v.Field(i))
			}
		}
	}
	return true
}

// memberOf returns a member by its name, whatever its case, as encoding/json does.
func memberOf(members map[string]json.RawMessage, name string) (json.RawMessage, bool) {
	if raw, ok := members[name]; ok {
		return raw, true
	}
	for other, raw := range members {
		if strings.EqualFold(other, name) {
			return raw, true
		}
	}
	return nil, false
}

// fitSlice omits the items that do not fit.
func fitSlice(data []byte, v reflect.Value) bool {
	if len(data) == 0 || data[0] != '[' {
		return string(data) == "null"
	}
	var items []json.RawMessage
	if json.Unmarshal(data, &items) != nil {
		return false
	}
	list := reflect.MakeSlice(v.Type(), 0, len(items))
	for _, raw := range items {
		item := reflect.New(v.Type().Elem()).Elem()
		if fit(raw, item) {
			list = reflect.Append(list, item)
		}
	}
	v.Set(list)
	return true
}

func fitMap(data []byte, v reflect.Value) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || v.Type().Key().Kind() != reflect.String {
		return false
	}
	if members == nil {
		return true
	}
	values := reflect.MakeMapWithSize(v.Type(), len(members))
	for name, raw := range members {
		value := reflect.New(v.Type().Elem()).Elem()
		if fit(raw, value) {
			values.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), value)
		}
	}
	v.Set(values)
	return true
}

// fitScalar converts between numbers, texts and flags if the meaning is unambiguous.
func fitScalar(data []byte, v reflect.Value) bool {
	text := string(data)
	if data[0] == '"' {
		if json.Unmarshal(data, &text) != nil {
			return false
		}
		text = strings.TrimSpace(text)
	} else if data[0] == '{' || data[0] == '[' {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return true
	case reflect.Bool:
		yes, err := strconv.ParseBool(text)
		v.SetBool(yes)
		return err == nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && !v.OverflowInt(n) {
			v.SetInt(n)
			return true
		}
		// 2^53 and more may have been rounded.
		if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && !v.OverflowInt(int64(f)) {
			v.SetInt(int64(f))
			return true
		}
	case reflect.Float64, reflect.Float32:
		if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			v.SetFloat(f)
			return true
		}
	}
	return false
}
