package phalatest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
)

// Request is a call that the server has received.
type Request struct {
	// Operation such as "CVMs.Create"; empty where there is none.
	Operation string
	// Method and Path as they came, the path unescaped and without its query.
	Method, Path string
	// Query as it came, with the value of a token redacted.
	Query string
	// Header with the API key redacted.
	Header http.Header
	// Body with secrets redacted.
	Body []byte
	// Status that was answered; 0 where the connection was cut first.
	Status int
}

// Requests are the calls so far, in order. Secrets in them read "[redacted]".
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

const redacted = "[redacted]"

func (s *Server) record(c *call, status int, body []byte) {
	r := Request{Method: c.Method, Path: c.URL.Path, Header: c.Header.Clone(), Body: redact(body), Status: status}
	if c.route != nil {
		r.Operation = string(c.route.operation)
	}
	query := c.URL.Query()
	if query.Has("token") {
		query.Set("token", redacted)
	}
	r.Query = query.Encode()
	for _, name := range []string{"X-Api-Key", "Authorization", "Cookie"} {
		if r.Header.Get(name) != "" {
			r.Header.Set(name, redacted)
		}
	}
	if s.log != nil {
		s.log.Info(r.Method+" "+r.Path, "query", r.Query, "operation", r.Operation, "status", r.Status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
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
