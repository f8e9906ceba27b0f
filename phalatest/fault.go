package phalatest

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/phala-go/phala/internal/pause"
)

// Fault is a fault of an operation. Its parts combine.
type Fault struct {
	// Times is the number of affected calls; 0 means one, a negative number all.
	Times int
	// Delay is the delay before anything else.
	Delay time.Duration

	// Status replaces the work by a response with this status. The body is Body, or else an error with Code, or else
	// one in plain form.
	Status int
	// Code is an error code such as "ERR-02-015", Message its text.
	Code, Message string
	// Body is the body of the response; HTML if it begins with "<", otherwise JSON.
	Body string
	// RetryAfter is sent with Status, in whole seconds; 0 is not sent.
	RetryAfter time.Duration
	// Header is the header of the response.
	Header http.Header

	// LoseRequest cuts the connection before the work is done.
	LoseRequest bool
	// LoseAnswer cuts the connection after the work is done.
	LoseAnswer bool
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
func Locked() Fault { return Fault{Status: http.StatusConflict, Message: busy} }

// ExpiredToken returns the fault of an expired API key.
func ExpiredToken() Fault {
	return Fault{Status: http.StatusUnauthorized, Message: "API key has expired"}
}

// HTML returns the fault of a proxy before the API.
func HTML(status int) Fault {
	return Fault{Status: status, Body: "<html><head><title>" + strconv.Itoa(status) + " " + http.StatusText(status) + "</title></head></html>"}
}

// Fault adds a fault to the next calls of an operation, such as "CVMs.Create". Faults of one operation queue up.
func (s *Server) Fault(operation string, f Fault) {
	s.known(operation)
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operationName(operation)] = append(s.faults[operationName(operation)], f)
}

// TamperAnswer passes every response of an operation through fn, which may change status and body. A nil fn ends it.
func (s *Server) TamperAnswer(operation string, fn func(status int, body []byte) (int, []byte)) {
	s.known(operation)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tampers[operationName(operation)] = fn
}

// FailBoot makes the CVM with that name fail to boot, with an error text, from now on. An empty text ends it.
func (s *Server) FailBoot(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bootFails[name] = text
}

// known fails the test if there is no operation of that name.
func (s *Server) known(operation string) {
	if !s.operations[operationName(operation)] {
		s.wrong("%s is no operation of the API", operation)
	}
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

// before waits, and reports whether the connection is cut before the work.
func (f Fault) before(r *http.Request) bool {
	_ = pause.For(r.Context(), f.Delay)
	return f.LoseRequest
}

// instead returns the response in place of the work.
func (f Fault) instead(requestID string) answer {
	a := answer{status: f.Status, header: f.Header.Clone()}
	if a.header == nil {
		a.header = http.Header{}
	}
	if f.RetryAfter > 0 {
		a.header.Set("Retry-After", strconv.Itoa(int((f.RetryAfter+time.Second-1)/time.Second)))
	}
	message := f.Message
	if message == "" {
		message = http.StatusText(f.Status)
	}
	body := plain(f.Status, message).body
	if f.Code != "" {
		body = structured(f.Status, f.Code, message).body
		body.(object)["request_id"] = requestID
	}
	switch {
	case f.Body != "" && f.Body[0] == '<':
		a.raw, a.media = []byte(f.Body), "text/html"
	case f.Body != "":
		a.raw, a.media = []byte(f.Body), "application/json"
	default:
		a.raw, _ = json.Marshal(body) // of texts
		a.media = "application/json"
	}
	return a
}

// onBody reports whether the fault is in the body of the response.
func (f Fault) onBody() bool {
	return f.CutAfter > 0 || f.EndAfter > 0 || f.Endless || f.Trickle > 0
}

// through returns a writer that sends the response with the fault.
func (f Fault) through(w http.ResponseWriter, r *http.Request) http.ResponseWriter {
	if !f.onBody() {
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
	spaces := make([]byte, 4096)
	for i := range spaces {
		spaces[i] = ' '
	}
	for w.fault.Endless && w.request.Context().Err() == nil {
		if _, err := w.ResponseWriter.Write(spaces); err != nil {
			return
		}
		w.Flush()
	}
}

// Flush sends what has been written.
func (w *faultWriter) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
