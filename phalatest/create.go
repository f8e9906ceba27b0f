package phalatest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

func createCVM(s *Server, c *call) answer {
	var request openapi.CreateCVMRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	p, err := c.tenant.findProvision(request.AppID, request.ComposeHash)
	switch {
	case errors.Is(err, errNoProvision):
		return structured(statusHashInvalid, "ERR-01-006", "The compose hash is unknown or has expired; provision again")
	case err != nil:
		return invalid(err.Error(), "value_error", "body")
	}
	id, err := kms.ParseAppID(request.AppID)
	if err != nil {
		return invalid(err.Error(), "value_error", "body", "app_id")
	}
	if a := s.apps[id]; a != nil {
		if a.tenant != c.tenant || a.cvms[0].doc.hash != p.key.hash {
			return structured(http.StatusConflict, "ERR-03-007", "The app id is in use with another compose hash")
		}
		return ok(a.cvms[0].describeVM(c))
	}
	if len(c.tenant.named(p.name)) > 0 {
		return nameTaken(p.name)
	}
	if bad := c.tenant.overQuota(p.size); bad != nil {
		return *bad
	}
	if p.kms.onChain() {
		if bad := s.checkContract(p, id, deref(request.ContractAddress), deref(request.DeployerAddress)); bad != nil {
			return *bad
		}
		if p, err = p.under(id); err != nil {
			return structured(http.StatusInternalServerError, "", err.Error())
		}
	}
	vm := s.fromProvision(p)
	vm.app.deployer = deref(request.DeployerAddress)
	return s.launch(c, vm, request.EncryptedEnv)
}

// fromProvision is the first CVM of an app.
func (s *Server) fromProvision(p *provision) *cvm {
	vm := s.newCVM(s.newApp(p), p.doc)
	vm.size, vm.image, vm.node, vm.listed, vm.userConfig = p.size, p.image, p.node, p.listed, p.userConfig
	vm.kmsURLs, vm.gatewayURLs = p.kmsURLs, p.gatewayURLs
	for _, port := range p.ports {
		vm.ports = append(vm.ports, s.newPort(port.VMPort, port.Protocol, port.HostPort))
	}
	return vm
}

func nameTaken(name string) answer {
	return structured(http.StatusConflict, "ERR-01-004", fmt.Sprintf("A CVM named %s exists already", name))
}

// newCVM returns a new CVM of an app, not yet listed, on the first node.
func (s *Server) newCVM(a *app, doc *document) *cvm {
	s.number++
	uuid := newUUID()
	return &cvm{
		number: s.number, name: a.name, uuid: uuid, logToken: hashHex([]byte("logs of " + uuid))[:32], app: a, doc: doc, created: time.Now().UTC(), status: "created",
		node: s.nodes[0], image: s.images[0], size: sizeOf(&s.types[0]), composes: map[string]composeUpdate{},
	}
}

// launch adds a new CVM to the cloud and boots it for the first time.
func (s *Server) launch(c *call, vm *cvm, env *openapi.Secret) answer {
	if env != nil {
		vm.takeEnv(s, string(*env))
	}
	t := vm.tenant()
	t.cvms = append(t.cvms, vm)
	vm.app.cvms = append(vm.app.cvms, vm)
	s.enroll(vm)
	s.account(vm, 1)
	s.bootCVM(vm, "create", "created")
	s.revise(vm, "create")
	return ok(vm.describeVM(c))
}

// takeEnv decrypts the environment as the guest does at its next boot. Names that the app-compose does not
// allow are dropped, as there.
func (vm *cvm) takeEnv(s *Server, encrypted string) {
	vm.encryptedEnv, vm.env, vm.envError = encrypted, nil, ""
	key, err := vm.app.kms.envKey(vm.app.id)
	if err != nil {
		vm.envError = err.Error()
		return
	}
	env, err := kms.DecryptEnv(encrypted, key)
	if err != nil {
		vm.envError = err.Error()
		return
	}
	vm.env = env
}

// allowedEnv is the environment as the containers see it: without the names that the app-compose does not allow, and
// with what the guest's file of it makes of the values.
func (vm *cvm) allowedEnv() []kms.EnvVar {
	allowed := slices.DeleteFunc(slices.Clone(vm.env), func(v kms.EnvVar) bool { return !slices.Contains(vm.doc.app.AllowedEnvs, v.Key) })
	return compose.GuestEnv(allowed)
}

// Env returns the environment of a CVM as its containers receive it, in the order of the names: decrypted by the
// guest, filtered by the app-compose, and changed as the guest's handling changes values. The identifier may have
// every form that the API accepts; a name is one of the first workspace.
func (s *Server) Env(cvmID string) ([]kms.EnvVar, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.own()
	if found := s.identified(cvmID); len(found) > 0 && len(t.named(cvmID)) == 0 {
		t = found[0].tenant()
	}
	return t.env(cvmID)
}

// Decrypt returns the variables that a guest of an app reads from an encrypted environment, whoever owns the app. It
// returns an error if the environment was encrypted for another app.
func (s *Server) Decrypt(app kms.AppID, encrypted string) ([]kms.EnvVar, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.findApp(app.String())
	if a == nil {
		return nil, fmt.Errorf("phalatest: no app %s", app)
	}
	key, err := a.kms.envKey(app)
	if err != nil {
		return nil, fmt.Errorf("phalatest: %w", err)
	}
	return kms.DecryptEnv(encrypted, key)
}

func (t *Tenant) env(cvmID string) ([]kms.EnvVar, error) {
	vm, bad := t.find(cvmID)
	switch {
	case bad != nil && bad.status == http.StatusConflict:
		return nil, fmt.Errorf("phalatest: several cvms go by %s", cvmID)
	case bad != nil:
		return nil, fmt.Errorf("phalatest: no cvm %s", cvmID)
	case vm.envError != "":
		return nil, fmt.Errorf("phalatest: cvm %s: %s", cvmID, vm.envError)
	}
	return vm.allowedEnv(), nil
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}
