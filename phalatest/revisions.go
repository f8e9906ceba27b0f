package phalatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/openapi"
)

// revision is what a CVM ran from one change to the next.
type revision struct {
	id           string
	vm           *cvm
	doc          *document
	encryptedEnv string
	userConfig   string
	created      time.Time
	trace        string
	kind         string
}

// revise notes what a CVM runs from now on.
func (s *Server) revise(vm *cvm, kind string) {
	s.revision++
	vm.app.revisions = append(vm.app.revisions, &revision{
		id: fmt.Sprintf("rev_%06d", s.revision), vm: vm, doc: vm.doc, encryptedEnv: vm.encryptedEnv, userConfig: vm.userConfig,
		created: time.Now().UTC(), trace: vm.op.id, kind: kind,
	})
}

func (r *revision) describe() openapi.AppRevision {
	return openapi.AppRevision{
		RevisionID: r.id, AppID: r.vm.app.id.String(), VMUUID: dashed(r.vm.uuid), ComposeHash: r.doc.hash.String(), CreatedAt: second(r.created),
		TraceID: r.trace, OperationType: r.kind, TriggeredBy: ref(r.vm.tenant().userRef()),
		CVM:       &openapi.CVMRef{ObjectType: "cvm", VMUUID: dashed(r.vm.uuid), AppID: r.vm.app.id.String(), Name: r.vm.name},
		Workspace: ref(r.vm.tenant().workspaceRef()),
	}
}

func (a *app) revision(id string) *revision {
	i := slices.IndexFunc(a.revisions, func(r *revision) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return a.revisions[i]
}

func listRevisions(_ *Server, c *call, a *app) answer {
	return page(c, newestFirst(a.revisions), pageNames{"revisions", "total_pages", 50}, func(r *revision) any { return r.describe() })
}

var noRevision = "Revision not found"

func getRevision(_ *Server, c *call, a *app) answer {
	r := a.revision(c.params["revision_id"])
	if r == nil {
		return plain(http.StatusNotFound, noRevision)
	}
	d, file := r.describe(), r.doc.text
	if c.URL.Query().Get("raw_compose_file") == "true" {
		var err error
		if file, err = json.Marshal(string(file)); err != nil {
			return plain(http.StatusInternalServerError, err.Error())
		}
	}
	return ok(openapi.AppRevisionDetail{
		RevisionID: d.RevisionID, AppID: d.AppID, VMUUID: d.VMUUID, ComposeHash: d.ComposeHash, CreatedAt: d.CreatedAt, TraceID: d.TraceID,
		OperationType: d.OperationType, TriggeredBy: d.TriggeredBy, CVM: d.CVM, Workspace: d.Workspace,
		ComposeFile: file, EncryptedEnv: openapi.Secret(r.encryptedEnv), UserConfig: r.userConfig,
	})
}

func (r *revision) redeployOn(s *Server, vm *cvm, by approval) answer {
	if bad := s.allowed(vm.app, r.doc.hash, vm.node, by, false); bad != nil {
		return *bad
	}
	env := openapi.Secret(r.encryptedEnv)
	ch := change{kind: "redeploy", doc: r.doc, userConfig: &r.userConfig}
	if env != "" {
		ch.env = &env
	}
	return s.apply(vm, ch)
}

func redeployCVM(s *Server, c *call, vm *cvm) answer {
	r := vm.app.revision(c.params["revision_id"])
	if r == nil {
		return plain(http.StatusNotFound, noRevision)
	}
	return r.redeployOn(s, vm, approval{transaction: c.URL.Query().Get("transaction_hash")})
}

// redeployApp takes all CVMs that are named back to a revision, or none.
func redeployApp(s *Server, c *call, a *app) answer {
	var request openapi.RedeployRevisionRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &request); !ok {
			return bad
		}
	}
	r := a.revision(c.params["revision_id"])
	if r == nil {
		return plain(http.StatusNotFound, noRevision)
	}
	chosen := a.cvms
	if len(request.VMUUIDs) > 0 {
		chosen = nil
		for _, id := range request.VMUUIDs {
			vm, bad := c.tenant.find(id)
			if bad != nil || vm.app != a {
				return cvmNotFound(id)
			}
			chosen = append(chosen, vm)
		}
	} else if len(a.cvms) > 1 {
		return plain(http.StatusBadRequest, "vm_uuids is required where an app has several CVMs")
	}
	if slices.ContainsFunc(chosen, func(vm *cvm) bool { return vm.op != nil }) {
		return plain(http.StatusConflict, busy)
	}
	by := approval{transaction: c.URL.Query().Get("transaction_hash")}
	for _, vm := range chosen {
		if bad := s.allowed(a, r.doc.hash, vm.node, by, false); bad != nil {
			return *bad
		}
	}
	last := answer{}
	for _, vm := range chosen {
		last = r.redeployOn(s, vm, by)
	}
	return last
}
