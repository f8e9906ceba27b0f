package phalatest

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/internal/description"
)

// newestVersion is what a request without a version gets.
const newestVersion = "2026-06-23"

// ServeHTTP handles one request, so that a program can serve the cloud at any address: the paths begin with /api/v1,
// and with /logs for the logs of CVMs. [Server.URL] and [Server.Transport] use it.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if at, isLog := strings.CutPrefix(r.URL.Path, logPath); isLog {
		s.serveLog(w, r, at)
		return
	}
	// Route, key, version, description, faults, response, tampering, and the record of it all.
	id := requestID()
	w.Header().Set("X-Request-ID", id)
	body, err := readBody(r)
	c := &call{Request: r, server: s, body: body, version: strings.ToLower(r.Header.Get("X-Phala-Version"))}
	c.route, c.params = s.router.Find(r.Method, r.URL.EscapedPath())
	if c.version == "" {
		c.version = newestVersion
	}
	var fault Fault
	a, done := answer{}, false
	switch {
	case c.route == nil:
		s.wrong("%s %s is no operation of the API", r.Method, r.URL.Path)
		a, done = plain(http.StatusNotFound, "Not Found"), true
	case err != nil:
		a, done = plain(http.StatusRequestEntityTooLarge, err.Error()), true
	default:
		a, done = s.admit(c)
	}
	if !done {
		fault = s.nextFault(c.route.operation)
		if fault.before(r) {
			s.record(c, 0, body)
			panic(http.ErrAbortHandler)
		}
		if fault.Status != 0 {
			a = fault.instead(id)
		} else {
			a = s.handle(c)
		}
	}
	s.record(c, a.status, body)
	if fault.LoseAnswer {
		panic(http.ErrAbortHandler)
	}
	s.write(w, c, a, id, fault)
}

// admit checks what every authenticated request must carry, and that it fits the description.
func (s *Server) admit(c *call) (answer, bool) {
	if !c.route.public {
		key := c.Header.Get("X-API-Key")
		switch {
		case key == "" && c.route.optionalKey:
		case key == "":
			s.wrong("%s: no X-API-Key", c.route.operation)
			return plain(http.StatusUnauthorized, "Not authenticated"), true
		default:
			s.mu.Lock()
			c.tenant = s.tenant(key)
			s.mu.Unlock()
			if c.tenant == nil {
				return plain(http.StatusUnauthorized, "Invalid API key"), true
			}
		}
		if c.Header.Get("X-Phala-Version") == "" {
			s.wrong("%s: no X-Phala-Version", c.route.operation)
		} else if _, err := time.Parse(time.DateOnly, c.version); err != nil && c.version != "latest" {
			s.wrong("%s: X-Phala-Version %q is no date", c.route.operation, c.version)
			return plain(http.StatusBadRequest, "Unknown API version"), true
		}
	}
	bad, fits := s.fits(c)
	return bad, !fits
}

func (s *Server) handle(c *call) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	return c.route.answer(s, c)
}

func (s *Server) write(w http.ResponseWriter, c *call, a answer, id string, fault Fault) {
	out := fault.through(w, c.Request)
	if a.stream != nil {
		a.stream(out, c.Request)
		return
	}
	data, media := a.raw, a.media
	if data == nil && a.body != nil {
		if o, isObject := a.body.(object); isObject && a.status >= 400 && o["error_code"] != nil {
			o["request_id"] = id
		}
		var err error
		if data, err = s.encoder.encode(a.body); err != nil {
			data, a.status = []byte(`{"detail":"the fake cloud failed"}`), http.StatusInternalServerError
			s.wrong("%s: %v", c.route.operation, err)
		}
		media = "application/json"
	}
	if c.route != nil {
		s.mu.Lock()
		tamper := s.tampers[c.route.operation]
		s.mu.Unlock()
		if tamper != nil {
			a.status, data = tamper(a.status, data)
		}
	}
	maps.Copy(w.Header(), a.header)
	if len(data) > 0 {
		w.Header().Set("Content-Type", media)
		if fault.EndAfter == 0 && !fault.Endless {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		}
	}
	w.WriteHeader(a.status)
	if c.Method == http.MethodHead {
		return
	}
	_, _ = out.Write(data)
	if f, faulty := out.(*faultWriter); faulty {
		f.finish()
	}
}

func sameKey(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func requestID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails
	return "req_" + hex.EncodeToString(id[:])
}

// call is a request to a handler.
type call struct {
	*http.Request
	server  *Server
	route   *route
	params  map[string]string
	body    []byte
	version string
	tenant  *Tenant // nil without an API key
}

// hashedIDs reports whether all ids are strings with a prefix in the version of the call.
func (c *call) hashedIDs() bool { return c.version >= "2026-05-22" }

// nested reports whether a CVM has its size, image and KMS in objects of their own in the version of the call.
func (c *call) nested() bool { return c.version >= "2026-01-21" }

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

// decode reads the JSON body, which matches the description, into v. An absent body is an empty object. ok is false
// if a value does not fit a type that the description does not contain.
func (s *Server) decode(c *call, v any) (bad answer, ok bool) {
	if len(c.body) == 0 {
		return answer{}, true
	}
	if err := json.Unmarshal(c.body, v); err != nil {
		s.wrong("%s: the body does not fit the description: %v", c.route.operation, err)
		return invalid(err.Error(), "value_error", "body"), false
	}
	return answer{}, true
}

// upload is the text or the file of a body that is not JSON.
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

// number reads an integer of the query, which fits the description.
func (c *call) number(name string, absent int) int {
	n, err := strconv.Atoi(c.URL.Query().Get(name))
	if err != nil {
		return absent
	}
	return n
}

// readDescription reads the description once in a process: it takes some milliseconds.
var readDescription = sync.OnceValues(func() (*description.Description, error) { return description.Read(openapi.Document()) })

// fits reports an error of the test for a request that does not match the description, and returns the response to
// one that the API would refuse.
func (s *Server) fits(c *call) (bad answer, ok bool) {
	wrong, err := s.described.Check(description.Request{Route: c.route.described(), Request: c.Request, Body: c.body})
	if err != nil {
		s.wrong("%s: %v", c.route.operation, err)
		return plain(http.StatusInternalServerError, err.Error()), false
	}
	var details []object
	for _, m := range wrong {
		s.wrong("%s: the request does not fit the description: %s: %s", c.route.operation, m.Place(), m.Text)
		if !m.Unknown {
			details = append(details, object{"loc": m.Loc, "msg": m.Text, "type": "value_error"})
		}
	}
	if details == nil {
		return answer{}, true
	}
	return answer{status: http.StatusUnprocessableEntity, body: object{"detail": details}}, false
}
