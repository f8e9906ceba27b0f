package phalatest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

func createCVM(s *Server, c *call) answer {
	var request openapi.CreateCVMRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	p, err := s.findProvision(request.AppID, request.ComposeHash)
	switch {
	case errors.Is(err, errNoProvision):
		return structured(466, "ERR-01-006", "The compose hash is unknown or has expired; provision again")
	case err != nil:
		return invalid(err.Error(), "value_error", "body")
	}
	for _, vm := range s.cvms {
		if vm.provision.key.app == p.key.app {
			if vm.provision.key.hash != p.key.hash {
				return structured(http.StatusConflict, "ERR-03-007", "The app id runs with another compose hash")
			}
			return ok(s.describeVM(vm, c))
		}
		if vm.name == p.request.Name {
			return structured(http.StatusConflict, "ERR-01-004", fmt.Sprintf("A CVM named %s exists already", vm.name))
		}
	}
	vm := &cvm{
		number: len(s.cvms) + 1, name: p.request.Name, uuid: newUUID(), provision: p,
		created: time.Now().UTC(), status: "created",
	}
	for _, other := range s.cvms {
		vm.number = max(vm.number, other.number+1)
	}
	if request.EncryptedEnv != nil {
		vm.takeEnv(s, string(*request.EncryptedEnv))
	}
	s.cvms = append(s.cvms, vm)
	vm.begin(s, "create", "starting", "running", bootSteps(vm.bootError(s))...)
	vm.status = "created"
	return ok(s.describeVM(vm, c))
}

// takeEnv decrypts the environment as the guest does at its next boot. Names that the app-compose does not
// allow are dropped, as there.
func (vm *cvm) takeEnv(s *Server, encrypted string) {
	vm.env, vm.envError = nil, ""
	key, err := s.keys.envKey(vm.provision.key.app)
	if err != nil {
		vm.envError = err.Error()
		return
	}
	env, err := kms.DecryptEnv(encrypted, key)
	if err != nil {
		vm.envError = err.Error()
		return
	}
	vm.env = slices.DeleteFunc(env, func(v kms.EnvVar) bool { return !slices.Contains(vm.provision.app.AllowedEnvs, v.Key) })
}

// Env is the environment of a CVM as its guest has decrypted it: what the app sees. The identifier may have
// every form that the API takes.
func (s *Server) Env(cvmID string) ([]kms.EnvVar, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	vm := s.find(cvmID)
	switch {
	case vm == nil:
		return nil, fmt.Errorf("phalatest: no cvm %s", cvmID)
	case vm.envError != "":
		return nil, fmt.Errorf("phalatest: cvm %s: %s", cvmID, vm.envError)
	}
	return slices.Clone(vm.env), nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
