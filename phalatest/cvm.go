package phalatest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/kms"
)

// cvm is one confidential VM and what it is doing.
type cvm struct {
	number    int
	name      string
	uuid      string // without dashes
	provision *provision
	created   time.Time
	env       []kms.EnvVar
	envError  string

	status   string
	booted   bool
	boot     string // boot progress
	failure  string // boot error
	op       *operation
	finished []operation
}

// operation is something that takes a CVM several ticks.
type operation struct {
	kind     string
	id       string
	target   string
	started  time.Time
	fromTick int64
	steps    []step
	done     int
	deletes  bool
}

// step is what a tick makes of a CVM.
type step struct {
	status  string
	boot    string
	failure string
}

// bootSteps is the way from off to running, or to an error where the guest fails.
func bootSteps(failure string) []step {
	steps := []step{{status: "starting", boot: "booting"}, {status: "starting", boot: "pulling images"}}
	if failure != "" {
		return append(steps, step{status: "error", boot: "starting containers", failure: failure})
	}
	return append(steps, step{status: "running", boot: "done"})
}

// bootError is why the next boot will fail; empty where it will not.
func (vm *cvm) bootError(s *Server) string {
	if text := s.bootFails[vm.name]; text != "" {
		return text
	}
	return vm.envError
}

// begin starts an operation. The CVM has the status at once and takes the steps tick by tick.
func (vm *cvm) begin(s *Server, kind, status, target string, steps ...step) {
	vm.status, vm.failure = status, ""
	vm.op = &operation{
		kind: kind, id: dashed(newUUID()), target: target, started: time.Now().UTC(), fromTick: s.clock.now(), steps: steps,
	}
	s.webhooks.wake()
}

// live lets all CVMs take the steps whose time has come.
func (s *Server) live() {
	now := s.clock.now()
	s.cvms = slices.DeleteFunc(s.cvms, func(vm *cvm) bool {
		op := vm.op
		gone := vm.live(now)
		if op != nil && vm.op == nil {
			if event := eventOf(op.kind, vm.failure); event != "" {
				s.happened(vm, event)
			}
		}
		return gone
	})
}

// live takes the steps up to now, and says whether the CVM is gone then.
func (vm *cvm) live(now int64) (gone bool) {
	op := vm.op
	if op == nil {
		return false
	}
	for op.done < len(op.steps) && now > op.fromTick+int64(op.done) {
		next := op.steps[op.done]
		vm.status, vm.boot, vm.failure = next.status, next.boot, next.failure
		op.done++
	}
	if op.done < len(op.steps) {
		return false
	}
	if vm.status == "running" {
		vm.booted = true
	}
	vm.finished, vm.op = append(vm.finished, *op), nil
	return op.deletes
}

// id is the identifier of the newer API versions.
func (vm *cvm) id() string { return fmt.Sprintf("cvm_%06d", vm.number) }

// instanceID is assigned at the first boot.
func (vm *cvm) instanceID() string {
	if !vm.booted {
		return ""
	}
	sum := sha256.Sum256([]byte(vm.uuid))
	return hex.EncodeToString(sum[:20])
}

// find returns the CVM that an identifier names, in every form that the API takes.
func (s *Server) find(id string) *cvm {
	bare := strings.ToLower(strings.ReplaceAll(id, "-", ""))
	for _, vm := range s.cvms {
		switch {
		case id == vm.name, id == vm.id(), id == strconv.Itoa(vm.number), bare == vm.uuid,
			id == "app_"+vm.provision.key.app.String(),
			vm.booted && id == "instance_"+vm.instanceID():
			return vm
		}
	}
	return nil
}

func dashed(uuid string) string {
	return uuid[:8] + "-" + uuid[8:12] + "-" + uuid[12:16] + "-" + uuid[16:20] + "-" + uuid[20:]
}

// onCVM is a handler of an operation on one CVM.
func onCVM(h func(*Server, *call, *cvm) answer) handler {
	return func(s *Server, c *call) answer {
		id := c.params["cvm_id"]
		vm := s.find(id)
		if vm == nil {
			return cvmNotFound(id)
		}
		return h(s, c, vm)
	}
}

// whenIdle is onCVM for an operation that another one keeps from starting.
func whenIdle(h func(*Server, *call, *cvm) answer) handler {
	return onCVM(func(s *Server, c *call, vm *cvm) answer {
		if vm.op != nil {
			return plain(409, "Another operation is in progress on this CVM")
		}
		return h(s, c, vm)
	})
}
