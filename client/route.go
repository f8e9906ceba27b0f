package client

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"github.com/phala-go/phala/openapi"
)

// ErrRoute is matched by the errors of a request whose path would reach another operation than the one
// intended, or none. Nothing was sent.
var ErrRoute = errors.New("the request would not reach its operation")

// operation numbers the operations of the description; 0 is none of them.
type operation uint16

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

// fill puts checked parameters into the path of op. Whether the path then leads to op is for the guard.
func (r *router) fill(op operation, params []openapi.PathParam) (string, error) {
	rt := &r.routes[op]
	if len(params) == 0 {
		return rt.path, nil
	}
	var b strings.Builder
	rest := rt.path
	for _, p := range params {
		if err := p.Check(); err != nil {
			return "", fmt.Errorf("%s: %w", rt.name, err)
		}
		open := strings.IndexByte(rest, '{')
		end := strings.IndexByte(rest, '}')
		b.WriteString(rest[:open])
		writeEscaped(&b, string(p))
		rest = rest[end+1:]
	}
	b.WriteString(rest)
	return b.String(), nil
}

func (r *router) name(op operation) string {
	if op == 0 {
		return "no operation of the API"
	}
	return r.routes[op].name
}

// writeEscaped writes a checked segment; what is not unreserved in RFC 3986 is percent-encoded.
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
