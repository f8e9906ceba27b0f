package phalatest

import (
	"net/http"
	"slices"

	"github.com/phala-go/phala/openapi"
)

func (s *Server) describeCVMKeys(vm *cvm, restart bool) object {
	keys := []object{}
	for _, id := range vm.keyIDs {
		if k := s.sshKey(id); k != nil {
			keys = append(keys, object{
				"id": k.id, "owner_user_id": userID, "owner_username": userName, "added_by_user_id": userID, "name": k.name,
				"public_key": k.public, "fingerprint": k.fingerprint, "key_type": k.kind,
			})
		}
	}
	return object{"keys": keys, "restart_required": restart}
}

func listCVMKeys(s *Server, _ *call, vm *cvm) answer { return ok(s.describeCVMKeys(vm, false)) }

// setCVMKeys gives a CVM keys of the account: those named, and all of the users named.
func setCVMKeys(s *Server, c *call, vm *cvm) answer {
	var r openapi.SetCVMSSHKeysRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	if deref(r.ApplyNow) && vm.op != nil {
		return plain(http.StatusConflict, busy)
	}
	next := []string{}
	for _, id := range r.SSHKeyIDs {
		if s.sshKey(id) == nil {
			return plain(http.StatusNotFound, "SSH key "+id+" not found")
		}
		next = append(next, id)
	}
	for _, user := range r.Usernames {
		if user != userName {
			return plain(http.StatusNotFound, "User "+user+" not found")
		}
		for _, k := range s.sshKeys {
			if !slices.Contains(next, k.id) {
				next = append(next, k.id)
			}
		}
	}
	changed := !slices.Equal(next, vm.keyIDs)
	vm.keyIDs = next
	if deref(r.ApplyNow) {
		s.bootCVM(vm, "restart", "restarting")
		changed = false
	}
	return ok(s.describeCVMKeys(vm, changed))
}
