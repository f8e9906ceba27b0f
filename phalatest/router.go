package phalatest

import (
	"net/url"
	"strings"
)

// route is one operation as the generated table lists it.
type route struct {
	operation string
	verb      string
	path      string
	status    int
	public    bool
}

// find returns the operation of a request and the values of its path parameters. Literal segments go before
// parameters.
func find(routes []route, verb, escapedPath string) (*route, map[string]string) {
	got := strings.Split(escapedPath, "/")
	var best *route
	var bestParams map[string]string
	bestLiterals := -1
	for i := range routes {
		r := &routes[i]
		if r.verb != verb {
			continue
		}
		params, literals, ok := fit(strings.Split(r.path, "/"), got)
		if ok && literals > bestLiterals {
			best, bestParams, bestLiterals = r, params, literals
		}
	}
	return best, bestParams
}

func fit(want, got []string) (params map[string]string, literals int, ok bool) {
	if len(want) != len(got) {
		return nil, 0, false
	}
	params = map[string]string{}
	for i, segment := range want {
		name, isParam := strings.CutPrefix(segment, "{")
		switch {
		case !isParam && segment == got[i]:
			literals++
		case !isParam:
			return nil, 0, false
		default:
			value, err := url.PathUnescape(got[i])
			if err != nil || value == "" {
				return nil, 0, false
			}
			params[strings.TrimSuffix(name, "}")] = value
		}
	}
	return params, literals, true
}
