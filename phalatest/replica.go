package phalatest

import (
	"net/http"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

func (s *Server) answerCVMsReplicate(c *call, r openapi.ReplicateRequest) *response {
	doc, bad := c.app.runningDocument(c.vm, r.ComposeHash)
	if bad != nil {
		return bad
	}
	n, bad := s.replicaNode(c.vm, r.NodeID, r.TeepodID)
	if bad != nil {
		return bad
	}
	return s.requestReplica(c, c.vm, change{kind: "create", doc: doc, env: r.EncryptedEnv}, n, approvalOf(c))
}

func (s *Server) answerAppsReplicate(c *call, r openapi.ReplicateRequest) *response {
	return s.answerCVMsReplicate(c, r)
}

// requestReplica adds a CVM, or prepares it if only that was requested or the chain must allow it first.
func (s *Server) requestReplica(c *call, vm *cvm, ch change, n *node, by approval) *response {
	bad := s.checkAllowed(vm.app, ch.doc.hash, n, by, false)
	switch {
	case by.prepareOnly, bad != nil && bad.status == statusHashRequired:
		return s.prepare(&prepared{vm: vm, replica: true, change: ch, hash: ch.doc.hash, node: n})
	case bad != nil:
		return bad
	}
	return s.addReplica(c, vm, ch, n)
}

// addReplica creates a CVM with the name, size, image, settings and environment of another, unless the change has its own.
func (s *Server) addReplica(c *call, vm *cvm, ch change, n *node) *response {
	if bad := vm.app.workspace.checkQuota(vm.size); bad != nil {
		return bad
	}
	replica := s.newCVM(vm.app, ch.doc)
	replica.name = vm.name
	if ch.name != "" {
		if len(vm.app.workspace.withName(ch.name)) > 0 {
			return nameTaken(ch.name)
		}
		replica.name = ch.name
	}
	replica.node, replica.image, replica.size = n, vm.image, vm.size
	replica.listed, replica.userConfig, replica.kmsURLs, replica.gatewayURLs = vm.listed, vm.userConfig, vm.kmsURLs, vm.gatewayURLs
	env := ch.env
	if env == nil && vm.encryptedEnv != "" {
		env = ref(openapi.Secret(vm.encryptedEnv))
	}
	return s.launch(c, replica, env)
}

// runningDocument returns the app-compose of a revision that runs: that of the hash, or the only one.
func (a *app) runningDocument(vm *cvm, hashText *string) (*document, *response) {
	running := map[compose.Hash]*document{}
	for _, other := range a.cvms {
		running[other.doc.hash] = other.doc
	}
	switch {
	case deref(hashText) != "":
		hash, err := compose.ParseHash(*hashText)
		if err != nil {
			return nil, invalidField(err.Error(), "body", "compose_hash")
		}
		if doc := running[hash]; doc != nil {
			return doc, nil
		}
		return nil, codedError(statusHashInvalid, "ERR-01-006", "No CVM of the app runs this compose hash")
	case len(running) > 1:
		return nil, codedError(http.StatusBadRequest, "ERR-03-009", "The app runs several revisions; name one by its compose_hash")
	}
	return vm.doc, nil
}

// replicaNode returns the requested node, or the one of the CVM.
func (s *Server) replicaNode(vm *cvm, nodeID, teepodID *int) (*node, *response) {
	if nodeID == nil && teepodID == nil {
		return vm.node, nil
	}
	return s.chooseNode(nodeID, teepodID, nil)
}

func (s *Server) answerCVMsCommitReplica(c *call, r openapi.CommitUpdateRequest) *response {
	p, by, bad := s.findPrepared(c, r, true)
	if bad == nil {
		bad = s.checkAllowed(c.app, p.hash, p.node, by.orRegistered(), true)
	}
	if bad != nil {
		return bad
	}
	added := s.addReplica(c, c.vm, p.change, p.node)
	if added.status == http.StatusOK {
		delete(s.prepared, p.token)
		c.vm.replica = nil
	}
	return added
}

// answerAppsCreateInstance adds a CVM to an app, with an app-compose that runs already or a changed one.
func (s *Server) answerAppsCreateInstance(c *call, r openapi.CreateInstanceRequest) *response {
	c.vm = c.app.cvms[0]
	if deref(r.Token) != "" {
		return s.answerCVMsCommitReplica(c, openapi.CommitUpdateRequest{Token: r.Token, ComposeHash: r.ComposeHash, TransactionHash: r.TransactionHash})
	}
	if r.Name != nil {
		if bad := checkName(*r.Name); bad != nil {
			return bad
		}
	}
	n, bad := s.replicaNode(c.vm, r.NodeID, r.TeepodID)
	if bad != nil {
		return bad
	}
	var doc *document
	if r.DockerComposeFile == nil && r.PreLaunchScript == nil {
		doc, bad = c.app.runningDocument(c.vm, r.ComposeHash)
	} else {
		members := map[string]any{}
		setMember(members, "docker_compose_file", r.DockerComposeFile)
		setMember(members, "pre_launch_script", r.PreLaunchScript)
		doc, bad = c.vm.doc.with(members)
	}
	if bad != nil {
		return bad
	}
	ch := change{kind: "create", name: deref(r.Name), doc: doc, env: r.EncryptedEnv}
	return s.requestReplica(c, c.vm, ch, n, approval{hash: deref(r.ComposeHash), transaction: deref(r.TransactionHash)})
}
