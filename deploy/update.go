package deploy

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// UpdateSpec contains the changes of a CVM. Zero fields do not change.
type UpdateSpec struct {
	// CVM is the CVM to change: its vm_uuid, its name, or the app id; empty means the first one of the [App].
	CVM string

	// Compose is a whole new app-compose document; nil is the document of the [App], with the changes below. Its
	// allowed_envs may be left empty: they are then the names of Env, or those of the secrets that stay.
	Compose *compose.App
	// DockerCompose is a new docker-compose file, YAML text.
	DockerCompose string
	// PreLaunchScript is a new pre-launch script, shell text.
	PreLaunchScript string
	// AllowedEnvs are the names that the guest accepts from now on. nil means those of Env if Env is set and has
	// other names, otherwise the present ones. A change of the set needs Env, so that secrets and names never differ.
	AllowedEnvs []string
	// PublicLogs, PublicSysInfo and PublicTCBInfo set what everybody may read.
	PublicLogs, PublicSysInfo, PublicTCBInfo *bool

	// Env replaces all secrets; nil keeps them, an empty list removes them. The cloud cannot merge ciphertext: names
	// that would disappear must be listed in RemoveSecrets.
	Env           []compose.EnvVar
	RemoveSecrets []string

	// InstanceType is a size such as "tdx.small".
	InstanceType string
	// VCPU is a number of virtual CPUs.
	VCPU int
	// Memory is in MB.
	Memory int
	// DiskSize is in GB; it can only grow.
	DiskSize int
	// GPUs are the GPUs of the CVM from now on.
	GPUs *openapi.GPUConfig
	// Image is the name of another guest OS image, of the same kind: production or development.
	Image string
	// UserConfig is text for the guest, which is not measured.
	UserConfig *string
	// AllowRestart and AllowForceStop let the platform restart the CVM, or stop it hard.
	AllowRestart, AllowForceStop *bool
	// ShutdownTimeout limits a graceful shutdown, in whole seconds from 10 s to 20 min; the platform chooses if it is
	// 0.
	ShutdownTimeout time.Duration

	// Devices are machines that the contract of the app may allow for this change.
	Devices []kms.DeviceID
	// RetireOld removes the previous compose hash from the contract after the new one runs and its verification did not
	// fail, unless another CVM of the [App] runs it. It needs [WithChain]. Without RetireOld an old document can be run
	// for ever.
	RetireOld bool
}

