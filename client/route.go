package client

import (
	"errors"
	"sort"
	"strings"
)

// ErrRoute is matched by the errors of a request whose path would reach another operation than the one
// intended, or none. Nothing was sent.
var ErrRoute = errors.New("the request would not reach its operation")

// operation numbers the operations of the description.
type operation uint16

// What a call may be besides an operation of the description.
const (
	opAny       operation = 0       // anything below the base URL
	opDescribed operation = 1 << 15 // whichever operation the path is of, but one of them
)

func (op operation) known() bool { return op != opAny && op != opDescribed }

// retryClass says when a failed call may be repeated.
type retryClass uint8

const (
	retryUnsafe     retryClass = iota // a second arrival does something a second time
	retryIdempotent                   // a second arrival changes nothing more
	retrySafe                         // it changes nothing at all
)

// route is an operation as the pipeline needs it.
type route struct {
	name    string
	verb    string
	path    string // below the base URL, with parameters in braces
	version string // of the API, where the operation pins one
	retry   retryClass
	public  bool // needs no API key, and none is sent
	// optionalKey says that it works without an API key. One is sent where there is one, since it shows more.
	optionalKey bool
	page        int   // most items of a page, as documented; 0 if the answer is no page
	text        bool  // its body is plain text
	stream      bool  // can answer with server-sent events
	limit       int64 // of the answer in bytes, where maxBody would be far too wide; else 0
}

// router finds the operation that a path belongs to, preferring literal segments to parameters.
type router struct {
	routes  []route
	byShape map[routeShape][]candidate
}

type routeShape struct {
	verb     string
	segments int
}

type candidate struct {
	op       operation
	segments []string // "" stands for a parameter
}

func newRouter(routes []route) *router {
	r := &router{routes: routes, byShape: map[routeShape][]candidate{}}
	for i, rt := range routes {
		if rt.path == "" {
			continue
		}
		segments := strings.Split(rt.path[1:], "/")
		for j, s := range segments {
			if s[0] == '{' {
				segments[j] = ""
			}
		}
		shape := routeShape{rt.verb, len(segments)}
		r.byShape[shape] = append(r.byShape[shape], candidate{operation(i), segments})
	}
	for _, candidates := range r.byShape {
		sort.Slice(candidates, func(i, j int) bool { return moreLiteral(candidates[i].segments, candidates[j].segments) })
	}
	return r
}

// moreLiteral orders a route before another where it has a literal at the first place they differ.
func moreLiteral(a, b []string) bool {
	for i := range a {
		if (a[i] == "") != (b[i] == "") {
			return b[i] == ""
		}
	}
	return false
}

// match returns the operation of an escaped path below the base URL, or 0.
func (r *router) match(verb, path string) operation {
	if path == "" || path[0] != '/' {
		return 0
	}
	for _, c := range r.byShape[routeShape{verb, strings.Count(path, "/")}] {
		if fits(c.segments, path[1:]) {
			return c.op
		}
	}
	return 0
}

func fits(segments []string, path string) bool {
	for _, want := range segments {
		got := path
		if i := strings.IndexByte(path, '/'); i >= 0 {
			got, path = path[:i], path[i+1:]
		}
		if got == "" || want != "" && want != got {
			return false
		}
	}
	return true
}

func (r *router) name(op operation) string {
	if !op.known() {
		return "no operation of the API"
	}
	return r.routes[op].name
}
