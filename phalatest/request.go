package phalatest

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/internal/description"
)

// call is a request to a handler, with what its path names; see [Server.resolve].
type call struct {
	*http.Request
	server    *Server
	route     *route
	params    map[string]string
	body      []byte
	version   string
	workspace *Workspace // nil without an API key

	vm       *cvm
	app      *app
	kms      *kmsService
	quote    *uploadedQuote
	hook     *hook
	revision *revision
}

// newestVersion is the version of a request without a version header.
const newestVersion = "2026-06-23"

// hashedIDs reports whether all ids are strings with a prefix in the version of the call.
func (c *call) hashedIDs() bool { return c.version >= "2026-05-22" }

// nested reports whether a CVM has its size, image and KMS in objects of their own in the version of the call.
func (c *call) nested() bool { return c.version >= "2026-01-21" }

// contractKeyed reports whether /kms lists contracts, and not nodes, in the version of the call.
func (c *call) contractKeyed() bool { return c.version >= "2026-06-23" }

// ServeHTTP handles one request, so that a program can serve the cloud at any address: the paths begin with /api/v1,
// and with /logs for the logs of CVMs. [Server.URL] and [Server.Transport] use it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path, isLog := strings.CutPrefix(r.URL.Path, logPath); isLog {
		s.serveLog(w, r, path)
		return
	}
	id := requestID()
	w.Header().Set("X-Request-ID", id)
	body, err := readBody(r)
	c := &call{Request: r, server: s, body: body, version: strings.ToLower(r.Header.Get("X-Phala-Version"))}
	c.route, c.params = s.router.Find(r.Method, r.URL.EscapedPath())
	if c.version == "" {
		c.version = newestVersion
	}
	var fault Fault
	var out *response
	switch {
	case c.route == nil:
		s.failTest("%s %s is no operation of the API", r.Method, r.URL.Path)
		out = plainError(http.StatusNotFound, "Not Found")
	case err != nil:
		out = plainError(http.StatusRequestEntityTooLarge, err.Error())
	default:
		out = s.admit(c)
	}
	if out == nil {
		fault = s.nextFault(c.route.operation)
		_ = pause.For(r.Context(), fault.Delay)
		switch {
		case fault.LoseRequest:
			s.record(c, 0)
			panic(http.ErrAbortHandler)
		case fault.Status != 0:
			out = fault.response()
		default:
			out = s.handle(c)
		}
	}
	s.record(c, out.status)
	if fault.LoseResponse {
		panic(http.ErrAbortHandler)
	}
	s.send(w, c, out, id, fault)
}

// maxRequest bounds a request body, in bytes.
const maxRequest = 1 << 20

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxRequest+1))
	if err == nil && len(data) > maxRequest {
		err = fmt.Errorf("more than %d bytes", maxRequest)
	}
	return data, err
}

func requestID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return "req_" + hex.EncodeToString(id[:])
}

// admit checks the API key, the version, and the request against the description. It returns nil if all are valid.
func (s *Server) admit(c *call) *response {
	if !c.route.public {
		key := c.Header.Get("X-API-Key")
		switch {
		case key == "" && c.route.optionalKey:
		case key == "":
			s.failTest("%s: no X-API-Key", c.route.operation)
			return plainError(http.StatusUnauthorized, "Not authenticated")
		default:
			if c.workspace = s.authenticate(key); c.workspace == nil {
				return plainError(http.StatusUnauthorized, "Invalid API key")
			}
		}
		if c.Header.Get("X-Phala-Version") == "" {
			s.failTest("%s: no X-Phala-Version", c.route.operation)
		} else if _, err := time.Parse(time.DateOnly, c.version); err != nil && c.version != "latest" {
			s.failTest("%s: X-Phala-Version %q is no date", c.route.operation, c.version)
			return plainError(http.StatusBadRequest, "Unknown API version")
		}
	}
	return s.validate(c)
}

// readDescription reads the description once in a process: it takes some milliseconds.
var readDescription = sync.OnceValues(func() (*description.Description, error) { return description.Read(openapi.Document()) })

// validate fails the test if a request does not match the description, and returns a 422 if the API would refuse it.
func (s *Server) validate(c *call) *response {
	mistakes, err := s.described.Check(description.Request{Route: c.route.described(), Request: c.Request, Body: c.body})
	if err != nil {
		s.failTest("%s: %v", c.route.operation, err)
		return plainError(http.StatusInternalServerError, err.Error())
	}
	var details []object
	for _, m := range mistakes {
		s.failTest("%s: the request does not fit the description: %s: %s", c.route.operation, m.Place(), m.Text)
		if !m.Unknown {
			details = append(details, object{"loc": m.Loc, "msg": m.Text, "type": "value_error"})
		}
	}
	if details == nil {
		return nil
	}
	return &response{status: http.StatusUnprocessableEntity, body: object{"detail": details}}
}

func (s *Server) handle(c *call) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	if bad := s.resolve(c); bad != nil {
		return bad
	}
	if c.vm != nil && c.vm.op != nil && exclusive(c.route.operation) {
		return conflict()
	}
	return c.route.answer(s, c)
}

// number reads an integer of the query, which fits the description.
func (c *call) number(name string, absent int) int {
	n, err := strconv.Atoi(c.URL.Query().Get(name))
	if err != nil {
		return absent
	}
	return n
}

// timeRange returns a predicate of the times between two query parameters, both included, which fit the description.
func (c *call) timeRange(from, to string) func(time.Time) bool {
	query := c.URL.Query()
	first, _ := time.Parse(time.RFC3339, query.Get(from))
	last, err := time.Parse(time.RFC3339, query.Get(to))
	return func(t time.Time) bool { return !t.Before(first) && (err != nil || !t.After(last)) }
}

// upload returns the text or the file of a body that is not JSON.
func (c *call) upload() (text string, given bool, err error) {
	if len(c.body) == 0 {
		return "", false, nil
	}
	media, parameters, err := mime.ParseMediaType(c.Header.Get("Content-Type"))
	if err != nil || media != "multipart/form-data" {
		return string(c.body), true, nil
	}
	parts := multipart.NewReader(bytes.NewReader(c.body), parameters["boundary"])
	for {
		part, err := parts.NextPart()
		if err == io.EOF {
			return "", false, nil
		}
		if err != nil {
			return "", false, err
		}
		if part.FormName() == "file" || part.FormName() == "hex" {
			data, err := io.ReadAll(part)
			return string(data), true, err
		}
	}
}
