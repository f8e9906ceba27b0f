package phalatest

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

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
