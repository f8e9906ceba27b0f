package phalatest

import (
	"net/http"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// replicate creates another CVM like one, with its name, size, image and environment.
func replicate(s *Server, c *call, vm *cvm) answer {
	var r openapi.ReplicateRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &r); !ok {
			return bad
		}
	}
	doc, bad := vm.app.liveDocument(vm, r.ComposeHash)
	if bad != nil {
		return *bad
	}
	n, bad := s.otherNode(vm, r.NodeID, r.TeepodID)
	if bad != nil {
		return *bad
	}
	ch := change{kind: "create", doc: doc, env: r.EncryptedEnv}
	return s.wantReplica(c, vm, ch, n, approvalOf(c))
}

// wantReplica adds a CVM, or prepares it if only that was requested or the chain must allow it first.
func (s *Server) wantReplica(c *call, vm *cvm, ch change, n *node, by approval) answer {
	bad := s.allowed(vm.app, ch.doc.hash, n, by, false)
	switch {
	case by.prepareOnly, bad != nil && bad.status == statusHashRequired:
		return s.prepare(&prepared{vm: vm, replica: true, change: ch, hash: ch.doc.hash, node: n})
	case bad != nil:
		return *bad
	}
	return s.addReplica(c, vm, ch, n)
}

// redeemReplica commits a replica that was prepared.
func (s *Server) redeemReplica(c *call, vm *cvm) answer {
	p, by, bad := s.redeem(c, vm, true)
	if bad == nil {
		bad = s.allowed(vm.app, p.hash, p.node, by.orRegistered(), true)
	}
	if bad != nil {
		return *bad
	}
	added := s.addReplica(c, vm, p.change, p.node)
	if added.status == http.StatusOK {
		delete(s.prepared, p.token)
		vm.replica = nil
	}
	return added
}

// liveDocument returns the app-compose of a revision that runs: the named one, or the only one.
func (a *app) liveDocument(vm *cvm, hashText *string) (*document, *answer) {
	live := map[string]*document{}
	for _, other := range a.cvms {
		live[other.doc.hash.String()] = other.doc
	}
	switch {
	case hashText != nil && *hashText != "":
		hash, err := compose.ParseHash(*hashText)
		if err != nil {
			bad := invalid(err.Error(), "value_error", "body", "compose_hash")
			return nil, &bad
		}
		if doc := live[hash.String()]; doc != nil {
			return doc, nil
		}
		return nil, refuse(statusHashInvalid, "ERR-01-006", "No CVM of the app runs this compose hash")
	case len(live) > 1:
		return nil, refuse(http.StatusBadRequest, "ERR-03-009", "The app runs several revisions; name one by its compose_hash")
	}
	return vm.doc, nil
}

// otherNode returns the requested node, or the one of the CVM.
func (s *Server) otherNode(vm *cvm, nodeID, teepodID *int) (*node, *answer) {
	if nodeID == nil && teepodID == nil {
		return vm.node, nil
	}
	return s.chooseNode(nodeID, teepodID, nil)
}

func (s *Server) addReplica(c *call, vm *cvm, ch change, n *node) answer {
	if bad := vm.tenant().overQuota(vm.size); bad != nil {
		return *bad
	}
	replica := s.newCVM(vm.app, ch.doc)
	if ch.name != "" {
		if len(vm.tenant().named(ch.name)) > 0 {
			return nameTaken(ch.name)
		}
		replica.name = ch.name
	} else {
		replica.name = vm.name
	}
	replica.node, replica.image, replica.size = n, vm.image, vm.size
	replica.listed, replica.userConfig, replica.kmsURLs, replica.gatewayURLs = vm.listed, vm.userConfig, vm.kmsURLs, vm.gatewayURLs
	env := ch.env
	if env == nil && vm.encryptedEnv != "" {
		same := openapi.Secret(vm.encryptedEnv)
		env = &same
	}
	return s.launch(c, replica, env)
}

func commitReplica(s *Server, c *call, vm *cvm) answer {
	return s.redeemReplica(c, vm)
}

// createInstance adds a CVM to an app, with its app-compose or a changed one.
func createInstance(s *Server, c *call, a *app) answer {
	var r openapi.CreateInstanceRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &r); !ok {
			return bad
		}
	}
	vm := a.cvms[0]
	if r.Token != nil && *r.Token != "" {
		return s.redeemReplica(c, vm)
	}
	if r.Name != nil {
		if err := compose.ValidateName(*r.Name); err != nil {
			return invalid("Value error, "+err.Error(), "value_error", "body", "name")
		}
	}
	n, bad := s.otherNode(vm, r.NodeID, r.TeepodID)
	if bad != nil {
		return *bad
	}
	doc, bad := a.newDocument(vm, r)
	if bad != nil {
		return *bad
	}
	ch := change{kind: "create", name: deref(r.Name), doc: doc, env: r.EncryptedEnv}
	return s.wantReplica(c, vm, ch, n, approval{hash: deref(r.ComposeHash), transaction: deref(r.TransactionHash)})
}

// newDocument returns the app-compose of a new instance: a changed one, or one that runs already.
func (a *app) newDocument(vm *cvm, r openapi.CreateInstanceRequest) (*document, *answer) {
	if r.DockerComposeFile == nil && r.PreLaunchScript == nil {
		return a.liveDocument(vm, r.ComposeHash)
	}
	members := map[string]any{}
	set(members, "docker_compose_file", r.DockerComposeFile)
	set(members, "pre_launch_script", r.PreLaunchScript)
	doc, err := vm.doc.with(members)
	if err != nil {
		bad := invalidCompose(err)
		return nil, &bad
	}
	return doc, nil
}
