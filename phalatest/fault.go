package phalatest

import (
	"bytes"
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/pause"
)

// Fault is a fault of an operation. Its parts combine.
type Fault struct {
	// Times is the number of affected calls; 0 means one, a negative number all.
	Times int
	// Delay is the time before anything else.
	Delay time.Duration

	// Status replaces the operation by a response with this status. Its body is Body, or else an error with Code and
	// Message, or else one with a Message alone.
	Status int
	// Code is an error code such as "ERR-02-015", Message its text.
	Code, Message string
	// Body is the body of the response; HTML if it begins with "<", otherwise JSON.
	Body string
	// RetryAfter is sent with Status, in whole seconds; 0 is not sent.
	RetryAfter time.Duration
	// Header is the header of the response.
	Header http.Header

	// LoseRequest cuts the connection before the operation.
	LoseRequest bool
	// LoseResponse cuts the connection after the operation.
	LoseResponse bool
	// CutAfter cuts the connection after this many bytes of the response, or of the stream; 0 does not.
	CutAfter int
	// EndAfter ends the response after this many bytes as if it were complete; 0 does not.
	EndAfter int
	// Endless never ends the response: spaces follow it until the client gives up.
	Endless bool
	// Trickle is the delay before each byte of the response.
	Trickle time.Duration
}

// Locked returns the fault of a CVM on which another operation runs.
func Locked() Fault { return Fault{Status: http.StatusConflict, Message: busyMessage} }

// ExpiredToken returns the fault of an expired API key.
func ExpiredToken() Fault {
	return Fault{Status: http.StatusUnauthorized, Message: "API key has expired"}
}

// HTML returns the fault of a proxy in front of the API, which responds in HTML.
func HTML(status int) Fault {
	return Fault{Status: status, Body: "<html><head><title>" + strconv.Itoa(status) + " " + http.StatusText(status) + "</title></head></html>"}
}

// Fault adds a fault to the next calls of an operation, such as "CVMs.Create". Faults of one operation queue up.
func (s *Server) Fault(operation string, f Fault) {
	s.requireOperation(operation)
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operationName(operation)] = append(s.faults[operationName(operation)], f)
}

// TamperResponse passes every response of an operation through fn, which may change status and body. A nil fn ends it.
func (s *Server) TamperResponse(operation string, fn func(status int, body []byte) (int, []byte)) {
	s.requireOperation(operation)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tampers[operationName(operation)] = fn
}

// FailBoot makes the next boots of the CVM with that name fail with an error text. An empty text ends it.
func (s *Server) FailBoot(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bootFails[name] = text
}

func (s *Server) nextFault(operation operationName) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	queue := s.faults[operation]
	if len(queue) == 0 {
		return Fault{}
	}
	f := queue[0]
	if queue[0].Times--; queue[0].Times == 0 {
		s.faults[operation] = queue[1:]
	}
	return f
}

// response returns the response in place of the operation.
func (f Fault) response() *response {
	message := cmp.Or(f.Message, http.StatusText(f.Status))
	r := plainError(f.Status, message)
	switch {
	case strings.HasPrefix(f.Body, "<"):
		r = &response{status: f.Status, raw: []byte(f.Body), media: "text/html"}
	case f.Body != "":
		r = &response{status: f.Status, raw: []byte(f.Body), media: "application/json"}
	case f.Code != "":
		r = codedError(f.Status, f.Code, message)
	}
	if r.header = f.Header.Clone(); r.header == nil {
		r.header = http.Header{}
	}
	if f.RetryAfter > 0 {
		r.header.Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	return r
}

// writer returns a writer that sends the response with the fault.
func (f Fault) writer(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if f.CutAfter <= 0 && f.EndAfter <= 0 && !f.Endless && f.Trickle <= 0 {
		return w
	}
	return &faultWriter{ResponseWriter: w, request: r, fault: f}
}

type faultWriter struct {
	http.ResponseWriter
	request *http.Request
	fault   Fault
	sent    int
}

func (w *faultWriter) Write(p []byte) (int, error) {
	for _, b := range p {
		if w.fault.EndAfter > 0 && w.sent == w.fault.EndAfter {
			return len(p), nil
		}
		if w.fault.Trickle > 0 {
			_ = pause.For(w.request.Context(), w.fault.Trickle)
			w.Flush()
		}
		if _, err := w.ResponseWriter.Write([]byte{b}); err != nil {
			return 0, err
		}
		if w.sent++; w.sent == w.fault.CutAfter {
			w.Flush()
			panic(http.ErrAbortHandler)
		}
	}
	return len(p), nil
}

// finish continues for ever if the response is endless.
func (w *faultWriter) finish() {
	spaces := bytes.Repeat([]byte(" "), 4096)
	for w.fault.Endless && w.request.Context().Err() == nil {
		if _, err := w.ResponseWriter.Write(spaces); err != nil {
			return
		}
		w.Flush()
	}
}

// Flush sends what has been written.
func (w *faultWriter) Flush() { flush(w.ResponseWriter) }

func flush(w http.ResponseWriter) {
	if f, canFlush := w.(http.Flusher); canFlush {
		f.Flush()
	}
}
