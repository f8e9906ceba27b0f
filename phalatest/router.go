package phalatest

import (
	"net/url"
	"strings"
)

// operationName is an operation as service and method, such as "CVMs.Create".
type operationName string

// route is one operation as the generated table lists it.
type route struct {
	operation   operationName
	verb        string
	path        string
	status      int
	answer      func(*Server, *call) answer
	public      bool
	optionalKey bool
}

// router finds operations by verb and number of segments.
type router map[string][]candidate

type candidate struct {
	route    *route
	segments []string
}

func newRouter(routes []route) router {
	r := router{}
	for i := range routes {
		segments := strings.Split(routes[i].path, "/")
		key := routerKey(routes[i].verb, segments)
		r[key] = append(r[key], candidate{&routes[i], segments})
	}
	return r
}

func routerKey(verb string, segments []string) string {
	return verb + strings.Repeat("/", len(segments))
}

// find returns the operation of a request and the values of its path parameters. Literal segments go before
// parameters.
func (r router) find(verb, escapedPath string) (*route, map[string]string) {
	got := strings.Split(escapedPath, "/")
	var best candidate
	bestLiterals := -1
	for _, c := range r[routerKey(verb, got)] {
		if literals, ok := fit(c.segments, got); ok && literals > bestLiterals {
			best, bestLiterals = c, literals
		}
	}
	if best.route == nil {
		return nil, nil
	}
	return best.route, values(best.segments, got)
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
