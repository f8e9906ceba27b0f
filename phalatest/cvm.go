package phalatest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

type cvm struct {
	number   int
	name     string
	uuid     string // without dashes
	logToken string // in the URLs of its logs
	app      *app
	doc      *document
	size     size
	image    *image
	node     *node
	created  time.Time

	listed       bool
	deleteAt     time.Time // scheduled; zero is never
	userConfig   string
	kmsURLs      []string
	gatewayURLs  []string
	ports        []port
	keyIDs       []string // SSH keys of the account
	encryptedEnv string
	env          []kms.EnvVar
	envError     string

	status   openapi.CVMStatus
	instance string // id, assigned at the first boot
	boot     string // progress
	failure  string // boot error
	started  time.Time
	exited   time.Time // last time it powered itself off
	runs     []span    // times it ran, for the usage
	op       *operation
	finished []operation

	signed *signedEvidence // nil until the first request

	composes map[string]composeUpdate // provisioned, by hash
	update   *prepared                // the newest update that waits for approval
	replica  *prepared                // the newest replica that waits for approval
}

// id returns the identifier of the newer API versions.
func (vm *cvm) id() string { return fmt.Sprintf("cvm_%06d", vm.number) }

// rowID returns the identifier in the version of the call, in operations that used numbers until 2026-05-22.
func (vm *cvm) rowID(c *call) openapi.ID {
	if c.hashedIDs() {
		return openapi.ID(vm.id())
	}
	return numbered(vm.number)
}

func (vm *cvm) running() bool { return vm.status == "running" }

func (vm *cvm) order() int { return vm.number }

// identifiers returns all that name a CVM, in lower case unless case matters.
func (vm *cvm) identifiers() []string {
	ids := []string{vm.app.workspace.nameKey(vm.name), vm.id(), strconv.Itoa(vm.number), vm.uuid, "app_" + vm.app.id.String()}
	if vm.instance != "" {
		ids = append(ids, "instance_"+vm.instance)
	}
	return ids
}

// addToIndex and removeFromIndex surround a change of an identifier.
func (s *Server) addToIndex(vm *cvm) {
	for _, id := range vm.identifiers() {
		s.index[id] = append(s.index[id], vm)
	}
}

func (s *Server) removeFromIndex(vm *cvm) {
	for _, id := range vm.identifiers() {
		left := slices.DeleteFunc(s.index[id], func(other *cvm) bool { return other == vm })
		if s.index[id] = left; len(left) == 0 {
			delete(s.index, id)
		}
	}
}

// withIdentifier returns the CVMs of an identifier that is not a name, in all workspaces. They are of one app.
func (s *Server) withIdentifier(id string) []*cvm {
	key := strings.ToLower(strings.ReplaceAll(id, "-", ""))
	if strings.HasPrefix(key, "name ") {
		return nil
	}
	return s.index[key]
}

// findCVM returns a CVM of the call's workspace. A call whose token replaces the key identifies a CVM of any workspace, but
// not by name.
func (c *call) findCVM(id string) (*cvm, *response) {
	if c.workspace == nil {
		return single(c.server.withIdentifier(id), id, "ERR-03-010")
	}
	return c.workspace.find(id)
}

// single returns the only CVM that an identifier matches. code is that of several.
func single(found []*cvm, id, code string) (*cvm, *response) {
	switch len(found) {
	case 0:
		return nil, cvmNotFound(id)
	case 1:
		return found[0], nil
	}
	details := mapped(found, func(vm *cvm) object {
		return object{"field": "vm_uuid", "value": dashed(vm.uuid), "message": vm.name}
	})
	return nil, codedError(http.StatusConflict, code, fmt.Sprintf("%d CVMs match %s; use a UUID", len(found), id), details...)
}

func cvmNotFound(id string) *response {
	return codedError(http.StatusNotFound, "ERR-03-001", "CVM "+id+" was not found")
}

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return hex.EncodeToString(b[:])
}

func dashed(uuid string) string {
	return uuid[:8] + "-" + uuid[8:12] + "-" + uuid[12:16] + "-" + uuid[16:20] + "-" + uuid[20:]
}

func checkName(name string) *response {
	if err := compose.ValidateName(name); err != nil {
		return invalidField("Value error, "+err.Error(), "body", "name")
	}
	return nil
}

func nameTaken(name string) *response {
	return codedError(http.StatusConflict, "ERR-01-004", fmt.Sprintf("A CVM named %s exists already", name))
}

func (s *Server) answerCVMsCreateEliza(c *call, r openapi.CreateCVMRequest) *response {
	return s.answerCVMsCreate(c, r)
}

