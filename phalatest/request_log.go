package phalatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// Request is a call that the server has received.
type Request struct {
	// Operation is the operation, such as "CVMs.Create"; empty if there is none.
	Operation string
	// Method and Path are those of the request, the path unescaped and without its query.
	Method, Path string
	// Query is the unchanged query, with the value of a token redacted.
	Query string
	// Header is the header, with the API key redacted.
	Header http.Header
	// Body is the body, with secrets redacted.
	Body []byte
	// Status is the status of the response; 0 if the connection was cut first.
	Status int
}

// DefaultRequestLog is the number of calls that a server remembers.
const DefaultRequestLog = 10_000

// WithRequestLog sets the number of newest calls that the server remembers for [Server.Requests]; 0 remembers none. The
// default is [DefaultRequestLog].
func WithRequestLog(calls int) Option {
	return func(s *Server) error {
		if calls < 0 {
			return fmt.Errorf("request log of %d calls: want at least 0", calls)
		}
		s.requests.limit = calls
		return nil
	}
}

// Requests returns the newest calls in their order; see [WithRequestLog]. Their secrets are replaced by "[redacted]".
func (s *Server) Requests() []Request {
	s.mu.Lock()
	kept := s.requests.inOrder()
	s.mu.Unlock()
	for i := range kept {
		kept[i] = kept[i].redacted()
	}
	return kept
}

// requestLog keeps the newest calls unredacted: redacting costs more than answering many of them.
type requestLog struct {
	limit  int
	calls  []Request
	oldest int
}

func (l *requestLog) add(r Request) {
	switch {
	case l.limit == 0:
	case len(l.calls) < l.limit:
		l.calls = append(l.calls, r)
	default:
		l.calls[l.oldest] = r
		l.oldest = (l.oldest + 1) % l.limit
	}
}

func (l *requestLog) inOrder() []Request {
	return append(slices.Clone(l.calls[l.oldest:]), l.calls[:l.oldest]...)
}

const redacted = "[redacted]"

func (s *Server) record(c *call, status int) {
	r := Request{Method: c.Method, Path: c.URL.Path, Query: c.URL.RawQuery, Header: c.Header, Body: c.body, Status: status}
	if c.route != nil {
		r.Operation = string(c.route.operation)
	}
	if s.log != nil {
		s.log.Info(r.Method+" "+r.Path, "query", redactQuery(r.Query), "operation", r.Operation, "status", r.Status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests.add(r)
}

// redacted returns a copy without secrets.
func (r Request) redacted() Request {
	r.Query, r.Header, r.Body = redactQuery(r.Query), r.Header.Clone(), redact(r.Body)
	for _, name := range []string{"X-Api-Key", "Authorization", "Cookie"} {
		if r.Header.Get(name) != "" {
			r.Header.Set(name, redacted)
		}
	}
	return r
}

func redactQuery(raw string) string {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return redacted
	}
	if query.Has("token") {
		query.Set("token", redacted)
	}
	return query.Encode()
}

// redact replaces the secrets in JSON.
func redact(body []byte) []byte {
	var value any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if !json.Valid(body) || d.Decode(&value) != nil {
		return bytes.Clone(body)
	}
	redactValue(value)
	out, err := json.Marshal(value)
	if err != nil {
		return nil
	}
	return out
}

func redactValue(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			switch name {
			case "encrypted_env", "token", "secret":
				value[name] = redacted
			default:
				redactValue(member)
			}
		}
	case []any:
		for _, member := range value {
			redactValue(member)
		}
	}
}