// Update changes a CVM, and returns after it runs the change and was verified as by [Run]. The document and the secrets
// change in one step, so that the secrets always fit the names that the guest accepts. The new document is computed
// locally from that of the anchor, and the cloud's compose hash is compared before anything is committed. Secrets are
// encrypted locally for the anchor's app, as by [Run]. Size and image change in a second step. If another operation runs
// on the CVM, Update waits for it, up to ten minutes.
//
// If the KMS is on a chain and the compose hash changes, the chain must allow the new one first. With [WithChain] Update
// does that. Without it, Update changes nothing and returns the [*Pending] as its error. If the cloud reports another
// CVM, compose hash or key than expected, the error is a [*MismatchError].
//
// Update does not change app. It returns the anchor from after the change, which replaces it.
func Update(ctx context.Context, c *client.Client, app *App, spec UpdateSpec, opts ...Option) (*App, error) {
	f, err := anchoredFlow(inChange, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, _, err := f.planUpdate(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	if err := f.cfg.keep(p); err != nil {
		return nil, err
	}
	return f.finish(ctx, p)
}

// changesDocument reports whether the document changes.
func (p *Pending) changesDocument() bool {
	return p.Approval.Unpredicted || !p.Approval.ComposeHash.Equal(p.Approval.BeforeHash)
}

// planUpdate computes the document after a change, compares the CVM with the anchor, and encrypts the secrets. It changes
// nothing.
func (f *flow) planUpdate(ctx context.Context, spec UpdateSpec) (*Pending, document, error) {
	if err := spec.check(); err != nil {
		return nil, document{}, err
	}
	cvm, err := f.app.find(spec.CVM)
	if err != nil {
		return nil, document{}, err
	}
	doc, err := spec.document(f.app)
	if err != nil {
		return nil, document{}, err
	}
	p := &Pending{Kind: PendingUpdate, App: f.app, CVM: cvm, Settings: spec.settings(), RetireOld: spec.RetireOld, Devices: spec.Devices}
	p.Approval = f.app.approval(PendingUpdate, doc, cvm.ComposeHash)
	if !p.changesDocument() && spec.Env == nil && p.Settings == nil {
		return nil, document{}, &InputError{Field: "UpdateSpec", Rule: fmt.Sprintf("cvm %s: nothing to change", cvm.ID)}
	}
	if spec.RetireOld && f.cfg.chain == nil {
		return nil, document{}, &InputError{Field: "UpdateSpec.RetireOld", Rule: "RetireOld needs WithChain"}
	}
	if p.changesDocument() {
		found, err := f.cfg.inspect(ctx, doc)
		if err != nil {
			return nil, document{}, err
		}
		f.report(&p.Comparisons, found...)
	}
	if err := f.checkChange(p, doc, spec); err != nil {
		return nil, document{}, err
	}
	detail, err := f.get(ctx, cvm)
	if err != nil {
		return nil, document{}, err
	}
	p.CVM.ID, p.CVM.Name = handle(detail), cloudtext.Clean(detail.Name)
	p.Approval.Name = p.CVM.Name
	p.WasStopped = detail.Status == openapi.CVMStopped || detail.Status == openapi.CVMExited
	if spec.Env == nil {
		return p, doc, nil
	}
	return p, doc, f.sealInto(ctx, p, spec.Env)
}

// checkChange returns an error if the secrets do not fit the document after the change.
func (f *flow) checkChange(p *Pending, doc document, spec UpdateSpec) error {
	var noticed []Comparison
	var err error
	if spec.Env == nil {
		noticed, err = f.cfg.checkUses(doc.app, f.app.Secrets)
	} else {
		if err := checkRemoved(f.app.Secrets, spec.Env, spec.RemoveSecrets); err != nil {
			return err
		}
		noticed, err = f.cfg.checkSecrets(doc.app, spec.Env)
	}
	if err != nil {
		return err
	}
	if len(spec.Env) > 0 {
		if err := f.checkRootKnown("cvm " + p.CVM.ID); err != nil {
			return err
		}
	}
	if f.app.onChain() && p.Approval.Unpredicted && !f.cfg.hashFromCloud {
		return fmt.Errorf("%w: give the document a pre-launch script of its own", ErrUnpredictable)
	}
	f.report(&p.Comparisons, noticed...)
	return nil
}

// approval returns the approval of a document.
func (a *App) approval(kind PendingKind, doc document, before compose.Hash) Approval {
	approval := Approval{
		Kind: kind, App: a.ID, ChainID: a.ChainID, KMSContract: a.KMSContract,
		ComposeHash: doc.hash, Unpredicted: !doc.predictable && !doc.hash.Equal(before), Document: string(doc.text), BeforeHash: before,
	}
	if r, ok := a.revision(before); ok {
		approval.Before = r.Document
		if r.ComposeHash.Equal(doc.hash) {
			approval.Document = r.Document
		}
	}
	return approval
}

// sealInto encrypts the secrets of a change.
func (f *flow) sealInto(ctx context.Context, p *Pending, env []compose.EnvVar) error {
	s, err := f.seal(ctx, env, provisionKeys{})
	if err != nil {
		return err
	}
	p.EncryptedEnv, p.Secrets, p.KMSRoot = s.ciphertext, envNames(env), s.root
	p.RootFromCloud = f.cfg.rootFromCloud || f.app.RootFromCloud && s.root == f.app.KMSRoot
	f.report(&p.Comparisons, s.comparisons...)
	f.cfg.progress(EncryptedEvent{Names: p.Secrets, Bytes: len(p.EncryptedEnv) / 2})
	return nil
}

// check returns an error if fields of the spec contradict each other or are out of range.
func (s UpdateSpec) check() error {
	if err := notNegative("update", size{"VCPU", s.VCPU}, size{"Memory", s.Memory}, size{"DiskSize", s.DiskSize}); err != nil {
		return err
	}
	parts := s.DockerCompose != "" || s.PreLaunchScript != "" || s.AllowedEnvs != nil || s.PublicLogs != nil || s.PublicSysInfo != nil || s.PublicTCBInfo != nil
	if s.Compose != nil && parts {
		return &InputError{Field: "UpdateSpec", Rule: "Compose is a whole document; change that one instead of giving DockerCompose, PreLaunchScript, AllowedEnvs or Public… as well"}
	}
	if s.ShutdownTimeout != 0 && (s.ShutdownTimeout < 10*time.Second || s.ShutdownTimeout > 20*time.Minute || s.ShutdownTimeout%time.Second != 0) {
		return &InputError{Field: "UpdateSpec.ShutdownTimeout", Value: s.ShutdownTimeout.String(), Rule: "want whole seconds from 10 s to 20 min"}
	}
	if s.Env == nil && len(s.RemoveSecrets) > 0 {
		return &InputError{Field: "UpdateSpec", Rule: "RemoveSecrets needs Env: the secrets that remain"}
	}
	for _, device := range s.Devices {
		if device.IsZero() {
			return &InputError{Field: "UpdateSpec.Devices", Rule: "Devices has a device id that is zero"}
		}
	}
	return nil
}

// document returns the document after the change.
func (s UpdateSpec) document(app *App) (document, error) {
	base := s.Compose
	if base == nil {
		if app.Document == "" {
			return document{}, fmt.Errorf("app %s: %w", app.ID, ErrUnknownDocument)
		}
		if s.keepsDocument() {
			return app.document()
		}
		var err error
		if base, err = app.Compose(); err != nil {
			return document{}, err
		}
	}
	after := *base
	names, err := s.names(app, base)
	if err != nil {
		return document{}, err
	}
	after.AllowedEnvs = names
	after.DockerComposeFile = cmp.Or(unlessZero(s.DockerCompose), base.DockerComposeFile)
	after.PreLaunchScript = cmp.Or(unlessZero(s.PreLaunchScript), base.PreLaunchScript)
	for _, flag := range []struct {
		to   **bool
		from *bool
	}{{&after.PublicLogs, s.PublicLogs}, {&after.PublicSysInfo, s.PublicSysInfo}, {&after.PublicTCBInfo, s.PublicTCBInfo}} {
		if flag.from != nil {
			*flag.to = flag.from
		}
	}
	return newDocument(&after)
}

// document returns the document of the anchor, byte for byte.
func (a *App) document() (document, error) {
	doc, err := parseDocument(a.Document)
	if err == nil && !doc.hash.Equal(a.ComposeHash) { // it is not in canonical form
		doc.text, doc.hash = []byte(a.Document), a.ComposeHash
	}
	return doc, err
}

// keepsDocument reports whether the document stays.
func (s UpdateSpec) keepsDocument() bool {
	return s.Compose == nil && s.DockerCompose == "" && s.PreLaunchScript == "" && s.AllowedEnvs == nil && s.Env == nil &&
		s.PublicLogs == nil && s.PublicSysInfo == nil && s.PublicTCBInfo == nil
}

// names returns the allowed_envs after the change.
func (s UpdateSpec) names(app *App, base *compose.App) ([]string, error) {
	names := base.AllowedEnvs
	switch {
	case s.AllowedEnvs != nil:
		names = s.AllowedEnvs
	case s.Compose != nil && len(names) == 0 && s.Env == nil:
		names = app.Secrets
	case s.Env != nil && (s.Compose == nil || len(names) == 0) && !sameSet(envNames(s.Env), names):
		names = envNames(s.Env)
	}
	if s.Env == nil {
		before := app.Secrets
		if current, err := app.Compose(); err == nil {
			before = current.AllowedEnvs
		}
		if !sameSet(names, before) {
			return nil, &SecretsError{Names: symmetricDifference(names, before), Problem: "a change of allowed_envs needs the secrets: give Env"}
		}
	}
	for _, name := range envNames(s.Env) {
		if !slices.Contains(names, name) {
			return nil, &SecretsError{Names: []string{name}, Problem: "the allowed_envs do not have it, so the guest would drop it"}
		}
	}
	return names, nil
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func symmetricDifference(a, b []string) []string {
	var out []string
	for _, pair := range [][2][]string{{a, b}, {b, a}} {
		for _, name := range pair[0] {
			if !slices.Contains(pair[1], name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// settings returns the changes of the CVM that are not in the document; nil if there are none.
func (s UpdateSpec) settings() *openapi.UpdateCVMRequest {
	r := openapi.UpdateCVMRequest{
		InstanceType:    unlessZero(s.InstanceType),
		VCPU:            unlessZero(s.VCPU),
		Memory:          unlessZero(s.Memory),
		DiskSize:        unlessZero(s.DiskSize),
		GPUs:            s.GPUs,
		Image:           unlessZero(s.Image),
		UserConfig:      s.UserConfig,
		AllowRestart:    s.AllowRestart,
		AllowForceStop:  s.AllowForceStop,
		ShutdownTimeout: unlessZero(int(s.ShutdownTimeout / time.Second)),
	}
	if reflect.ValueOf(r).IsZero() {
		return nil
	}
	return &r
}

// provisionUpdate sends the whole document, and compares the cloud's compose hash, app id and KMS.
func (f *flow) provisionUpdate(ctx context.Context, p *Pending) error {
	doc, err := parseDocument(p.Approval.Document)
	if err != nil {
		return err
	}
	var request openapi.ProvisionComposeUpdateRequest
	if err := doc.into(&request); err != nil {
		return err
	}
	request.UpdateEnvVars = openapi.Ptr(p.Secrets != nil)
	answer, err := f.c.CVMs.ProvisionComposeUpdate(ctx, p.CVM.ID, request, client.WithConflictWait(conflictWait))
	if err != nil {
		return err
	}
	if err := checkAppID(p.App.ID, answer.AppID); err != nil {
		return err
	}
	hash, err := compose.ParseHash(answer.ComposeHash)
	if err != nil {
		return mismatch(ComparedComposeHash, p.Approval.ComposeHash.String(), answer.ComposeHash)
	}
	if err := f.acceptPendingHash(p, hash); err != nil {
		return err
	}
	if !p.App.onChain() {
		return nil
	}
	if err := p.App.compareKMS(answer.KMSInfo); err != nil {
		return err
	}
	device, err := parseDevice(answer.DeviceID)
	if err != nil {
		return err
	}
	p.NeedsApproval = true
	return f.acceptPendingDevice(ctx, p, device)
}

// commitDocument commits the document of provisionUpdate, together with its secrets.
func (f *flow) commitDocument(ctx context.Context, p *Pending) error {
	request := openapi.CommitComposeUpdateRequest{ComposeHash: p.Approval.ComposeHash.String()}
	if p.Secrets != nil {
		request.EncryptedEnv, request.EnvKeys, request.UpdateEnvVars = &p.EncryptedEnv, p.Secrets, openapi.Ptr(true)
	}
	_, err := f.c.CVMs.CommitComposeUpdate(ctx, p.CVM.ID, request, client.WithConflictWait(conflictWait))
	return err
}

// changeSettings sends the settings, and the secrets if the document stays.
func (f *flow) changeSettings(ctx context.Context, p *Pending) error {
	var request openapi.UpdateCVMRequest
	if p.Settings != nil {
		request = *p.Settings
	}
	if p.Secrets != nil && !p.changesDocument() {
		request.EncryptedEnv = &p.EncryptedEnv
	}
	if _, err := f.c.CVMs.Update(ctx, p.CVM.ID, request, nil, client.WithConflictWait(conflictWait)); err != nil {
		return fmt.Errorf("update %s: %w", p.Approval.Name, explain(err))
	}
	p.SettingsSent = true
	return f.cfg.keep(p)
}

// RollbackSpec selects the document to return to.
type RollbackSpec struct {
	// ComposeHash is the hash of the document. The text comes from the [App], or from the cloud's revisions if it has
	// this hash.
	ComposeHash compose.Hash
	// CVM is the CVM to change: its vm_uuid, its name, or the app id; empty means the first one of the [App].
	CVM string
	// Env replaces all secrets; nil keeps them, if the document allows the same names. RemoveSecrets is as in
	// [UpdateSpec].
	Env           []compose.EnvVar
	RemoveSecrets []string
	// Devices and RetireOld are as in [UpdateSpec].
	Devices   []kms.DeviceID
	RetireOld bool
}

// Rollback makes a CVM run an earlier document again, which the caller selects by its hash. It is an [Update] with that
// document. If the contract on a chain does not allow the hash any more, it must allow it again, as for an [Update].
func Rollback(ctx context.Context, c *client.Client, app *App, spec RollbackSpec, opts ...Option) (*App, error) {
	f, err := anchoredFlow(inChange, c, app, opts)
	if err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	document, err := f.earlier(ctx, spec.ComposeHash)
	if err != nil {
		return nil, fmt.Errorf("rollback: %w", err)
	}
	back, err := compose.Parse([]byte(document))
	if err != nil {
		return nil, &InputError{Field: "rollback", Err: err}
	}
	if hash, err := back.Hash(); err != nil || !hash.Equal(spec.ComposeHash) {
		return nil, &InputError{Field: "rollback", Rule: fmt.Sprintf("the document of compose hash %s is not in canonical form; the platform would run another one (%s)", spec.ComposeHash, hash)}
	}
	return Update(ctx, c, app, UpdateSpec{
		CVM: spec.CVM, Compose: back, Env: spec.Env, RemoveSecrets: spec.RemoveSecrets, Devices: spec.Devices, RetireOld: spec.RetireOld,
	}, opts...)
}

// earlier returns the text of an earlier compose hash.
func (f *flow) earlier(ctx context.Context, hash compose.Hash) (string, error) {
	if hash == (compose.Hash{}) {
		return "", &InputError{Field: "RollbackSpec", Rule: "ComposeHash is required"}
	}
	if r, ok := f.app.revision(hash); ok {
		return r.Document, nil
	}
	for revision, err := range f.c.Apps.AllRevisions(ctx, f.app.ID.String(), nil) {
		if err != nil {
			return "", fmt.Errorf("the revisions of app %s: %w", f.app.ID, err)
		}
		if listed, err := compose.ParseHash(revision.ComposeHash); err != nil || !listed.Equal(hash) {
			continue
		}
		detail, err := f.c.Apps.GetRevision(ctx, f.app.ID.String(), revision.RevisionID, &openapi.AppsGetRevisionParams{RawComposeFile: openapi.Ptr(true)})
		if err != nil {
			return "", fmt.Errorf("revision %s of app %s: %w", cloudtext.Clean(revision.RevisionID), f.app.ID, err)
		}
		var text string
		if json.Unmarshal(detail.ComposeFile, &text) != nil {
			text = string(detail.ComposeFile)
		}
		if sum := compose.Sum([]byte(text)); sum.Equal(hash) {
			return text, nil
		}
	}
	return "", fmt.Errorf("compose hash %s: neither the App nor the cloud has the text of it; hand the document to Update: %w", hash, ErrUnknownDocument)
}
