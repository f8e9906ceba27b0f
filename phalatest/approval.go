package phalatest

import (
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

// current reports whether a prepared change is the newest of its CVM and has not expired.
func (p *prepared) current() bool {
	return (p.vm.update == p || p.vm.replica == p) && time.Now().Before(p.expires())
}

func (s *Server) prepare(p *prepared) answer {
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
	s.happened(p.vm, event)
	page, post := p.urls()
	return registrationRequired(
		append(p.vm.app.registration(p.hash, p.node),
			object{"field": "commit_token", "value": p.token},
			object{"field": "commit_url", "value": page},
			object{"field": "api_commit_url", "value": post},
		)...)
}

// urls are the page for people and the address for programs that commit the change.
func (p *prepared) urls() (page, post string) {
	kind, id := "update", dashed(p.vm.uuid)
	if p.replica {
		kind = "replica"
	}
	return "https://cloud.phala.test/" + p.vm.tenant().slug + "/cvms/" + id + "/confirm-" + kind + "?token=" + p.token + "&compose_hash=" + p.hash.String(),
		"https://phala.test/api/v1/cvms/" + id + "/commit-" + kind + "?token=" + p.token
}

// registration returns what must be registered for an app to run a hash on a node, with the contract's present
// answer.
func (a *app) registration(hash compose.Hash, n *node) []object {
	return []object{
		{"field": "compose_hash", "value": hash.String()}, {"field": "app_id", "value": a.id.String()},
		{"field": "device_id", "value": n.device.String()}, {"field": "kms_info", "value": a.kms.describe()},
		{"field": "onchain_status", "value": a.consent(hash, n).describe()},
	}
}

// registrationRequired returns a 465 with everything that the registration takes.
func registrationRequired(details ...object) answer {
	return structured(statusHashRequired, "ERR-01-005", "The compose hash must be registered before it is committed", details...)
}

func (s *Server) prepareUpdate(vm *cvm, ch change) answer {
	p := &prepared{vm: vm, change: ch, hash: vm.doc.hash, node: vm.node}
	if ch.doc != nil {
		p.hash = ch.doc.hash
	}
	return s.prepare(p)
}

// confirm applies the update that was prepared last, by its hash.
func (s *Server) confirm(vm *cvm, by approval) answer {
	p := vm.update
	if hash, err := compose.ParseHash(by.hash); err != nil || p == nil || !p.current() || p.hash != hash {
		return *tokenInvalid()
	}
	return s.commit(p, by)
}

func tokenInvalid() *answer {
	return refuse(statusHashInvalid, "ERR-01-006", "The token or hash is unknown, has expired, or was superseded; prepare again")
}

// redeem returns the change of a token, and compares the hash that it is bound to.
func (s *Server) redeem(c *call, vm *cvm, replica bool) (*prepared, approval, *answer) {
	var r openapi.CommitUpdateRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &r); !ok {
			return nil, approval{}, &bad
		}
	}
	token := string(deref(r.Token))
	if token == "" {
		token = c.URL.Query().Get("token")
	}
	p := s.prepared[token]
	if p == nil || p.vm != vm || p.replica != replica || !p.current() {
		return nil, approval{}, tokenInvalid()
	}
	by := approval{hash: deref(r.ComposeHash), transaction: deref(r.TransactionHash)}
	if by.hash != "" {
		if hash, err := compose.ParseHash(by.hash); err != nil || hash != p.hash {
			return nil, by, tokenInvalid()
		}
	}
	return p, by, nil
}

func (s *Server) commit(p *prepared, by approval) answer {
	if bad := s.allowed(p.vm.app, p.hash, p.node, by.orRegistered(), true); bad != nil {
		return *bad
	}
	delete(s.prepared, p.token)
	p.vm.update = nil
	return s.apply(p.vm, p.change)
}

func commitUpdate(s *Server, c *call, vm *cvm) answer {
	p, by, bad := s.redeem(c, vm, false)
	if bad != nil {
		return *bad
	}
	return s.commit(p, by)
}

func getCommitUpdate(s *Server, c *call, vm *cvm) answer {
	p := s.prepared[c.URL.Query().Get("token")]
	if p == nil || p.vm != vm || !p.current() {
		return *tokenInvalid()
	}
	return ok(object{
		"workspace": object{"name": vm.tenant().name, "slug": vm.tenant().slug}, "cvm_id": dashed(vm.uuid), "cvm_name": vm.name,
		"app_id": vm.app.id.String(), "compose_hash": p.hash.String(), "initiated_by": object{"user_id": vm.tenant().userID(), "username": vm.tenant().userName()},
		"created_at": stamp(p.created), "expires_at": stamp(p.expires()),
	})
}

func listPending(_ *Server, _ *call, a *app) answer {
	items := []openapi.PreparedUpdate{}
	for _, vm := range a.cvms {
		if p := vm.update; p != nil && p.current() {
			items = append(items, openapi.PreparedUpdate{
				VMUUID: dashed(vm.uuid), ComposeHash: p.hash.String(), OnChain: a.kms.onChain() && a.consent(p.hash, p.node).hash, InstanceName: vm.name,
			})
		}
	}
	return ok(openapi.PendingUpdates{Items: items})
}

func previewPending(_ *Server, c *call, vm *cvm) answer {
	p := vm.update
	if p == nil || !p.current() || p.hash.String() != strings.TrimPrefix(strings.ToLower(c.params["compose_hash"]), "0x") {
		return plain(http.StatusNotFound, "No such pending update")
	}
	next := vm.doc
	if p.change.doc != nil {
		next = p.change.doc
	}
	return ok(openapi.PendingUpdatePreview{
		CurrentDockerCompose: vm.doc.composeFile(), PendingDockerCompose: next.composeFile(), CurrentPreLaunchScript: vm.doc.script(),
		PendingPreLaunchScript: next.script(),
	})
}
