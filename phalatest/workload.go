package phalatest

import (
	"encoding/json"
	"net/http"

	"github.com/phala-go/phala/openapi"
)

// provisionEliza provisions an agent from its character file.
func provisionEliza(s *Server, c *call) answer {
	var r openapi.ProvisionElizaRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	composeFile, err := json.Marshal(object{
		"docker_compose_file": "services:\n  eliza:\n    image: phalanetwork/eliza\n", "allowed_envs": append([]string{}, r.EnvKeys...),
	})
	if err != nil {
		return invalidCompose(err)
	}
	p, bad := s.provision(c.tenant, openapi.ProvisionRequest{Name: r.Name, TeepodID: r.TeepodID, Image: r.Image}, composeFile)
	if bad != nil {
		return *bad
	}
	return ok(s.describeProvision(p))
}

// models are what workloads serve.
func models() []string { return []string{"phala/qwen-2.5-7b-instruct", "phala/gpt-oss-20b"} }

// createWorkload provisions and creates a CVM that serves a model.
func createWorkload(s *Server, c *call) answer {
	var r openapi.CreateWorkloadRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	known := false
	for _, m := range models() {
		known = known || m == r.ModelID
	}
	if !known {
		return plain(http.StatusBadRequest, "Unknown model "+r.ModelID)
	}
	composeFile, err := json.Marshal(object{"docker_compose_file": "services:\n  model:\n    image: vllm/vllm-openai\n    command: --model " + r.ModelID + "\n"})
	if err != nil {
		return invalidCompose(err)
	}
	p, bad := s.provision(c.tenant, openapi.ProvisionRequest{Name: r.Name, InstanceType: &r.InstanceType}, composeFile)
	if bad != nil {
		return *bad
	}
	vm := s.fromProvision(p)
	created := s.launch(c, vm, nil)
	vm.schedule(s, r.ScheduledDeleteAt)
	return created
}
