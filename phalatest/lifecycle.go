package phalatest

import (
	"net/http"

	"github.com/phala-go/phala/openapi"
)

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
