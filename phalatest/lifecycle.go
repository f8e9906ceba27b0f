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

// operation is a change of a CVM that takes several ticks.
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

// step is the state of a CVM after a tick.
type step struct {
	status  openapi.CVMStatus
	boot    string
	failure string
}

// exclusive reports whether an operation of the API fails while another one runs on the CVM.
func exclusive(name operationName) bool {
	switch name {
	case opCVMsStart, opCVMsShutdown, opCVMsRestart, opCVMsUpdate, opCVMsUpdateEnvs, opCVMsUpdateDockerCompose, opCVMsUpdatePreLaunchScript,
		opCVMsUpdateOSImage, opCVMsUpdateResources, opCVMsUpdateVisibility, opCVMsUpgradePreLaunch, opCVMsCommitComposeUpdate,
		opCVMsSubmitComposeFile, opCVMsCommitUpdate, opCVMsRedeployRevision, opCVMsSetPorts:
		return true
	}
	return false
}

const busyMessage = "Another operation is in progress on this CVM"

func conflict() *response { return plainError(http.StatusConflict, busyMessage) }

// begin starts an operation: the CVM has the status at once and takes the steps tick by tick. It replaces a running
// operation.
func (s *Server) begin(vm *cvm, kind string, status, target openapi.CVMStatus, steps ...step) {
	if vm.op != nil {
		vm.end("another operation took its place")
	}
	now := time.Now().UTC()
	before := vm.status
	vm.setStatus(status)
	vm.boot, vm.failure = "", ""
	vm.op = &operation{
		kind: kind, id: dashed(newUUID()), target: target, before: before, started: now, fromTick: s.clock.now(), steps: steps,
		events: []operationEvent{{"operation.started", status, now}}, hash: vm.doc.hash.String(), name: vm.name,
	}
	s.busy = append(s.busy, vm)
	s.webhooks.wake()
}

// bootCVM begins an operation whose target is a running CVM. The boot fails after [Server.FailBoot], or if the guest cannot
// decrypt the environment.
func (s *Server) bootCVM(vm *cvm, kind string, status openapi.CVMStatus) {
	last := step{status: "running", boot: "done"}
	failure := s.bootFails[vm.name]
	if failure == "" {
		failure = vm.envError
	}
	if failure != "" {
		last = step{status: "error", boot: "starting containers", failure: failure}
	}
	s.begin(vm, kind, status, "running", step{status: "starting", boot: "booting"}, step{status: "starting", boot: "pulling images"}, last)
}

// end finishes the operation of a CVM; failure is empty if it succeeded.
func (vm *cvm) end(failure string) {
	op := vm.op
	op.failure, op.ended = failure, time.Now().UTC()
	kind := "operation.completed"
	if failure != "" {
		kind = "operation.failed"
	}
	op.events = append(op.events, operationEvent{kind, vm.status, op.ended})
	vm.finished, vm.op = appendBounded(vm.finished, *op), nil
}

// maxHistory bounds the remembered operations of a CVM and deliveries of a webhook.
const maxHistory = 1000

// appendBounded drops the oldest items beyond maxHistory.
func appendBounded[T any](list []T, item T) []T {
	if len(list) >= maxHistory {
		list = slices.Delete(list, 0, len(list)-maxHistory+1)
	}
	return append(list, item)
}

