package phalatest

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// composeUpdate is a document that a CVM can be updated to by its hash alone.
type composeUpdate struct {
	doc     *document
	expires time.Time
}

// provisionUpdate keeps a document for the time of a provision, and forgets older ones.
func (vm *cvm) provisionUpdate(doc *document) {
	now := time.Now()
	maps.DeleteFunc(vm.composes, func(_ string, u composeUpdate) bool { return now.After(u.expires) })
	vm.composes[doc.hash.String()] = composeUpdate{doc, now.Add(provisionTTL)}
}

// provisionUpdate prepares another app-compose for a CVM, to be committed by its hash.
func provisionUpdate(s *Server, c *call, vm *cvm) answer {
	var members map[string]json.RawMessage
	if bad, ok := s.decode(c, &members); !ok {
		return bad
	}
	delete(members, "update_env_vars")
	raw, err := json.Marshal(members)
	if err != nil {
		return invalidCompose(err)
	}
	doc, bad := s.completed(raw)
	if bad != nil {
		return *bad
	}
	vm.provisionUpdate(doc)
	return ok(openapi.ComposeProvision{
		AppID: vm.app.id.String(), DeviceID: vm.node.device.String(), ComposeHash: doc.hash.String(), KMSInfo: ref(vm.app.kms.describe()),
		ComposeHashRegistered: ref(vm.app.kms.onChain() && vm.app.consent(doc.hash, vm.node).hash), ComposeUnchanged: ref(doc.hash == vm.doc.hash),
	})
}

func (s *Server) commitCompose(vm *cvm, hashText string, env *openapi.Secret) answer {
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return invalid(err.Error(), "value_error", "body", "compose_hash")
	}
	known, there := vm.composes[hash.String()]
	if !there || time.Now().After(known.expires) {
		return structured(statusHashInvalid, "ERR-01-006", "The compose hash is unknown; provision it first")
	}
	// The request has no place for a transaction, so the contract itself is looked at.
	return s.change(vm, change{kind: "compose_update", doc: known.doc, env: env}, approval{}.orRegistered())
}

func commitComposeUpdate(s *Server, c *call, vm *cvm) answer {
	var r openapi.CommitComposeUpdateRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	env := r.EncryptedEnv
	if !deref(r.UpdateEnvVars) {
		env = nil // the old environment stays unless it is asked for
	}
	return s.commitCompose(vm, r.ComposeHash, env)
}

// submitComposeFile provisions and commits in one call.
func submitComposeFile(s *Server, c *call, vm *cvm) answer {
	var r struct {
		openapi.SubmitComposeFileRequest
		ComposeFile json.RawMessage `json:"compose_file"`
	}
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	doc, bad := s.completed(r.ComposeFile)
	if bad != nil {
		return *bad
	}
	if hash, err := compose.ParseHash(r.ComposeHash); err != nil || hash != doc.hash {
		return plain(http.StatusBadRequest, "compose_hash is not the hash of compose_file, which is "+doc.hash.String())
	}
	vm.provisionUpdate(doc)
	return s.commitCompose(vm, r.ComposeHash, r.EncryptedEnv)
}
