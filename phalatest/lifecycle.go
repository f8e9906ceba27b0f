package phalatest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/phala-go/phala/openapi"
)

// operation is something that takes a CVM several ticks.
type operation struct {
	kind     string
	id       string // correlation id
	target   openapi.CVMStatus
	before   openapi.CVMStatus
	started  time.Time
	ended    time.Time
	fromTick int64
	steps    []step
	done     int
	events   []operationEvent
	failure  string
	hash     string
	name     string
}

type operationEvent struct {
	kind  string
	state openapi.CVMStatus
	at    time.Time
}

// step is what a tick makes of a CVM.
type step struct {
	status  openapi.CVMStatus
	boot    string
	failure string
}

// bootSteps returns the steps from off to running, or to an error if the guest fails.
func bootSteps(failure string) []step {
	steps := []step{{status: "starting", boot: "booting"}, {status: "starting", boot: "pulling images"}}
	if failure != "" {
		return append(steps, step{status: "error", boot: "starting containers", failure: failure})
	}
	return append(steps, step{status: "running", boot: "done"})
}

// bootError returns why the next boot will fail; empty if it will not.
func (vm *cvm) bootError(s *Server) string {
	if text := s.bootFails[vm.name]; text != "" {
		return text
	}
	return vm.envError
}

// begin starts an operation. The CVM has the status at once and takes the steps tick by tick. One that is
// under way is given up.
func (vm *cvm) begin(s *Server, kind string, status, target openapi.CVMStatus, steps ...step) {
	if vm.op != nil {
		vm.end("another operation took its place")
	}
	now := time.Now().UTC()
	before := vm.status
	vm.turn(status)
	vm.boot, vm.failure = "", ""
	vm.op = &operation{
		kind: kind, id: dashed(newUUID()), target: target, before: before, started: now, fromTick: s.clock.now(), steps: steps,
		events: []operationEvent{{"operation.started", status, now}}, hash: vm.doc.hash.String(), name: vm.name,
	}
	s.busy = append(s.busy, vm)
	s.webhooks.wake()
}

// bootCVM begins an operation that ends with a running CVM, or with one whose boot failed.
func (s *Server) bootCVM(vm *cvm, kind string, status openapi.CVMStatus) {
	vm.begin(s, kind, status, "running", bootSteps(vm.bootError(s))...)
}

// end finishes the operation of a CVM; failure is the reason if it failed.
func (vm *cvm) end(failure string) {
	op := vm.op
	op.failure, op.ended = failure, time.Now().UTC()
	kind := "operation.completed"
	if failure != "" {
		kind = "operation.failed"
	}
	op.events = append(op.events, operationEvent{kind, vm.status, op.ended})
	if len(vm.finished) >= maxHistory {
		vm.finished = slices.Delete(vm.finished, 0, len(vm.finished)-maxHistory+1)
	}
	vm.finished, vm.op = append(vm.finished, *op), nil
}

// maxHistory bounds what a long-lived cloud remembers of one thing: operations of a CVM, deliveries of a webhook.
const maxHistory = 1000

// event is what the workspace is told when the operation has taken all its steps. It hears nothing of one
// that was cancelled or replaced.
func (o *operation) event() string {
	switch {
	case o.kind == "create" && o.failure != "":
		return "cvm.create_failed"
	case o.failure != "":
		return ""
	}
	switch o.kind {
	case "create":
		return "cvm.created"
	case "power_on":
		return "cvm.started"
	case "restart":
		return "cvm.restarted"
	case "power_off", "shutdown":
		return "cvm.stopped"
	case "delete":
		return "cvm.deleted"
	}
	return "cvm.updated"
}

// live advances all CVMs by the steps that are due, and deletes those whose deletion is due.
func (s *Server) live() {
	s.deleteScheduled()
	now := s.clock.now()
	if now == s.lived {
		return
	}
	s.lived = now
	s.busy = slices.DeleteFunc(s.busy, func(vm *cvm) bool {
		if vm.op == nil {
			return true
		}
		vm.live(s, now)
		return vm.op == nil
	})
}

// live takes the steps up to now.
func (vm *cvm) live(s *Server, now int64) {
	op := vm.op
	for op.done < len(op.steps) && now > op.fromTick+int64(op.done) {
		next := op.steps[op.done]
		vm.turn(next.status)
		vm.boot, vm.failure = next.boot, next.failure
		op.events = append(op.events, operationEvent{"state.changed", vm.status, time.Now().UTC()})
		op.done++
	}
	if op.done < len(op.steps) {
		return
	}
	if vm.running() && vm.instance == "" {
		s.dismiss(vm)
		sum := sha256.Sum256([]byte(vm.uuid))
		vm.instance = hex.EncodeToString(sum[:20])
		s.enroll(vm)
	}
	vm.end(vm.failure)
	if event := op.event(); event != "" {
		s.happened(vm, event)
	}
	if vm.status == "deleted" {
		s.remove(vm)
	}
}

