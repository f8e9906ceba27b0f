package description

import (
	"net/url"
	"strings"
)

// Route is the verb and the path of an operation.
type Route struct {
	// Verb is the method of HTTP, such as "GET".
	Verb string
	// Path is the template with parameters in braces, such as "/api/v1/cvms/{cvm_id}".
	Path string
}

// Router finds operations by verb and number of segments.
type Router[T any] map[string][]candidate[T]

type candidate[T any] struct {
	to       *T
	segments []string
}

// NewRouter returns a router to the operations of a table; of returns the route of each.
func NewRouter[T any](table []T, of func(*T) Route) Router[T] {
	r := Router[T]{}
	for i := range table {
		route := of(&table[i])
		segments := strings.Split(route.Path, "/")
		key := routerKey(route.Verb, segments)
		r[key] = append(r[key], candidate[T]{&table[i], segments})
	}
	return r
}

func routerKey(verb string, segments []string) string {
	return verb + strings.Repeat("/", len(segments))
}

// Find returns the operation of a request and the values of its path parameters, or nil. Literal segments have priority
// over parameters.
func (r Router[T]) Find(verb, escapedPath string) (*T, map[string]string) {
	got := strings.Split(escapedPath, "/")
	var best candidate[T]
	bestLiterals := -1
	for _, c := range r[routerKey(verb, got)] {
		if literals, ok := fit(c.segments, got); ok && literals > bestLiterals {
			best, bestLiterals = c, literals
		}
	}
	if best.to == nil {
		return nil, nil
	}
	return best.to, values(best.segments, got)
}

func fit(want, got []string) (literals int, ok bool) {
	for i, segment := range want {
		switch {
		case strings.HasPrefix(segment, "{"):
			if value, err := url.PathUnescape(got[i]); err != nil || value == "" {
				return 0, false
			}
		case segment == got[i]:
			literals++
		default:
			return 0, false
		}
	}
	return literals, true
}

func values(want, got []string) map[string]string {
	params := map[string]string{}
	for i, segment := range want {
		if name, isParam := strings.CutPrefix(segment, "{"); isParam {
			params[strings.TrimSuffix(name, "}")], _ = url.PathUnescape(got[i])
		}
	}
	return params
}
