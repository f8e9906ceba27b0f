package phalatest

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/phala-go/phala/openapi"
)

// response is the result of a handler: a status with a body, or a stream.
type response struct {
	status int
	body   any // JSON, unless raw is set
	raw    []byte
	media  string
	header http.Header
	stream func(w http.ResponseWriter, r *http.Request)
}

func ok(body any) *response { return &response{status: http.StatusOK, body: body} }

func created(body any) *response { return &response{status: http.StatusCreated, body: body} }

func accepted(body any) *response { return &response{status: http.StatusAccepted, body: body} }

func noContent() *response { return &response{status: http.StatusNoContent} }

func text(media, body string) *response {
	return &response{status: http.StatusOK, raw: []byte(body), media: media}
}

type object = map[string]any

// plainError returns an error in the form {"detail": text}.
func plainError(status int, detail string) *response {
	return &response{status: status, body: object{"detail": detail}}
}

// codedError returns an error with a code.
func codedError(status int, code, message string, details ...object) *response {
	if details == nil {
		details = []object{}
	}
	return &response{status: status, body: object{
		"error_code": code, "message": message, "details": details,
		"suggestions": []string{}, "links": []object{},
	}}
}

// invalidField returns the validation error of one field: a 422.
func invalidField(message string, loc ...any) *response {
	return &response{status: http.StatusUnprocessableEntity, body: object{
		"detail": []object{{"loc": loc, "msg": message, "type": "value_error"}},
	}}
}

// internalError returns an error of the fake itself.
func internalError(err error) *response {
	return plainError(http.StatusInternalServerError, err.Error())
}

// message returns the text of an error with a code.
func (r *response) message() string {
	body, _ := r.body.(object)
	text, _ := body["message"].(string)
	return text
}

// send writes a response with its fault.
func (s *Server) send(w http.ResponseWriter, c *call, a *response, id string, fault Fault) {
	out := fault.writer(w, c.Request)
	if a.stream != nil {
		a.stream(out, c.Request)
		return
	}
	status, data, media := a.status, a.raw, a.media
	if data == nil && a.body != nil {
		if o, isObject := a.body.(object); isObject && status >= 400 && o["error_code"] != nil {
			o["request_id"] = id
		}
		var err error
		if data, err = s.encoder.encode(a.body); err != nil {
			data, status = []byte(`{"detail":"the fake cloud failed"}`), http.StatusInternalServerError
			s.failTest("%s: %v", c.route.operation, err)
		}
		media = "application/json"
	}
	if c.route != nil {
		s.mu.Lock()
		tamper := s.tampers[c.route.operation]
		s.mu.Unlock()
		if tamper != nil {
			status, data = tamper(status, data)
		}
	}
	maps.Copy(w.Header(), a.header)
	if len(data) > 0 {
		w.Header().Set("Content-Type", media)
		if fault.EndAfter == 0 && !fault.Endless {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		}
	}
	w.WriteHeader(status)
	if c.Method == http.MethodHead {
		return
	}
	_, _ = out.Write(data)
	if f, faulty := out.(*faultWriter); faulty {
		f.finish()
	}
}

// listing is a list of which a page costs no more than the page.
type listing[T any] struct {
	total int
	items func(from, to int) []T
}

// inOrder lists a slice.
func inOrder[T any](list []T) listing[T] {
	return listing[T]{len(list), func(from, to int) []T { return list[from:to] }}
}

// newestFirst lists a slice backwards.
func newestFirst[T any](list []T) listing[T] {
	return listing[T]{len(list), func(from, to int) []T {
		page := slices.Clone(list[len(list)-to : len(list)-from])
		slices.Reverse(page)
		return page
	}}
}

// merged lists several slices, each in rising order, as one. A page costs as much as all pages up to it.
func merged[T any](lists [][]T, order func(T) int) listing[T] {
	total := 0
	for _, list := range lists {
		total += len(list)
	}
	return listing[T]{total, func(from, to int) []T {
		heads := make([]int, len(lists))
		var page []T
		for n := range to {
			next := -1
			for i, list := range lists {
				if heads[i] < len(list) && (next < 0 || order(list[heads[i]]) < order(lists[next][heads[next]])) {
					next = i
				}
			}
			if n >= from {
				page = append(page, lists[next][heads[next]])
			}
			heads[next]++
		}
		return page
	}}
}

// pageStyle is the names of the members of a page, and its default size.
type pageStyle struct {
	items, pages string
	size         int
}

// page returns the requested page of a list.
func page[T any](c *call, list listing[T], style pageStyle, describe func(T) any) *response {
	number, size := c.number("page", 1), c.number("page_size", style.size)
	from := list.total
	if number <= list.total { // else the product may be too large
		from = min((number-1)*size, list.total)
	}
	return ok(object{
		style.items: mapped(list.items(from, min(from+size, list.total)), describe), "total": list.total, "page": number, "page_size": size,
		style.pages: (list.total + size - 1) / size,
	})
}

// mapped returns the results of f. It is never nil, so that it is a list in JSON.
func mapped[T, U any](list []T, f func(T) U) []U {
	out := make([]U, len(list))
	for i, item := range list {
		out[i] = f(item)
	}
	return out
}

// first returns the first item that matches, or the zero value.
func first[T any](list []T, matches func(T) bool) (item T) {
	if i := slices.IndexFunc(list, matches); i >= 0 {
		return list[i]
	}
	return item
}

// sortedKeys is never nil, so that it is a list in JSON.
func sortedKeys[V any](m map[string]V) []string {
	return append([]string{}, slices.Sorted(maps.Keys(m))...)
}

func ref[T any](v T) *T { return &v }

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func stampOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// stamp writes a time as the API does.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// second returns a time as responses contain it, in whole seconds.
func second(t time.Time) openapi.Time {
	if t.IsZero() {
		return openapi.Time{}
	}
	return openapi.Time{Time: t.UTC().Truncate(time.Second)}
}

// numbered returns an id that is a number.
func numbered(n int) openapi.ID { return openapi.ID(strconv.Itoa(n)) }