// turn sets the status of a CVM, and records when it ran.
func (vm *cvm) turn(status openapi.CVMStatus) {
	was := vm.running()
	vm.tenant().facets.turn(vm.status, status)
	vm.status = status
	switch now := time.Now().UTC(); {
	case vm.running() && !was:
		vm.started = now
	case was && !vm.running():
		vm.runs, vm.started = append(vm.runs, span{vm.started, now}), time.Time{}
	}
}

// remove forgets a CVM, and its app with the last one.
func (s *Server) remove(vm *cvm) {
	s.dismiss(vm)
	for _, p := range []*prepared{vm.update, vm.replica} {
		if p != nil {
			delete(s.prepared, p.token)
		}
	}
	s.account(vm, -1)
	t := vm.tenant()
	t.cvms = without(t.cvms, vm, (*cvm).order)
	if vm.app.cvms = without(vm.app.cvms, vm, (*cvm).order); len(vm.app.cvms) == 0 {
		delete(s.apps, vm.app.id)
		t.apps = without(t.apps, vm.app, (*app).order)
	}
}

// account counts a CVM, or with -1 no longer counts it, in what its workspace and its node have given away, and in the values by which lists
// are filtered.
func (s *Server) account(vm *cvm, by int) {
	t := vm.tenant()
	t.used.add(vm.size, by)
	vm.node.used.add(vm.size, by)
	t.facets.add(vm, by)
	kind := t.byKind[vm.size.kind]
	if by < 0 {
		t.byKind[vm.size.kind] = without(kind, vm, (*cvm).order)
		return
	}
	at, _ := slices.BinarySearchFunc(kind, vm.number, func(other *cvm, number int) int { return other.number - number })
	t.byKind[vm.size.kind] = slices.Insert(kind, at, vm)
}

func (vm *cvm) order() int { return vm.number }

func (a *app) order() int { return a.number }

// without is a list in rising order without one of it.
func without[T comparable](list []T, one T, order func(T) int) []T {
	at, found := slices.BinarySearchFunc(list, order(one), func(other T, number int) int { return order(other) - number })
	if !found {
		return list
	}
	return slices.Delete(list, at, at+1)
}

// clock counts the steps that CVMs take, by time or by hand. It uses package time only, so that
// testing/synctest controls it, and no goroutine.
type clock struct {
	tick  time.Duration // 0: by hand
	start time.Time

	mu      sync.Mutex
	count   int64
	changed chan struct{}
}

func newClock(tick time.Duration) *clock {
	return &clock{tick: tick, start: time.Now(), changed: make(chan struct{})}
}

