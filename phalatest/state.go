package phalatest

import (
	"fmt"
	"net/http"
	"time"

	"github.com/phala-go/phala/openapi"
)

// state returns the state of a CVM. Empty members are left out, which every official client accepts; some refuse a
// null there.
func (vm *cvm) state() openapi.CVMState {
	state := openapi.CVMState{
		ID: openapi.ID(vm.id()), Name: vm.name, VMUUID: dashed(vm.uuid), Status: vm.status, InstanceID: vm.instance, Uptime: vm.uptime(),
		BootProgress: vm.boot, BootError: vm.failure,
	}
	if vm.status == "shutting_down" {
		state.ShutdownProgress = "stopping containers"
	}
	if !vm.exited.IsZero() {
		state.ExitedAt = stamp(vm.exited)
	}
	return state
}

func (vm *cvm) uptime() string {
	if !vm.running() {
		return ""
	}
	return time.Since(vm.started).Round(time.Second).String()
}

func (*Server) answerCVMsGetStatuses(c *call, r openapi.GetStatusesRequest) *response {
	all := map[string]openapi.CVMStatusReport{}
	for _, id := range r.VMUUIDs {
		if vm, bad := c.workspace.find(id); bad == nil {
			all[id] = vm.describeStatus(c)
		}
	}
	return ok(all)
}

// describeStatus returns a CVM of a batch. The newest version has the operation in a member of its own.
func (vm *cvm) describeStatus(c *call) openapi.CVMStatusReport {
	status := openapi.CVMStatusReport{
		VMUUID: dashed(vm.uuid), Status: vm.status, Uptime: vm.uptime(), InProgress: ref(vm.op != nil), BootProgress: vm.boot,
		BootError: vm.failure, Events: []openapi.GuestEvent{},
	}
	if vm.boot != "" {
		status.Events = append(status.Events, openapi.GuestEvent{Event: "boot.progress", Body: vm.boot, Timestamp: ref(int64(0))})
	}
	op := vm.op
	switch {
	case op == nil:
	case c.version >= "2026-06-23":
		status.Operation = &openapi.CVMOperation{Type: op.kind, Phase: string(vm.status), StartedAt: second(op.started), CorrelationID: op.id}
	default:
		status.OperationType, status.OperationStartedAt, status.CorrelationID = op.kind, second(op.started), op.id
	}
	return status
}

// maxStreams is the number of streams that one user may have at a time.
const maxStreams = 5

func (s *Server) answerCVMsGetState(c *call) *response {
	target := c.URL.Query().Get("target")
	timeout := time.Duration(c.number("timeout", 300)) * time.Second
	vm := c.vm
	if target == "" {
		return ok(vm.state())
	}
	if s.streams >= maxStreams {
		return plainError(http.StatusTooManyRequests, "Too many streams")
	}
	s.streams++
	return &response{status: http.StatusOK, stream: func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			s.mu.Lock()
			s.streams--
			s.mu.Unlock()
		}()
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		s.streamState(w, r, vm, target, timeout)
	}}
}

// streamState streams each change of the state until it is the target.
func (s *Server) streamState(w http.ResponseWriter, r *http.Request, vm *cvm, target string, timeout time.Duration) {
	began := time.Now()
	before := ""
	for {
		s.mu.Lock()
		s.advance()
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
	flush(w)
	return true
}