// event returns the type of the webhook event for an operation that has taken all its steps. A failed operation has one
// only if it is the creation.
func (o *operation) event() string {
	if o.failure != "" {
		if o.kind == "create" {
			return "cvm.create_failed"
		}
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

// advance takes the steps of all CVMs that are due, and begins the deletions that are due.
func (s *Server) advance() {
	s.deleteScheduled()
	now := s.clock.now()
	if now == s.advanced {
		return
	}
	s.advanced = now
	s.busy = slices.DeleteFunc(s.busy, func(vm *cvm) bool {
		if vm.op != nil {
			s.advanceCVM(vm, now)
		}
		return vm.op == nil
	})
}

func (s *Server) advanceCVM(vm *cvm, now int64) {
	op := vm.op
	for op.done < len(op.steps) && now > op.fromTick+int64(op.done) {
		next := op.steps[op.done]
		vm.setStatus(next.status)
		vm.boot, vm.failure = next.boot, next.failure
		op.events = append(op.events, operationEvent{"state.changed", vm.status, time.Now().UTC()})
		op.done++
	}
	if op.done < len(op.steps) {
		return
	}
	if vm.running() && vm.instance == "" {
		s.removeFromIndex(vm)
		sum := sha256.Sum256([]byte(vm.uuid))
		vm.instance = hex.EncodeToString(sum[:20])
		s.addToIndex(vm)
	}
	vm.end(vm.failure)
	if event := op.event(); event != "" {
		s.emitCVM(vm, event)
	}
	if vm.status == "deleted" {
		s.remove(vm)
	}
}

// setStatus sets the status of a CVM and records when it ran.
func (vm *cvm) setStatus(status openapi.CVMStatus) {
	before := vm.running()
	counts := vm.app.workspace.filters.statuses
	counts.add(string(vm.status), -1)
	counts.add(string(status), 1)
	vm.status = status
	switch now := time.Now().UTC(); {
	case vm.running() && !before:
		vm.started = now
	case before && !vm.running():
		vm.runs, vm.started = append(vm.runs, span{vm.started, now}), time.Time{}
	}
}

// remove removes a CVM, and its app with the last one.
func (s *Server) remove(vm *cvm) {
	s.removeFromIndex(vm)
	for _, p := range []*prepared{vm.update, vm.replica} {
		if p != nil {
			delete(s.prepared, p.token)
		}
	}
	vm.count(-1)
	w := vm.app.workspace
	w.cvms = without(w.cvms, vm, (*cvm).order)
	if vm.app.cvms = without(vm.app.cvms, vm, (*cvm).order); len(vm.app.cvms) == 0 {
		delete(s.apps, vm.app.id)
		w.apps = without(w.apps, vm.app, (*app).order)
	}
}

// count adds a CVM to the used resources of its workspace and node and to the lists that can be filtered; by is 1, or -1 to
// subtract it.
func (vm *cvm) count(by int) {
	w := vm.app.workspace
	w.used.add(vm.size, by)
	vm.node.used.add(vm.size, by)
	w.filters.add(vm, by)
	list := w.byType[vm.size.instanceType]
	if by < 0 {
		w.byType[vm.size.instanceType] = without(list, vm, (*cvm).order)
		return
	}
	at, _ := slices.BinarySearchFunc(list, vm.number, func(other *cvm, number int) int { return other.number - number })
	w.byType[vm.size.instanceType] = slices.Insert(list, at, vm)
}

// without removes an item from a list in rising order.
func without[T comparable](list []T, item T, order func(T) int) []T {
	at, found := slices.BinarySearchFunc(list, order(item), func(other T, number int) int { return order(other) - number })
	if !found {
		return list
	}
	return slices.Delete(list, at, at+1)
}

// clock counts ticks, by time or by hand. It uses package time only, so that testing/synctest controls it, and no
// goroutine.
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

// wait returns after the next tick, or when ctx or d ends.
func (c *clock) wait(ctx context.Context, d time.Duration) {
	var changed <-chan struct{}
	if c.tick > 0 {
		d = min(d, c.tick)
	} else {
		c.mu.Lock()
		changed = c.changed
		c.mu.Unlock()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-changed:
	case <-ctx.Done():
	}
}

func (s *Server) answerCVMsStart(c *call) *response {
	if c.vm.running() {
		return plainError(http.StatusBadRequest, "The CVM is running already")
	}
	s.bootCVM(c.vm, "power_on", "starting")
	return ok(c.vm.describeVM(c))
}

// answerCVMsStop powers a CVM off even if an operation runs.
func (s *Server) answerCVMsStop(c *call) *response {
	s.powerOff(c.vm)
	return ok(c.vm.describeVM(c))
}

func (s *Server) powerOff(vm *cvm) {
	s.begin(vm, "power_off", "stopping", "stopped", step{status: "stopping"}, step{status: "stopped"})
}

func (s *Server) answerCVMsStopBatch(c *call, r openapi.StopBatchRequest) *response {
	result := openapi.StopBatchResult{Total: len(r.CVMIDs), Errors: []openapi.StopBatchError{}}
	for _, id := range r.CVMIDs {
		vm, bad := c.workspace.find(id)
		switch {
		case bad != nil:
			result.Errors = append(result.Errors, openapi.StopBatchError{CVMID: openapi.ID(id), Error: bad.message()})
		case vm.status == "stopped" || vm.status == "stopping":
			result.Skipped++
		default:
			s.powerOff(vm)
			result.Stopped++
		}
	}
	return ok(result)
}

func (s *Server) answerCVMsShutdown(c *call) *response {
	s.begin(c.vm, "shutdown", "shutting_down", "stopped", step{status: "shutting_down"}, step{status: "stopped"})
	return ok(c.vm.describeVM(c))
}

func (s *Server) answerCVMsRestart(c *call, _ openapi.RestartRequest) *response {
	s.bootCVM(c.vm, "restart", "restarting")
	return ok(c.vm.describeVM(c))
}

// Exit powers a running CVM off from within its guest: its status becomes "exited". The identifier may have every form
// that the API accepts.
func (s *Server) Exit(cvmID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	vm, bad := s.own().find(cvmID)
	switch {
	case bad != nil:
		return fmt.Errorf("phalatest: no cvm %s", cvmID)
	case !vm.running() || vm.op != nil:
		return fmt.Errorf("phalatest: cvm %s is %s", cvmID, vm.status)
	}
	vm.setStatus("exited")
	vm.exited = time.Now().UTC()
	return nil
}

func (s *Server) answerCVMsDelete(c *call) *response {
	s.delete(c.vm)
	return noContent()
}

func (s *Server) delete(vm *cvm) {
	if vm.op == nil || vm.op.kind != "delete" {
		s.begin(vm, "delete", "deleting", "deleted", step{status: "deleting"}, step{status: "deleted"})
	}
}

// answerCVMsScheduleDelete sets the time of the deletion; null cancels it.
func (s *Server) answerCVMsScheduleDelete(c *call, r openapi.ScheduleDeleteRequest) *response {
	s.scheduleDelete(c.vm, r.ScheduledDeleteAt)
	return ok(c.vm.describeVM(c))
}

func (s *Server) scheduleDelete(vm *cvm, at *openapi.Time) {
	vm.deleteAt = time.Time{}
	s.scheduled = slices.DeleteFunc(s.scheduled, func(other *cvm) bool { return other == vm })
	if at != nil && !at.IsZero() {
		vm.deleteAt = at.Time
		s.scheduled = append(s.scheduled, vm)
	}
}

// deleteScheduled begins the deletions that are due.
func (s *Server) deleteScheduled() {
	if len(s.scheduled) == 0 {
		return
	}
	now := time.Now()
	s.scheduled = slices.DeleteFunc(s.scheduled, func(vm *cvm) bool {
		due := !now.Before(vm.deleteAt)
		if due {
			s.delete(vm)
		}
		return due
	})
}

func (o *operation) describe(c *call, by *Workspace) openapi.Operation {
	described := openapi.Operation{
		CorrelationID: o.id, OperationType: o.kind, TargetState: string(o.target), TriggeredBy: by.userRowID(c),
		TriggeredByUsername: by.userName(), TriggeredByEmail: by.userEmail(), StartedAt: second(o.started), CompletedAt: second(o.ended),
		Status: "in_progress", ErrorMessage: o.failure, InstanceName: o.name, ComposeHash: o.hash,
		Events: mapped(o.events, func(e operationEvent) openapi.OperationEvent {
			return openapi.OperationEvent{EventType: e.kind, Timestamp: second(e.at), State: string(e.state)}
		}),
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
	return described
}

// operations returns the operations of a CVM, oldest first.
func (vm *cvm) operations() []operation {
	all := slices.Clone(vm.finished)
	if vm.op != nil {
		all = append(all, *vm.op)
	}
	return all
}

// answerCVMsListOperations returns the operations newest first; the cursor is the number of those before.
func (*Server) answerCVMsListOperations(c *call) *response {
	query := c.URL.Query()
	all := c.vm.operations()
	slices.Reverse(all)
	inTime := c.timeRange("start_time", "end_time")
	kinds := query["operation_types"]
	all = slices.DeleteFunc(all, func(o operation) bool {
		return !inTime(o.started) || len(kinds) > 0 && !slices.Contains(kinds, o.kind)
	})
	from := 0
	if cursor := query.Get("cursor"); cursor != "" {
		var err error
		if from, err = strconv.Atoi(cursor); err != nil || from < 0 || from > len(all) {
			return plainError(http.StatusBadRequest, "Invalid cursor")
		}
	}
	to := min(from+c.number("limit", 50), len(all))
	page := openapi.OperationPage{
		Total: len(all),
		Items: mapped(all[from:to], func(o operation) openapi.Operation { return o.describe(c, c.workspace) }),
	}
	if to < len(all) {
		page.NextCursor = strconv.Itoa(to)
	}
	return ok(page)
}

func (*Server) answerCVMsGetOperationStatus(c *call) *response {
	status := object{"in_progress": c.vm.op != nil, "operation_type": nil, "correlation_id": nil, "started_at": nil, "task_status": nil}
	if op := c.vm.op; op != nil {
		status["operation_type"], status["correlation_id"] = op.kind, op.id
		status["started_at"], status["task_status"] = stamp(op.started), "running"
	}
	return ok(status)
}

// answerCVMsCancelOperation restores the earlier status of the CVM, or stops it if it never ran.
func (*Server) answerCVMsCancelOperation(c *call) *response {
	op := c.vm.op
	switch {
	case op == nil:
		return codedError(http.StatusConflict, "ERR-02-008", "No operation is in progress")
	case op.kind == "delete":
		return codedError(http.StatusConflict, "ERR-02-008", "A deletion cannot be cancelled")
	}
	status := op.before
	if status == "created" {
		status = "stopped"
	}
	c.vm.setStatus(status)
	c.vm.boot = ""
	c.vm.end("cancelled")
	return ok(openapi.Cancellation{Cancelled: true, CorrelationID: op.id})
}
