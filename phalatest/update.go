package phalatest

import (
	"encoding/json"
	"maps"
	"net/http"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// change is what an update makes of a CVM; what is nil stays.
type change struct {
	kind       string // operation type
	name       string // of an instance to be; empty for that of the CVM it is made from
	doc        *document
	env        *openapi.Secret
	userConfig *string
	size       *size
	image      *image
}

// nothing reports whether a CVM has the requested state already.
func (ch change) nothing(vm *cvm) bool {
	return (ch.doc == nil || ch.doc.hash == vm.doc.hash) && ch.env == nil && (ch.userConfig == nil || *ch.userConfig == vm.userConfig) &&
		(ch.size == nil || *ch.size == vm.size) && (ch.image == nil || ch.image == vm.image)
}

// approval is a request's statement about the chain: the hash and the transaction that registered it, or that the
// change is only to be prepared.
type approval struct {
	hash, transaction string
	prepareOnly       bool
}

// orRegistered returns the approval of a commit: without a transaction everything was registered before.
func (a approval) orRegistered() approval {
	if a.transaction == "" {
		a.transaction = alreadyRegistered
	}
	return a
}

func approvalOf(c *call) approval {
	return approval{
		hash: c.Header.Get("X-Compose-Hash"), transaction: c.Header.Get("X-Transaction-Hash"),
		prepareOnly: c.Header.Get("X-Prepare-Only") == "true",
	}
}

// change applies an update, or prepares it if only that was requested or the chain must allow it first. A request
// with only a hash confirms the prepared one.
func (s *Server) change(vm *cvm, ch change, by approval) answer {
	nothing := ch.nothing(vm)
	if by.hash != "" && nothing {
		return s.confirm(vm, by)
	}
	if by.prepareOnly {
		return s.prepareUpdate(vm, ch)
	}
	if nothing {
		return accepted(openapi.UpdateAccepted{Status: "no_change", Message: "Nothing is to change"})
	}
	if ch.doc != nil && ch.doc.hash != vm.doc.hash {
		if bad := s.allowed(vm.app, ch.doc.hash, vm.node, by, true); bad != nil {
			if bad.status == statusHashRequired {
				return s.prepareUpdate(vm, ch)
			}
			return *bad
		}
	}
	return s.apply(vm, ch)
}

// The status codes of the API that are not part of HTTP.
const (
	statusHashRequired = 465 // the hash must be registered on chain first
	statusHashInvalid  = 466 // the hash or token is unknown, expired or superseded
	statusTxInvalid    = 467 // the transaction is not mined, has failed, or called something else
	statusNotAllowed   = 468 // the contract does not allow the hash or the device
)

// apply changes a CVM and boots it again.
func (s *Server) apply(vm *cvm, ch change) answer {
	envsChanged := false
	if ch.doc != nil {
		envsChanged = !sameNames(vm.doc.app.AllowedEnvs, ch.doc.app.AllowedEnvs)
		vm.doc = ch.doc
	}
	if ch.env != nil {
		vm.takeEnv(s, string(*ch.env))
	}
	if ch.userConfig != nil {
		vm.userConfig = *ch.userConfig
	}
	s.account(vm, -1)
	if ch.size != nil {
		vm.size = *ch.size
	}
	if ch.image != nil {
		vm.image = ch.image
	}
	s.account(vm, 1)
	if s.unknown.staysStopped && (vm.status == "stopped" || vm.status == "exited") {
		vm.begin(s, ch.kind, "updating", vm.status, step{status: "updating"}, step{status: vm.status})
	} else {
		s.bootCVM(vm, ch.kind, "updating")
	}
	if ch.doc != nil || ch.env != nil || ch.userConfig != nil {
		s.revise(vm, ch.kind)
	}
	return accepted(openapi.UpdateAccepted{
		Status: "in_progress", Message: "The update has started", CorrelationID: vm.op.id, AllowedEnvsChanged: &envsChanged,
	})
}

func sameNames(a, b []string) bool {
	names := map[string]bool{}
	for _, n := range a {
		names[n] = true
	}
	for _, n := range b {
		if !names[n] {
			return false
		}
		delete(names, n)
	}
	return len(names) == 0
}

func invalidCompose(err error) answer {
	return structured(http.StatusBadRequest, "ERR-01-003", err.Error())
}

// updateCVM changes any part of a CVM.
func updateCVM(s *Server, c *call, vm *cvm) answer {
	var r openapi.UpdateCVMRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	ch := change{kind: "update", env: r.EncryptedEnv, userConfig: r.UserConfig}
	members := map[string]any{}
	set(members, "docker_compose_file", r.DockerComposeFile)
	set(members, "pre_launch_script", r.PreLaunchScript)
	set(members, "public_logs", r.PublicLogs)
	set(members, "public_sysinfo", r.PublicSysInfo)
	set(members, "public_tcbinfo", r.PublicTCBInfo)
	if r.AllowedEnvs != nil {
		members["allowed_envs"] = r.AllowedEnvs
	}
	if len(members) > 0 {
		ch.kind = "compose_update"
		var err error
		if ch.doc, err = vm.doc.with(members); err != nil {
			return invalidCompose(err)
		}
	}
	next, bad := s.resized(vm.size, r.InstanceType, r.VCPU, r.Memory, r.DiskSize)
	if bad != nil {
		return *bad
	}
	if r.GPUs != nil {
		next.gpus = len(r.GPUs.GPUs)
	}
	ch.size = &next
	if r.Image != nil {
		if ch.image = s.image(*r.Image); ch.image == nil {
			return structured(http.StatusNotFound, "ERR-02-010", "Unknown image "+*r.Image)
		}
	}
	return s.change(vm, ch, approvalOf(c))
}

func set[T any](members map[string]any, name string, value *T) {
	if value != nil {
		members[name] = *value
	}
}

// updateMember is the update of one text in the app-compose.
func updateMember(member string) func(*Server, *call, *cvm) answer {
	return func(s *Server, c *call, vm *cvm) answer {
		text, given, err := c.upload()
		switch {
		case err != nil:
			return plain(http.StatusBadRequest, err.Error())
		case !given && c.Header.Get("X-Compose-Hash") == "":
			return plain(http.StatusBadRequest, "No file")
		case !given:
			return s.change(vm, change{}, approvalOf(c))
		}
		doc, err := vm.doc.with(map[string]any{member: text})
		if err != nil {
			return invalidCompose(err)
		}
		return s.change(vm, change{kind: "compose_update", doc: doc}, approvalOf(c))
	}
}

// updateEnvs replaces the whole environment, and the names where they are given.
func updateEnvs(s *Server, c *call, vm *cvm) answer {
	var r openapi.UpdateEnvsRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	ch := change{kind: "env_update", env: &r.EncryptedEnv}
	if r.EnvKeys != nil && !sameNames(r.EnvKeys, vm.doc.app.AllowedEnvs) {
		doc, err := vm.doc.with(map[string]any{"allowed_envs": r.EnvKeys})
		if err != nil {
			return invalidCompose(err)
		}
		ch.doc = doc
	}
	return s.change(vm, ch, approval{hash: deref(r.ComposeHash), transaction: deref(r.TransactionHash)})
}

func updateImage(s *Server, c *call, vm *cvm) answer {
	var r openapi.UpdateOSImageRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	i := s.image(r.OSImageName)
	if i == nil {
		return structured(http.StatusNotFound, "ERR-02-010", "Unknown image "+r.OSImageName)
	}
	return s.change(vm, change{kind: "os_image_update", image: i}, approval{})
}

func updateResources(s *Server, c *call, vm *cvm) answer {
	var r struct {
		openapi.UpdateResourcesRequest
		AllowRestart openapi.Flag `json:"allow_restart"` // a number or a boolean; the fake cloud restarts anyway
	}
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	next, bad := s.resized(vm.size, r.InstanceType, r.VCPU, r.Memory, r.DiskSize)
	if bad != nil {
		return *bad
	}
	return s.change(vm, change{kind: "resize", size: &next}, approval{})
}

// updateVisibility changes what is public, which is part of the app-compose.
func updateVisibility(s *Server, c *call, vm *cvm) answer {
	var r openapi.UpdateVisibilityRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	members := map[string]any{"public_sysinfo": r.PublicSysInfo, "public_logs": r.PublicLogs}
	set(members, "public_tcbinfo", r.PublicTCBInfo)
	doc, err := vm.doc.with(members)
	if err != nil {
		return invalidCompose(err)
	}
	if done := s.change(vm, change{kind: "compose_update", doc: doc}, approval{}); done.status != http.StatusAccepted {
		return done
	}
	return ok(vm.describeVM(c))
}

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
