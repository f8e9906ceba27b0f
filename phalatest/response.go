package phalatest

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/openapi"
)

// answer is the response of a handler: a status with a body, or a stream.
type answer struct {
	status int
	body   any // JSON, unless raw is set
	raw    []byte
	media  string
	header http.Header
	stream func(w http.ResponseWriter, r *http.Request)
}

func ok(body any) answer { return answer{status: http.StatusOK, body: body} }

func accepted(body any) answer { return answer{status: http.StatusAccepted, body: body} }

func noContent() answer { return answer{status: http.StatusNoContent} }

func text(media, body string) answer {
	return answer{status: http.StatusOK, raw: []byte(body), media: media}
}

// object is a JSON object.
type object = map[string]any

// plain returns an error in the form {"detail": text}.
func plain(status int, detail string) answer {
	return answer{status: status, body: object{"detail": detail}}
}

// structured returns an error with a code.
func structured(status int, code, message string, details ...object) answer {
	if details == nil {
		details = []object{}
	}
	return answer{status: status, body: object{
		"error_code": code, "message": message, "details": details,
		"suggestions": []string{}, "links": []object{},
	}}
}

// refuse returns a structured error as a pointer, the result type of checks; nil means no error.
func refuse(status int, code, message string, details ...object) *answer {
	a := structured(status, code, message, details...)
	return &a
}

// invalid returns a validation error in the form of a 422.
func invalid(message, kind string, loc ...any) answer {
	return answer{status: http.StatusUnprocessableEntity, body: object{
		"detail": []object{{"loc": loc, "msg": message, "type": kind}},
	}}
}

// message returns the text of an error with a code.
func (a *answer) message() string {
	body, _ := a.body.(object)
	text, _ := body["message"].(string)
	return text
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// sortedKeys is never nil, so that it is a list in JSON.
func sortedKeys[V any](m map[string]V) []string {
	return append([]string{}, slices.Sorted(maps.Keys(m))...)
}

// stamp writes a time as the API does.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// second returns a time as responses have it, in whole seconds.
func second(t time.Time) openapi.Time {
	if t.IsZero() {
		return openapi.Time{}
	}
	return openapi.Time{Time: t.UTC().Truncate(time.Second)}
}

func stampOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}

// listing is what a list has, without having it in one slice: a page of it costs no more than the page.
type listing[T any] struct {
	total int
	items func(from, to int) []T
}

// all lists a slice.
func all[T any](list []T) listing[T] {
	return listing[T]{len(list), func(from, to int) []T { return list[from:to] }}
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

// newestFirst lists a slice backwards.
func newestFirst[T any](list []T) listing[T] {
	return listing[T]{len(list), func(from, to int) []T {
		page := make([]T, 0, to-from)
		for i := from; i < to; i++ {
			page = append(page, list[len(list)-1-i])
		}
		return page
	}}
}

// pageNames are the members of a page that its pagination style names, and the size of one if none is asked for.
type pageNames struct {
	items, pages string
	size         int
}

// page cuts one page out of a list and describes it.
func page[T any](c *call, list listing[T], names pageNames, describe func(T) any) answer {
	number, size := c.number("page", 1), c.number("page_size", names.size)
	from := list.total
	if number <= list.total { // else the product may be too large
		from = min((number-1)*size, list.total)
	}
	items := []any{}
	for _, one := range list.items(from, min(from+size, list.total)) {
		items = append(items, describe(one))
	}
	return ok(object{
		names.items: items, "total": list.total, "page": number, "page_size": size, names.pages: (list.total + size - 1) / size,
	})
}
