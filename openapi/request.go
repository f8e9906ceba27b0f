package openapi

import (
	"encoding"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
)

// request collects what the generated builders know of a request. Its first error is kept for build.
type request struct {
	method  string
	url     strings.Builder
	queries int
	headers [][2]string
	err     error
}

// newRequest begins a request of an operation. Each %s of the format is a path parameter.
func newRequest(method, server, format string, params ...PathParam) *request {
	r := &request{method: method}
	r.url.Grow(len(server) + len(format) + 48*(len(params)+1))
	r.url.WriteString(strings.TrimSuffix(server, "/"))
	for _, p := range params {
		before, after, _ := strings.Cut(format, "%s")
		r.url.WriteString(before)
		if err := p.Check(); err != nil && r.err == nil {
			r.err = err
		}
		writeEscaped(&r.url, string(p))
		format = after
	}
	r.url.WriteString(format)
	return r
}

// writeEscaped writes a path segment; what is not unreserved in RFC 3986 is percent-encoded.
func writeEscaped(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
}

// query adds a parameter unless it is nil; a list adds one for each item.
func (r *request) query(name string, value any) {
	for _, text := range r.texts(name, value) {
		r.url.WriteByte("?&"[min(r.queries, 1)])
		r.queries++
		r.url.WriteString(url.QueryEscape(name))
		r.url.WriteByte('=')
		r.url.WriteString(url.QueryEscape(text))
	}
}

// header adds a header unless its value is nil.
func (r *request) header(name string, value any) {
	for _, text := range r.texts(name, value) {
		r.headers = append(r.headers, [2]string{name, text})
	}
}

// texts returns the texts of a parameter: none for nil, one for a scalar, one for each item of a list.
func (r *request) texts(name string, value any) []string {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	case reflect.Slice:
		texts := make([]string, v.Len())
		for i := range texts {
			texts[i] = r.text(name, v.Index(i))
		}
		return texts
	}
	return []string{r.text(name, v)}
}

func (r *request) text(name string, v reflect.Value) string {
	switch value := v.Interface().(type) {
	case Secret:
		return string(value)
	case encoding.TextMarshaler:
		text, err := value.MarshalText()
		if err != nil && r.err == nil {
			r.err = fmt.Errorf("%s: %w", name, err)
		}
		return string(text)
	}
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int64, reflect.Int32:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	}
	if r.err == nil {
		r.err = fmt.Errorf("%s: no parameter can have the type %s", name, v.Type())
	}
	return ""
}

func (r *request) build(contentType string, body io.Reader) (*http.Request, error) {
	if r.err != nil {
		return nil, r.err
	}
	req, err := http.NewRequest(r.method, r.url.String(), body)
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header["Content-Type"] = []string{contentType}
	}
	for _, h := range r.headers {
		req.Header.Set(h[0], h[1])
	}
	return req, nil
}