func (s *Server) answerCVMsCreate(c *call, r openapi.CreateCVMRequest) *response {
	p, err := c.workspace.findProvision(r.AppID, r.ComposeHash)
	switch {
	case errors.Is(err, errNoProvision):
		return codedError(statusHashInvalid, "ERR-01-006", "The compose hash is unknown or has expired; provision again")
	case err != nil:
		return invalidField(err.Error(), "body")
	}
	id, err := kms.ParseAppID(r.AppID)
	if err != nil {
		return invalidField(err.Error(), "body", "app_id")
	}
	if a := s.apps[id]; a != nil {
		if a.workspace != c.workspace || a.cvms[0].doc.hash != p.key.hash {
			return codedError(http.StatusConflict, "ERR-03-007", "The app id is in use with another compose hash")
		}
		return ok(a.cvms[0].describeVM(c))
	}
	if len(c.workspace.withName(p.name)) > 0 {
		return nameTaken(p.name)
	}
	if bad := c.workspace.checkQuota(p.size); bad != nil {
		return bad
	}
	if p.kms.onChain() {
		if bad := s.checkContract(p, id, deref(r.ContractAddress), deref(r.DeployerAddress)); bad != nil {
			return bad
		}
		if p, err = p.withAppID(id); err != nil {
			return codedError(http.StatusInternalServerError, "", err.Error())
		}
	}
	vm := s.firstCVM(p)
	vm.app.deployer = deref(r.DeployerAddress)
	return s.launch(c, vm, r.EncryptedEnv)
}

// firstCVM returns the first CVM of a new app.
func (s *Server) firstCVM(p *provision) *cvm {
	vm := s.newCVM(s.newApp(p), p.doc)
	vm.size, vm.image, vm.node, vm.listed, vm.userConfig = p.size, p.image, p.node, p.listed, p.userConfig
	vm.kmsURLs, vm.gatewayURLs = p.kmsURLs, p.gatewayURLs
	for _, port := range p.ports {
		vm.ports = append(vm.ports, s.newPort(port.VMPort, port.Protocol, port.HostPort))
	}
	return vm
}

// newCVM returns a new CVM of an app, for [Server.launch].
func (s *Server) newCVM(a *app, doc *document) *cvm {
	s.number++
	uuid := newUUID()
	return &cvm{
		number: s.number, name: a.name, uuid: uuid, logToken: hashHex([]byte("logs of " + uuid))[:32], app: a, doc: doc, created: time.Now().UTC(),
		status: "created", composes: map[string]composeUpdate{},
	}
}

// launch adds a new CVM to the cloud and boots it.
func (s *Server) launch(c *call, vm *cvm, env *openapi.Secret) *response {
	if env != nil {
		vm.setEnv(string(*env))
	}
	w := vm.app.workspace
	w.cvms = append(w.cvms, vm)
	vm.app.cvms = append(vm.app.cvms, vm)
	s.addToIndex(vm)
	vm.count(1)
	s.bootCVM(vm, "create", "created")
	s.addRevision(vm, "create")
	return ok(vm.describeVM(c))
}

// setEnv decrypts an environment as the guest does at its next boot.
func (vm *cvm) setEnv(encrypted string) {
	vm.encryptedEnv, vm.env, vm.envError = encrypted, nil, ""
	env, err := vm.app.decrypt(encrypted)
	if err != nil {
		vm.envError = err.Error()
		return
	}
	vm.env = env
}

func (a *app) decrypt(encrypted string) ([]kms.EnvVar, error) {
	key, err := a.kms.envKey(a.id)
	if err != nil {
		return nil, err
	}
	return kms.DecryptEnv(encrypted, key)
}

// guestEnv returns the environment of the containers: without the names that the app-compose does not allow, and with the
// values as the guest changes them.
func (vm *cvm) guestEnv() []kms.EnvVar {
	allowed := slices.DeleteFunc(slices.Clone(vm.env), func(v kms.EnvVar) bool { return !slices.Contains(vm.doc.app.AllowedEnvs, v.Key) })
	return compose.GuestEnv(allowed)
}

// Env returns the environment of a CVM as its containers receive it, in the order of the names: decrypted by the
// guest, filtered by the app-compose, and changed as the guest changes values. The identifier may have every form that
// the API accepts; a name is one of the first workspace.
func (s *Server) Env(cvmID string) ([]kms.EnvVar, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.own()
	if found := s.withIdentifier(cvmID); len(found) > 0 && len(w.withName(cvmID)) == 0 {
		w = found[0].app.workspace
	}
	return w.env(cvmID)
}

func (w *Workspace) env(cvmID string) ([]kms.EnvVar, error) {
	vm, bad := w.find(cvmID)
	switch {
	case bad != nil && bad.status == http.StatusConflict:
		return nil, fmt.Errorf("phalatest: several cvms match %s", cvmID)
	case bad != nil:
		return nil, fmt.Errorf("phalatest: no cvm %s", cvmID)
	case vm.envError != "":
		return nil, fmt.Errorf("phalatest: cvm %s: %s", cvmID, vm.envError)
	}
	return vm.guestEnv(), nil
}

// Decrypt returns the variables that a guest of an app reads from an encrypted environment, in any workspace. It
// returns an error if the environment was encrypted for another app.
func (s *Server) Decrypt(app kms.AppID, encrypted string) ([]kms.EnvVar, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.apps[app]
	if a == nil {
		return nil, fmt.Errorf("phalatest: no app %s", app)
	}
	env, err := a.decrypt(encrypted)
	if err != nil {
		return nil, fmt.Errorf("phalatest: %w", err)
	}
	return env, nil
}
