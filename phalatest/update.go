package phalatest

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// change is a change of a CVM; what is nil stays.
type change struct {
	kind       string // operation type
	name       string // of a new instance; empty for that of the CVM it is replicated from
	doc        *document
	env        *openapi.Secret
	userConfig *string
	size       *size
	image      *image
}

// changesNothing reports whether a CVM has the requested state already.
func (ch change) changesNothing(vm *cvm) bool {
	return (ch.doc == nil || ch.doc.hash == vm.doc.hash) && ch.env == nil && (ch.userConfig == nil || *ch.userConfig == vm.userConfig) &&
		(ch.size == nil || *ch.size == vm.size) && (ch.image == nil || ch.image == vm.image)
}

// approval is the part of a request about the chain: the hash and the transaction that registered it, or that the change
// is only to be prepared.
type approval struct {
	hash, transaction string
	prepareOnly       bool
}

// orRegistered returns the approval of a commit, for which everything was registered before if it has no transaction.
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

// The status codes of the API that are not part of HTTP.
const (
	statusHashRequired = 465 // the hash must be registered on chain first
	statusHashInvalid  = 466 // the hash or token is unknown, expired or superseded
	statusTxInvalid    = 467 // the transaction is not mined, has failed, or called another contract
	statusNotAllowed   = 468 // the contract does not allow the hash or the device
)

// change applies an update, or prepares it if only that was requested or the chain must allow it first. A request
// with only a hash confirms the prepared one.
func (s *Server) change(vm *cvm, ch change, by approval) *response {
	if by.hash != "" && ch.changesNothing(vm) {
		return s.confirm(vm, by)
	}
	if by.prepareOnly {
		return s.prepareUpdate(vm, ch)
	}
	if ch.changesNothing(vm) {
		return accepted(openapi.UpdateAccepted{Status: "no_change", Message: "Nothing is to change"})
	}
	if ch.doc != nil && ch.doc.hash != vm.doc.hash {
		if bad := s.checkAllowed(vm.app, ch.doc.hash, vm.node, by, true); bad != nil {
			if bad.status == statusHashRequired {
				return s.prepareUpdate(vm, ch)
			}
			return bad
		}
	}
	return s.apply(vm, ch)
}

// changeDocument is [Server.change] for members of the app-compose.
func (s *Server) changeDocument(vm *cvm, members map[string]any, by approval) *response {
	doc, bad := vm.doc.with(members)
	if bad != nil {
		return bad
	}
	return s.change(vm, change{kind: "compose_update", doc: doc}, by)
}

// apply changes a CVM and boots it again.
func (s *Server) apply(vm *cvm, ch change) *response {
	envsChanged := false
	if ch.doc != nil {
		envsChanged = !equalSets(vm.doc.app.AllowedEnvs, ch.doc.app.AllowedEnvs)
		vm.doc = ch.doc
	}
	if ch.env != nil {
		vm.setEnv(string(*ch.env))
	}
	setIf(&vm.userConfig, ch.userConfig)
	vm.count(-1)
	setIf(&vm.size, ch.size)
	if ch.image != nil {
		vm.image = ch.image
	}
	vm.count(1)
	if s.undocumented.staysStopped && (vm.status == "stopped" || vm.status == "exited") {
		s.begin(vm, ch.kind, "updating", vm.status, step{status: "updating"}, step{status: vm.status})
	} else {
		s.bootCVM(vm, ch.kind, "updating")
	}
	if ch.doc != nil || ch.env != nil || ch.userConfig != nil {
		s.addRevision(vm, ch.kind)
	}
	return accepted(openapi.UpdateAccepted{
		Status: "in_progress", Message: "The update has started", CorrelationID: vm.op.id, AllowedEnvsChanged: &envsChanged,
	})
}

func equalSets(a, b []string) bool {
	set := func(names []string) []string { return slices.Compact(slices.Sorted(slices.Values(names))) }
	return slices.Equal(set(a), set(b))
}

