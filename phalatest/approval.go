package phalatest

import (
	"cmp"
	"net/http"
	"strings"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// prepared is a change that waits for approval and is committed with its token alone.
type prepared struct {
	token   string
	vm      *cvm
	replica bool
	change  change
	hash    compose.Hash
	node    *node
	created time.Time
}

func (p *prepared) expires() time.Time { return p.created.Add(provisionTTL) }

// current reports whether a prepared change exists, is the newest of its CVM and has not expired.
func (p *prepared) current() bool {
	return p != nil && (p.vm.update == p || p.vm.replica == p) && time.Now().Before(p.expires())
}

// matches reports whether a hash is that of the prepared change.
func (p *prepared) matches(hashText string) bool {
	hash, err := compose.ParseHash(hashText)
	return err == nil && hash == p.hash
}

func (s *Server) prepare(p *prepared) *response {
	p.token, p.created = dashed(newUUID()), time.Now().UTC()
	slot, event := &p.vm.update, "cvm.update.pending_approval"
	if p.replica {
		slot, event = &p.vm.replica, "cvm.replica.pending_approval"
	}
	if old := *slot; old != nil {
		delete(s.prepared, old.token)
	}
	*slot = p
	s.prepared[p.token] = p
	s.emitCVM(p.vm, event)
	page, post := p.urls()
	return registrationRequired(
		append(p.vm.app.registration(p.hash, p.node),
			object{"field": "commit_token", "value": p.token},
			object{"field": "commit_url", "value": page},
			object{"field": "api_commit_url", "value": post},
		)...)
}

func (s *Server) prepareUpdate(vm *cvm, ch change) *response {
	p := &prepared{vm: vm, change: ch, hash: vm.doc.hash, node: vm.node}
	if ch.doc != nil {
		p.hash = ch.doc.hash
	}
	return s.prepare(p)
}

// urls returns the page for people and the URL for programs that commit the change.
func (p *prepared) urls() (page, post string) {
	kind, id := "update", dashed(p.vm.uuid)
	if p.replica {
		kind = "replica"
	}
	return "https://cloud.phala.test/" + p.vm.app.workspace.slug + "/cvms/" + id + "/confirm-" + kind + "?token=" + p.token + "&compose_hash=" + p.hash.String(),
		"https://phala.test/api/v1/cvms/" + id + "/commit-" + kind + "?token=" + p.token
}

// registration returns what must be registered before an app can run a hash on a node, and what the contract allows at
// present.
func (a *app) registration(hash compose.Hash, n *node) []object {
	read := a.allowance(hash, n)
	return []object{
		{"field": "compose_hash", "value": hash.String()}, {"field": "app_id", "value": a.id.String()},
		{"field": "device_id", "value": n.device.String()}, {"field": "kms_info", "value": a.kms.describe()},
		{"field": "onchain_status", "value": object{
			"compose_hash_allowed": read.hash, "device_id_allowed": read.device || read.anyDevice, "is_allowed": read.allowed(),
		}},
	}
}

// registrationRequired returns a 465 with the result of [app.registration].
func registrationRequired(details ...object) *response {
	return codedError(statusHashRequired, "ERR-01-005", "The compose hash must be registered before it is committed", details...)
}

func tokenInvalid() *response {
	return codedError(statusHashInvalid, "ERR-01-006", "The token or hash is unknown, has expired, or was superseded; prepare again")
}

// confirm applies the newest prepared update, by its hash.
func (s *Server) confirm(vm *cvm, by approval) *response {
	if !vm.update.current() || !vm.update.matches(by.hash) {
		return tokenInvalid()
	}
	return s.commit(vm.update, by)
}

// findPrepared returns the prepared change of a token, if the request has no other hash.
func (s *Server) findPrepared(c *call, r openapi.CommitUpdateRequest, replica bool) (*prepared, approval, *response) {
	by := approval{hash: deref(r.ComposeHash), transaction: deref(r.TransactionHash)}
	p := s.prepared[cmp.Or(string(deref(r.Token)), c.URL.Query().Get("token"))]
	if !p.current() || p.vm != c.vm || p.replica != replica || by.hash != "" && !p.matches(by.hash) {
		return nil, by, tokenInvalid()
	}
	return p, by, nil
}

func (s *Server) commit(p *prepared, by approval) *response {
	if bad := s.checkAllowed(p.vm.app, p.hash, p.node, by.orRegistered(), true); bad != nil {
		return bad
	}
	delete(s.prepared, p.token)
	p.vm.update = nil
	return s.apply(p.vm, p.change)
}

func (s *Server) answerCVMsCommitUpdate(c *call, r openapi.CommitUpdateRequest) *response {
	p, by, bad := s.findPrepared(c, r, false)
	if bad != nil {
		return bad
	}
	return s.commit(p, by)
}

func (s *Server) answerCVMsGetCommitUpdate(c *call) *response {
	p := s.prepared[c.URL.Query().Get("token")]
	if !p.current() || p.vm != c.vm {
		return tokenInvalid()
	}
	w := c.app.workspace
	return ok(object{
		"workspace": object{"name": w.name, "slug": w.slug}, "cvm_id": dashed(c.vm.uuid), "cvm_name": c.vm.name, "app_id": c.app.id.String(),
		"compose_hash": p.hash.String(), "initiated_by": object{"user_id": w.userID(), "username": w.userName()},
		"created_at": stamp(p.created), "expires_at": stamp(p.expires()),
	})
}

func (*Server) answerAppsListPendingUpdates(c *call) *response {
	items := []openapi.PreparedUpdate{}
	for _, vm := range c.app.cvms {
		if p := vm.update; p.current() {
			items = append(items, openapi.PreparedUpdate{
				VMUUID: dashed(vm.uuid), ComposeHash: p.hash.String(), OnChain: c.app.kms.onChain() && c.app.allowance(p.hash, p.node).hash,
				InstanceName: vm.name,
			})
		}
	}
	return ok(openapi.PendingUpdates{Items: items})
}

func (*Server) answerAppsPreviewPendingUpdate(c *call) *response {
	p := c.vm.update
	if !p.current() || p.hash.String() != strings.TrimPrefix(strings.ToLower(c.params["compose_hash"]), "0x") {
		return plainError(http.StatusNotFound, "No such pending update")
	}
	next := c.vm.doc
	if p.change.doc != nil {
		next = p.change.doc
	}
	return ok(openapi.PendingUpdatePreview{
		CurrentDockerCompose: c.vm.doc.composeFile(), PendingDockerCompose: next.composeFile(), CurrentPreLaunchScript: c.vm.doc.script(),
		PendingPreLaunchScript: next.script(),
	})
}
