package phalatest

import (
	"fmt"
	"net/http"
	"time"
)

// maxStreams is how many streams one user has at a time.
const maxStreams = 5

func getState(s *Server, c *call, vm *cvm) answer {
	target := c.URL.Query().Get("target")
	timeout := time.Duration(c.number("timeout", 300)) * time.Second
	if target == "" {
		return ok(vm.state())
	}
	if s.streams >= maxStreams {
		return plain(http.StatusTooManyRequests, "Too many streams")
	}
	s.streams++
	return answer{status: http.StatusOK, stream: func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			s.mu.Lock()
			s.streams--
			s.mu.Unlock()
		}()
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		s.follow(w, r, vm, target, timeout)
	}}
}

// follow streams the state at each step until it is the target.
func (s *Server) follow(w http.ResponseWriter, r *http.Request, vm *cvm, target string, timeout time.Duration) {
	began := time.Now()
	before := ""
	for {
		s.mu.Lock()
		s.live()
		state, busy, status := vm.state(), vm.op != nil, vm.status
		s.mu.Unlock()
		data, err := s.encoder.encode(state)
		if err != nil {
			return
		}
		if string(data) != before {
			before = string(data)
			if !event(w, "state", data) {
				return
			}
		}
		elapsed := int(time.Since(began) / time.Second)
		if string(status) == target && !busy {
			event(w, "complete", []byte(fmt.Sprintf(`{"status":%q,"elapsed":%d,"target":%q}`, status, elapsed, target)))
			return
		}
		left := timeout - time.Since(began)
		if left <= 0 {
			event(w, "timeout", []byte(fmt.Sprintf(`{"error":"timeout","elapsed":%d,"target":%q}`, elapsed, target)))
			return
		}
		s.clock.wait(r.Context(), left)
		if r.Context().Err() != nil {
			return
		}
	}
}

func event(w http.ResponseWriter, name string, data []byte) bool {
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data); err != nil {
		return false
	}
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
	return true
}