// answerCVMsUpdate changes any part of a CVM.
func (s *Server) answerCVMsUpdate(c *call, r openapi.UpdateCVMRequest) *response {
	ch := change{kind: "update", env: r.EncryptedEnv, userConfig: r.UserConfig}
	members := map[string]any{}
	setMember(members, "docker_compose_file", r.DockerComposeFile)
	setMember(members, "pre_launch_script", r.PreLaunchScript)
	setMember(members, "public_logs", r.PublicLogs)
	setMember(members, "public_sysinfo", r.PublicSysInfo)
	setMember(members, "public_tcbinfo", r.PublicTCBInfo)
	if r.AllowedEnvs != nil {
		members["allowed_envs"] = r.AllowedEnvs
	}
	var bad *response
	if len(members) > 0 {
		ch.kind = "compose_update"
		if ch.doc, bad = c.vm.doc.with(members); bad != nil {
			return bad
		}
	}
	next, bad := s.resized(c.vm.size, r.InstanceType, r.VCPU, r.Memory, r.DiskSize)
	if bad != nil {
		return bad
	}
	if r.GPUs != nil {
		next.gpus = len(r.GPUs.GPUs)
	}
	ch.size = &next
	if r.Image != nil {
		if ch.image, bad = s.image(*r.Image); bad != nil {
			return bad
		}
	}
	return s.change(c.vm, ch, approvalOf(c))
}

func setMember[T any](members map[string]any, name string, value *T) {
	if value != nil {
		members[name] = *value
	}
}

func (s *Server) answerCVMsUpdateDockerCompose(c *call) *response {
	return s.uploadMember(c, "docker_compose_file")
}

func (s *Server) answerCVMsUpdatePreLaunchScript(c *call) *response {
	return s.uploadMember(c, "pre_launch_script")
}

// uploadMember replaces one text in the app-compose. A request with headers only confirms the prepared change.
func (s *Server) uploadMember(c *call, member string) *response {
	text, given, err := c.upload()
	switch {
	case err != nil:
		return plainError(http.StatusBadRequest, err.Error())
	case !given && c.Header.Get("X-Compose-Hash") == "":
		return plainError(http.StatusBadRequest, "No file")
	case !given:
		return s.change(c.vm, change{}, approvalOf(c))
	}
	return s.changeDocument(c.vm, map[string]any{member: text}, approvalOf(c))
}

// answerCVMsGetPreLaunchUpgrade compares a CVM's pre-launch script with the official ones.
func (s *Server) answerCVMsGetPreLaunchUpgrade(c *call) *response {
	script := c.vm.doc.script()
	latest, older := script == s.script, script == olderScript
	return ok(openapi.PreLaunchUpgrade{
		CurrentHash: hashOf(c.vm.doc.app.PreLaunchScript), LatestOfficialHash: hashHex([]byte(s.script)), IsOfficial: latest || older,
		IsLatest: latest, CanUpgrade: older,
	})
}

func (s *Server) answerCVMsUpgradePreLaunch(c *call) *response {
	return s.changeDocument(c.vm, map[string]any{"pre_launch_script": s.script}, approvalOf(c))
}

// answerCVMsUpdateEnvs replaces the whole environment, and the allowed names if the request has any.
func (s *Server) answerCVMsUpdateEnvs(c *call, r openapi.UpdateEnvsRequest) *response {
	ch := change{kind: "env_update", env: &r.EncryptedEnv}
	if r.EnvKeys != nil && !equalSets(r.EnvKeys, c.vm.doc.app.AllowedEnvs) {
		var bad *response
		if ch.doc, bad = c.vm.doc.with(map[string]any{"allowed_envs": r.EnvKeys}); bad != nil {
			return bad
		}
	}
	return s.change(c.vm, ch, approval{hash: deref(r.ComposeHash), transaction: deref(r.TransactionHash)})
}

func (s *Server) answerCVMsUpdateOSImage(c *call, r openapi.UpdateOSImageRequest) *response {
	i, bad := s.image(r.OSImageName)
	if bad != nil {
		return bad
	}
	return s.change(c.vm, change{kind: "os_image_update", image: i}, approval{})
}

