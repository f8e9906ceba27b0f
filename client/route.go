package client

import (
	"errors"
	"sort"
	"strings"

	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/openapi"
)

// ErrRoute is matched by the errors of a request whose path would reach no operation, or another one than intended.
// Nothing was sent.
var ErrRoute = errors.New("the request would not reach its operation")

// operation is the number of an operation of the description.
type operation uint16

// The operations that a call may have besides those of the description.
const (
	opAny       operation = 0       // any path below the base URL
	opDescribed operation = 1 << 15 // any described operation that matches the path
)

func (op operation) known() bool { return op != opAny && op != opDescribed }

// retryClass determines when a failed call may be repeated.
type retryClass uint8

const (
	retryUnsafe     retryClass = iota // a second request has a second effect
	retryIdempotent                   // a second request has no further effect
	retrySafe                         // a request has no effect
)

// route is an operation in the form that the pipeline needs.
type route struct {
	name    string
	verb    string
	path    string // below the base URL, with parameters in braces
	version string // of the API, if the operation pins one
	retry   retryClass
	public  bool // needs no API key, and none is sent
	// optionalKey reports whether the operation works without an API key. A key is sent if there is one, because the
	// response then has more data.
	optionalKey bool
	page        int   // documented maximum of items per page; 0 if the response is no page
	text        bool  // its body is plain text
	stream      bool  // can respond with server-sent events
	limit       int64 // of the response in bytes; 0 means maxBody
}

// router finds the operation of a path. Literal segments take precedence over parameters.
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
	segments []string // "" is a parameter
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

// moreLiteral orders a before b if a has a literal at the first segment where they differ.
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

// cvmPath returns an identifier of a CVM in the form of the path: a version 4 UUID without its dashes, an app id for
// 40 hex digits, bare or with 0x, and everything else (a cvm_… id, a name, app_…, instance_…) unchanged. Bare
// digits never mean an instance, which has the prefix "instance_".
func cvmPath(id string) openapi.PathParam {
	switch {
	case uuid.IsV4(id):
		return openapi.PathParam(strings.ReplaceAll(id, "-", ""))
	case isHex(id, 40):
		return openapi.PathParam("app_" + id)
	case strings.HasPrefix(id, "0x") && isHex(id[2:], 40):
		return openapi.PathParam("app_" + strings.ToLower(id[2:]))
	}
	return openapi.PathParam(id)
}

// appPath returns an app id in the form of the path: 40 lower-case digits without a prefix.
func appPath(id string) openapi.PathParam {
	bare := strings.TrimPrefix(strings.TrimPrefix(id, "app_"), "0x")
	if isHex(bare, 40) {
		return openapi.PathParam(strings.ToLower(bare))
	}
	return openapi.PathParam(id)
}

// hashPath returns a hash in the form of the path: lower-case digits without 0x.
func hashPath(hash string) openapi.PathParam {
	if bare := strings.TrimPrefix(hash, "0x"); isHex(bare, 64) {
		return openapi.PathParam(strings.ToLower(bare))
	}
	return openapi.PathParam(hash)
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
