package phalatest

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
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