type updateResourcesRequest struct {
	openapi.UpdateResourcesRequest
	AllowRestart openapi.Flag `json:"allow_restart"` // a number or a boolean; the fake cloud restarts anyway
}

func (s *Server) answerCVMsUpdateResources(c *call, r updateResourcesRequest) *response {
	next, bad := s.resized(c.vm.size, r.InstanceType, r.VCPU, r.Memory, r.DiskSize)
	if bad != nil {
		return bad
	}
	return s.change(c.vm, change{kind: "resize", size: &next}, approval{})
}

// answerCVMsUpdateVisibility changes what is public, which is part of the app-compose.
func (s *Server) answerCVMsUpdateVisibility(c *call, r openapi.UpdateVisibilityRequest) *response {
	members := map[string]any{"public_sysinfo": r.PublicSysInfo, "public_logs": r.PublicLogs}
	setMember(members, "public_tcbinfo", r.PublicTCBInfo)
	if out := s.changeDocument(c.vm, members, approval{}); out.status != http.StatusAccepted {
		return out
	}
	return ok(c.vm.describeVM(c))
}

// composeUpdate is a provisioned document that a CVM can be updated to by its hash alone.
type composeUpdate struct {
	doc     *document
	expires time.Time
}

// provisionCompose keeps a document for the time of a provision, and drops expired ones.
func (vm *cvm) provisionCompose(doc *document) {
	now := time.Now()
	maps.DeleteFunc(vm.composes, func(_ string, u composeUpdate) bool { return now.After(u.expires) })
	vm.composes[doc.hash.String()] = composeUpdate{doc, now.Add(provisionTTL)}
}

func (s *Server) answerCVMsProvisionComposeUpdate(c *call, members map[string]json.RawMessage) *response {
	delete(members, "update_env_vars")
	raw, err := json.Marshal(members)
	if err != nil {
		return invalidCompose(err)
	}
	doc, bad := s.completeDocument(raw)
	if bad != nil {
		return bad
	}
	c.vm.provisionCompose(doc)
	return ok(openapi.ComposeProvision{
		AppID: c.app.id.String(), DeviceID: c.vm.node.device.String(), ComposeHash: doc.hash.String(), KMSInfo: ref(c.app.kms.describe()),
		ComposeHashRegistered: ref(c.app.kms.onChain() && c.app.allowance(doc.hash, c.vm.node).hash), ComposeUnchanged: ref(doc.hash == c.vm.doc.hash),
	})
}

func (s *Server) commitCompose(vm *cvm, hashText string, env *openapi.Secret) *response {
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return invalidField(err.Error(), "body", "compose_hash")
	}
	provisioned, exists := vm.composes[hash.String()]
	if !exists || time.Now().After(provisioned.expires) {
		return codedError(statusHashInvalid, "ERR-01-006", "The compose hash is unknown; provision it first")
	}
	// The request has no field for a transaction, so the contract itself is read.
	return s.change(vm, change{kind: "compose_update", doc: provisioned.doc, env: env}, approval{}.orRegistered())
}

func (s *Server) answerCVMsCommitComposeUpdate(c *call, r openapi.CommitComposeUpdateRequest) *response {
	env := r.EncryptedEnv
	if !deref(r.UpdateEnvVars) {
		env = nil
	}
	return s.commitCompose(c.vm, r.ComposeHash, env)
}

type submitComposeFileRequest struct {
	openapi.SubmitComposeFileRequest
	ComposeFile json.RawMessage `json:"compose_file"`
}

// answerCVMsSubmitComposeFile provisions and commits in one call.
func (s *Server) answerCVMsSubmitComposeFile(c *call, r submitComposeFileRequest) *response {
	doc, bad := s.completeDocument(r.ComposeFile)
	if bad != nil {
		return bad
	}
	if hash, err := compose.ParseHash(r.ComposeHash); err != nil || hash != doc.hash {
		return plainError(http.StatusBadRequest, "compose_hash is not the hash of compose_file, which is "+doc.hash.String())
	}
	c.vm.provisionCompose(doc)
	return s.commitCompose(c.vm, r.ComposeHash, r.EncryptedEnv)
}
