package phalatest

import (
	"net/http"
	"time"
)

// Fault is a way to misbehave.
type Fault struct {
	// Times is how many calls it affects; 0 means one, a negative number all.
	Times int
	// Delay comes before anything else.
	Delay time.Duration
	// Status answers with this status, Body and Header instead of doing the work.
	Status int
	// Body of the answer; HTML where it begins with "<", else JSON.
	Body string
	// Header of the answer, such as Retry-After.
	Header http.Header
	// LoseRequest cuts the connection before the work is done.
	LoseRequest bool
	// LoseAnswer cuts the connection after the work was done.
	LoseAnswer bool
	// CutAfter cuts the answer, or the stream, after this many bytes; 0 does not.
	CutAfter int
}

// Inject lets the next calls of an operation, such as "CVMs.Create", misbehave. Faults of one operation
// queue up.
func (s *Server) Inject(operation string, f Fault) {
	s.known(operation)
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[operation] = append(s.faults[operation], f)
}

// Rewrite passes every answer of an operation through fn, which may change status and body: a cloud that
// lies. A nil fn ends it.
func (s *Server) Rewrite(operation string, fn func(status int, body []byte) (int, []byte)) {
	s.known(operation)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rewrites[operation] = fn
}

// FailBoot lets the CVM of that name fail to boot, with an error text, from now on. An empty text ends it.
func (s *Server) FailBoot(name, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bootFails[name] = text
}

// known fails the test over the name of an operation that does not exist.
func (s *Server) known(operation string) {
	for _, r := range s.routes {
		if r.operation == operation {
			return
		}
	}
	s.wrong("%s is no operation of the API", operation)
}

func (s *Server) nextFault(operation string) Fault {
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

// before delays, and says whether the connection is cut before the work.
func (f Fault) before(_ http.ResponseWriter, r *http.Request) bool {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	return f.LoseRequest
}

func (f Fault) media() string {
	if len(f.Body) > 0 && f.Body[0] == '<' {
		return "text/html"
	}
	return "application/json"
}

// cutting is a writer that cuts the connection after so many bytes.
func (f Fault) cutting(w http.ResponseWriter) http.ResponseWriter {
	if f.CutAfter <= 0 {
		return w
	}
	return &cutWriter{ResponseWriter: w, left: f.CutAfter}
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	w.Flush()
	panic(http.ErrAbortHandler)
}

// Flush sends what has been written.
func (w *cutWriter) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
