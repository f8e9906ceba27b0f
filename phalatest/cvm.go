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

// cvm is one confidential VM and its state.
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
	exited   time.Time // last time by itself
	runs     []span    // times it ran, for the usage
	op       *operation
	finished []operation

	signed *signedEvidence // evidence; nil until the first request

	composes map[string]composeUpdate // provisioned, by hash
	update   *prepared                // the newest update that waits for approval
	replica  *prepared                // the newest replica that waits for approval
}

// id returns the identifier of the newer API versions.
func (vm *cvm) id() string { return fmt.Sprintf("cvm_%06d", vm.number) }

// numberOrID is the identifier as the version of the call has it, where numbers went last.
func (vm *cvm) numberOrID(c *call) openapi.ID {
	if c.hashedIDs() {
		return openapi.ID(vm.id())
	}
	return numbered(vm.number)
}

func (vm *cvm) tenant() *Tenant { return vm.app.tenant }

func (vm *cvm) running() bool { return vm.status == "running" }

// identifiers are all that name a CVM, in lower case where case does not matter.
func (vm *cvm) identifiers() []string {
	ids := []string{vm.app.tenant.nameKey(vm.name), vm.id(), strconv.Itoa(vm.number), vm.uuid, "app_" + vm.app.id.String()}
	if vm.instance != "" {
		ids = append(ids, "instance_"+vm.instance)
	}
	return ids
}

// enroll makes a CVM known under its identifiers; dismiss forgets it. A change of an identifier goes between
// the two.
func (s *Server) enroll(vm *cvm) {
	for _, id := range vm.identifiers() {
		s.index[id] = append(s.index[id], vm)
	}
}

func (s *Server) dismiss(vm *cvm) {
	for _, id := range vm.identifiers() {
		left := slices.DeleteFunc(s.index[id], func(other *cvm) bool { return other == vm })
		if s.index[id] = left; len(left) == 0 {
			delete(s.index, id)
		}
	}
}

// identified are the CVMs of an identifier that is no name, of all tenants: those of one app at most.
func (s *Server) identified(id string) []*cvm {
	key := strings.ToLower(strings.ReplaceAll(id, "-", ""))
	if strings.HasPrefix(key, "name ") {
		return nil
	}
	return s.index[key]
}

// find returns the CVM that the key of a call may see. Without a key, if a token replaces it, a CVM has no name.
func (c *call) find(id string) (*cvm, *answer) {
	if c.tenant == nil {
		return oneOf(c.server.identified(id), id, "ERR-03-010")
	}
	return c.tenant.find(id)
}

// oneOf returns the only CVM of those that an identifier matches.
func oneOf(found []*cvm, id, code string) (*cvm, *answer) {
	switch len(found) {
	case 0:
		bad := cvmNotFound(id)
		return nil, &bad
	case 1:
		return found[0], nil
	}
	details := []object{}
	for _, vm := range found {
		details = append(details, object{"field": "vm_uuid", "value": dashed(vm.uuid), "message": vm.name})
	}
	return nil, refuse(http.StatusConflict, code, fmt.Sprintf("%d CVMs go by %s; name one by its UUID", len(found), id), details...)
}

func cvmNotFound(id string) answer {
	return structured(http.StatusNotFound, "ERR-03-001", "CVM "+id+" was not found")
}

func dashed(uuid string) string {
	return uuid[:8] + "-" + uuid[8:12] + "-" + uuid[12:16] + "-" + uuid[16:20] + "-" + uuid[20:]
}

// onCVM returns a handler of an operation on one CVM.
func onCVM(h func(*Server, *call, *cvm) answer) handler {
	return func(s *Server, c *call) answer {
		vm, bad := c.find(c.params["cvm_id"])
		if bad != nil {
			return *bad
		}
		return h(s, c, vm)
	}
}

// whenIdle is onCVM for an operation that fails while another one runs.
func whenIdle(h func(*Server, *call, *cvm) answer) handler { return onCVM(idle(h)) }

func idle(h func(*Server, *call, *cvm) answer) func(*Server, *call, *cvm) answer {
	return func(s *Server, c *call, vm *cvm) answer {
		if vm.op != nil {
			return plain(http.StatusConflict, busy)
		}
		return h(s, c, vm)
	}
}

const busy = "Another operation is in progress on this CVM"

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
