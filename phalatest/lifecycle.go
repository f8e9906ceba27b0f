package phalatest

import (
	"github.com/phala-go/phala/openapi"
)

func startCVM(s *Server, c *call, vm *cvm) answer {
	if vm.status == "running" {
		return plain(400, "The CVM is running already")
	}
	vm.begin(s, "power_on", "starting", "running", bootSteps(vm.bootError(s))...)
	return ok(s.describeVM(vm, c))
}

// stopCVM pulls the plug, whatever else is under way.
func stopCVM(s *Server, c *call, vm *cvm) answer {
	vm.begin(s, "power_off", "stopping", "stopped", step{status: "stopping"}, step{status: "stopped"})
	return ok(s.describeVM(vm, c))
}

func shutdownCVM(s *Server, c *call, vm *cvm) answer {
	vm.begin(s, "shutdown", "shutting_down", "stopped", step{status: "shutting_down"}, step{status: "stopped"})
	return ok(s.describeVM(vm, c))
}

func restartCVM(s *Server, c *call, vm *cvm) answer {
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &openapi.RestartRequest{}); !ok {
			return bad
		}
	}
	vm.begin(s, "restart", "restarting", "running", bootSteps(vm.bootError(s))...)
	return ok(s.describeVM(vm, c))
}

func deleteCVM(s *Server, _ *call, vm *cvm) answer {
	vm.begin(s, "delete", "deleting", "deleted", step{status: "deleting"}, step{status: "deleted"})
	vm.op.deletes = true
	return noContent()
}

// updateEnvs replaces the whole environment and boots anew.
func updateEnvs(s *Server, c *call, vm *cvm) answer {
	var request openapi.UpdateEnvsRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	vm.takeEnv(s, string(request.EncryptedEnv))
	vm.begin(s, "env_update", "updating", "running", bootSteps(vm.bootError(s))...)
	return answer{status: 202, body: object{
		"status": "in_progress", "message": "The update has started", "correlation_id": vm.op.id, "allowed_envs_changed": false,
	}}
}