func (c *clock) now() int64 {
	if c.tick > 0 {
		return int64(time.Since(c.start) / c.tick)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *clock) advance() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait returns after the next step, or when ctx or d ends.
func (c *clock) wait(ctx context.Context, d time.Duration) {
	var step <-chan struct{}
	if c.tick > 0 {
		d = min(d, c.tick)
	} else {
		c.mu.Lock()
		step = c.changed
		c.mu.Unlock()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-step:
	case <-ctx.Done():
	}
}

func startCVM(s *Server, c *call, vm *cvm) answer {
	if vm.running() {
		return plain(http.StatusBadRequest, "The CVM is running already")
	}
	s.bootCVM(vm, "power_on", "starting")
	return ok(vm.describeVM(c))
}

// stopCVM powers a CVM off, whatever operation runs.
func stopCVM(s *Server, c *call, vm *cvm) answer {
	vm.powerOff(s)
	return ok(vm.describeVM(c))
}

func (vm *cvm) powerOff(s *Server) {
	vm.begin(s, "power_off", "stopping", "stopped", step{status: "stopping"}, step{status: "stopped"})
}

func shutdownCVM(s *Server, c *call, vm *cvm) answer {
	vm.begin(s, "shutdown", "shutting_down", "stopped", step{status: "shutting_down"}, step{status: "stopped"})
	return ok(vm.describeVM(c))
}

func restartCVM(s *Server, c *call, vm *cvm) answer {
	s.bootCVM(vm, "restart", "restarting")
	return ok(vm.describeVM(c))
}

func deleteCVM(s *Server, _ *call, vm *cvm) answer {
	vm.delete(s)
	return noContent()
}

func (vm *cvm) delete(s *Server) {
	if vm.op != nil && vm.op.kind == "delete" {
		return
	}
	vm.begin(s, "delete", "deleting", "deleted", step{status: "deleting"}, step{status: "deleted"})
}

func stopBatch(s *Server, c *call) answer {
	var request openapi.StopBatchRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	result := openapi.StopBatchResult{Total: len(request.CVMIDs), Errors: []openapi.StopBatchError{}}
	for _, id := range request.CVMIDs {
		vm, bad := c.tenant.find(id)
		switch {
		case bad != nil:
			result.Errors = append(result.Errors, openapi.StopBatchError{CVMID: openapi.ID(id), Error: bad.message()})
		case vm.status == "stopped" || vm.status == "stopping":
			result.Skipped++
		default:
			vm.powerOff(s)
			result.Stopped++
		}
	}
	return ok(result)
}

func (o *operation) describe(c *call, by *Tenant) openapi.Operation {
	described := openapi.Operation{
		CorrelationID: o.id, OperationType: o.kind, TargetState: string(o.target), TriggeredBy: by.userRowID(c),
		TriggeredByUsername: by.userName(), TriggeredByEmail: by.userEmail(), StartedAt: second(o.started), CompletedAt: second(o.ended),
		Status: "in_progress", ErrorMessage: o.failure, InstanceName: o.name, ComposeHash: o.hash,
	}
	switch {
	case o.failure != "":
		described.Status = "failed"
	case !o.ended.IsZero():
		described.Status = "completed"
	}
	if !o.ended.IsZero() {
		described.DurationMS = ref(int(o.ended.Sub(o.started).Milliseconds()))
	}
	for _, e := range o.events {
		described.Events = append(described.Events, openapi.OperationEvent{EventType: e.kind, Timestamp: second(e.at), State: string(e.state)})
	}
	return described
}

// listOperations returns the operations newest first; the cursor is the number of those before.
func listOperations(_ *Server, c *call, vm *cvm) answer {
	query := c.URL.Query()
	all := slices.Clone(vm.finished)
	if vm.op != nil {
		all = append(all, *vm.op)
	}
	slices.Reverse(all)
	after, _ := time.Parse(time.RFC3339, query.Get("start_time")) // validated by the description before
	before, _ := time.Parse(time.RFC3339, query.Get("end_time"))
	kinds := query["operation_types"]
	all = slices.DeleteFunc(all, func(o operation) bool {
		return query.Has("start_time") && o.started.Before(after) || query.Has("end_time") && o.started.After(before) ||
			len(kinds) > 0 && !slices.Contains(kinds, o.kind)
	})
	seen := 0
	if cursor := query.Get("cursor"); cursor != "" {
		var err error
		if seen, err = strconv.Atoi(cursor); err != nil || seen < 0 || seen > len(all) {
			return plain(http.StatusBadRequest, "Invalid cursor")
		}
	}
	end := min(seen+c.number("limit", 50), len(all))
	page := openapi.OperationPage{Total: len(all)}
	for _, o := range all[seen:end] {
		page.Items = append(page.Items, o.describe(c, vm.tenant()))
	}
	if end < len(all) {
		page.NextCursor = strconv.Itoa(end)
	}
	return ok(page)
}

func operationStatus(_ *Server, _ *call, vm *cvm) answer {
	status := object{"in_progress": vm.op != nil, "operation_type": nil, "correlation_id": nil, "started_at": nil, "task_status": nil}
	if op := vm.op; op != nil {
		status["operation_type"], status["correlation_id"] = op.kind, op.id
		status["started_at"], status["task_status"] = stamp(op.started), "running"
	}
	return ok(status)
}

// cancelOperation cancels the running operation. The CVM keeps its earlier status, or is stopped if it never ran.
func cancelOperation(_ *Server, _ *call, vm *cvm) answer {
	op := vm.op
	switch {
	case op == nil:
		return structured(http.StatusConflict, "ERR-02-008", "No operation is in progress")
	case op.kind == "delete":
		return structured(http.StatusConflict, "ERR-02-008", "A deletion cannot be cancelled")
	}
	status := op.before
	if status == "created" {
		status = "stopped"
	}
	vm.turn(status)
	vm.boot = ""
	vm.end("cancelled")
	return ok(openapi.Cancellation{Cancelled: true, CorrelationID: op.id})
}

// Exit powers a running CVM off from within its guest: its status is "exited" from now on. The identifier may have
// every form that the API accepts.
func (s *Server) Exit(cvmID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	vm, bad := s.own().find(cvmID)
	switch {
	case bad != nil:
		return fmt.Errorf("phalatest: no cvm %s", cvmID)
	case !vm.running() || vm.op != nil:
		return fmt.Errorf("phalatest: cvm %s is %s", cvmID, vm.status)
	}
	vm.turn("exited")
	vm.exited = time.Now().UTC()
	return nil
}

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
