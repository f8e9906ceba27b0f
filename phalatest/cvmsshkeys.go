package phalatest

import (
	"net/http"
	"slices"

	"github.com/phala-go/phala/openapi"
)

func describeCVMKeys(vm *cvm, restart bool) openapi.CVMSSHKeys {
	t := vm.tenant()
	described := openapi.CVMSSHKeys{Keys: []openapi.CVMSSHKey{}, RestartRequired: &restart}
	for _, id := range vm.keyIDs {
		if k := t.sshKey(id); k != nil {
			described.Keys = append(described.Keys, openapi.CVMSSHKey{
				ID: openapi.ID(k.id), OwnerUserID: openapi.ID(t.userID()), OwnerUsername: t.userName(), AddedByUserID: openapi.ID(t.userID()),
				Name: k.name, PublicKey: k.public, Fingerprint: k.fingerprint, KeyType: k.kind,
			})
		}
	}
	return described
}

func listCVMKeys(_ *Server, _ *call, vm *cvm) answer { return ok(describeCVMKeys(vm, false)) }

// setCVMKeys sets the keys of a CVM: the named keys of the account, and all keys of the named users.
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
		if c.tenant.sshKey(id) == nil {
			return plain(http.StatusNotFound, "SSH key "+id+" not found")
		}
		next = append(next, id)
	}
	for _, user := range r.Usernames {
		if user != c.tenant.userName() {
			return plain(http.StatusNotFound, "User "+user+" not found")
		}
		for _, k := range c.tenant.sshKeys {
			if !slices.Contains(next, k.id) {
				next = append(next, k.id)
			}
		}
	}
	gone := func(id string) bool { return c.tenant.sshKey(id) == nil }
	changed := !slices.Equal(next, slices.DeleteFunc(vm.keyIDs, gone))
	vm.keyIDs = next
	if deref(r.ApplyNow) {
		s.bootCVM(vm, "restart", "restarting")
		changed = false
	}
	return ok(describeCVMKeys(vm, changed))
}
