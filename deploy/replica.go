package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// ReplicaSpec describes one more CVM like an existing one: same app, same app-compose.
type ReplicaSpec struct {
	// CVM is the CVM to copy: its vm_uuid, its name, or the app id; empty means the first one of the [App].
	CVM string
	// ComposeHash selects the revision if several run; zero means that of CVM.
	ComposeHash compose.Hash
	// NodeID or TeepodID pins the new CVM to a node; the platform chooses if they are zero.
	NodeID   NodeID
	TeepodID TeepodID
	// Env are the new one's secrets, with the names that the app allows; nil copies those of CVM.
	Env []compose.EnvVar
	// Devices are the machines that the contract of the app may allow for it. It never allows another document.
	Devices []kms.DeviceID
}

// Replicate makes one more CVM and returns when it runs and is verified. The API makes a new one at each call, so the
// call is sent once: if its answer is lost, Replicate looks for a CVM of the app that was not there before, for a
// time that outlasts the server's work. [WithPending] saves what [Finish] needs to do the same after a crash.
//
// Flows with one client make the CVMs of an app one after the other, and never take each other's; the boots overlap.
// Two clients, or two processes, know nothing of each other: if an answer is lost while the other one makes a CVM, the
// CVMs are told apart by the compose hash, by the node and by the name of an instance, as far as the spec sets them. If that is not enough, the error is an
// [*AmbiguousError], and [Pending.Resolve] names the CVM. With equal specs the CVM of the other may be taken if it comes
// first; give instances names, or use one client.
//
// With a KMS on a chain the contract must allow the compose hash already: a replica never adds one. It adds the
// machine, if the caller accepts it: with [WithChain] here, else the [*Pending] is the error.
func Replicate(ctx context.Context, c *client.Client, app *App, spec ReplicaSpec, opts ...Option) (*App, error) {
	f, err := begin(inChange, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, err := f.planReplica(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("replicate: %w", err)
	}
	if err := f.cfg.keep(p); err != nil {
		return nil, err
	}
	return f.finish(ctx, p)
}

// PrepareReplica prepares a replica as [Prepare] prepares an update: nothing is created until its machine is allowed
// on chain and it is committed.
func PrepareReplica(ctx context.Context, c *client.Client, app *App, spec ReplicaSpec, opts ...Option) (*Pending, error) {
	f, err := begin(inPrepare, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, err := f.planReplica(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("prepare a replica: %w", err)
	}
	var request openapi.ReplicateRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return nil, err
	}
	prepared, err := f.prepareReplica(ctx, p, request)
	if err != nil {
		return nil, fmt.Errorf("prepare a replica of %s: %w", p.Approval.Name, err)
	}
	if err := f.takePreparation(ctx, p, prepared); err != nil {
		return nil, fmt.Errorf("prepare a replica of %s: %w", p.Approval.Name, err)
	}
	return p, f.cfg.keep(p)
}

func (f *flow) planReplica(ctx context.Context, spec ReplicaSpec) (*Pending, error) {
	if err := checkNode("replica", spec.NodeID, spec.TeepodID); err != nil {
		return nil, err
	}
	cvm, err := f.app.find(spec.CVM)
	if err != nil {
		return nil, err
	}
	detail, err := f.get(ctx, cvm)
	if err != nil {
		return nil, err
	}
	hash := cvm.ComposeHash
	if spec.ComposeHash != (compose.Hash{}) {
		hash = spec.ComposeHash
	}
	p, err := f.planCreation(ctx, creation{kind: PendingReplica, name: cloudtext.Clean(detail.Name), hash: hash, env: spec.Env, devices: spec.Devices})
	if err != nil {
		return nil, err
	}
	p.CVM = CVM{ID: handle(detail), Name: cloudtext.Clean(detail.Name), ComposeHash: cvm.ComposeHash}
	return p, p.setRequest(openapi.ReplicateRequest{
		NodeID: unlessZero(int(spec.NodeID)), TeepodID: unlessZero(int(spec.TeepodID)),
		ComposeHash: openapi.Ptr(hash.String()), EncryptedEnv: unlessZero(p.EncryptedEnv),
	})
}

// creation is one more CVM of an app.
type creation struct {
	kind    PendingKind
	name    string
	hash    compose.Hash
	env     []compose.EnvVar
	devices []kms.DeviceID
}

// planCreation checks that the anchor knows what one more CVM runs, that the chain allows it, and encrypts its secrets.
func (f *flow) planCreation(ctx context.Context, want creation) (*Pending, error) {
	revision, ok := f.app.revision(want.hash)
	if !ok {
		return nil, fmt.Errorf("compose hash %s: %w", want.hash, ErrUnknownDocument)
	}
	doc, err := parseDocument(revision.Document)
	if err != nil {
		return nil, err
	}
	p := &Pending{Kind: want.kind, App: f.app, Devices: want.devices, Approval: Approval{
		Kind: want.kind, Name: want.name, App: f.app.ID, ChainID: f.app.ChainID, KMSContract: f.app.KMSContract,
		ComposeHash: want.hash, OnlyDevice: true, Document: revision.Document, Before: revision.Document, BeforeHash: want.hash,
	}}
	if f.app.onChain() && f.cfg.chain != nil {
		if err := mustAllow(ctx, f.cfg.chain, f.app.ID, want.hash); err != nil {
			return nil, err
		}
	}
	if want.env == nil {
		return p, nil
	}
	for _, name := range envNames(want.env) {
		if !slices.Contains(doc.app.AllowedEnvs, name) {
			return nil, &SecretsError{Names: []string{name}, Problem: "the allowed_envs of the app do not have it, so the guest would drop it"}
		}
	}
	noticed, err := f.cfg.checkSecrets(doc.app, want.env)
	if err != nil {
		return nil, err
	}
	if err := f.checkRootKnown("app " + f.app.ID.String()); err != nil {
		return nil, err
	}
	f.report(&p.Comparisons, noticed...)
	return p, f.sealInto(ctx, p, want.env)
}

// setRequest keeps the request of a creation, so that it can be sent by another process.
func (p *Pending) setRequest(request any) error {
	data, err := openapi.Marshal(request)
	p.Request = openapi.Secret(data)
	return err
}

func (f *flow) prepareReplica(ctx context.Context, p *Pending, request openapi.ReplicateRequest) (*preparation, error) {
	vm, err := f.c.CVMs.Replicate(ctx, p.CVM.ID, &request, &openapi.CVMsReplicateParams{PrepareOnly: openapi.Ptr(true)})
	if err == nil {
		return nil, mismatch(ComparedChain, "a replica that waits for the chain", "made at once: "+vm.VMUUID)
	}
	return preparationOf(err, request)
}

// makeReplica asks for the replica once. A refusal that wants the chain first is taken into p.
func (f *flow) makeReplica(ctx context.Context, p *Pending) error {
	var request openapi.ReplicateRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return err
	}
	vm, err := f.c.CVMs.Replicate(ctx, p.CVM.ID, &request, nil, client.WithoutRetry())
	return f.made(ctx, p, vm, answer{err, request})
}

func (f *flow) commitReplica(ctx context.Context, p *Pending) error {
	vm, err := f.c.CVMs.CommitReplica(ctx, p.CVM.ID, &openapi.CommitUpdateRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.Approval.ComposeHash.String()), TransactionHash: &p.Approval.Transaction,
	}, nil, client.WithoutRetry())
	if err != nil {
		return err
	}
	return f.createdAs(p, vm)
}

// InstanceSpec is one more CVM of an app, with a document that the app runs already.
type InstanceSpec struct {
	// Name is the name of the new CVM; the platform chooses an empty one. Only newer servers support it.
	Name string
	// ComposeHash selects one of the documents of the [App]; zero is the present one.
	ComposeHash compose.Hash
	// NodeID or TeepodID pins the new CVM to a node; the platform chooses if they are zero.
	NodeID   NodeID
	TeepodID TeepodID
	// Env are the new CVM's secrets, with the names that the app allows; nil copies the app's.
	Env []compose.EnvVar
	// Devices are the machines that the contract of the app may allow for it. It never allows another document.
	Devices []kms.DeviceID
}

// AddInstance creates one more CVM of an app and returns when it runs and is verified. It behaves like [Replicate].
func AddInstance(ctx context.Context, c *client.Client, app *App, spec InstanceSpec, opts ...Option) (*App, error) {
	f, err := begin(inChange, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, err := f.planInstance(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("add an instance: %w", err)
	}
	if err := f.cfg.keep(p); err != nil {
		return nil, err
	}
	return f.finish(ctx, p)
}

func (f *flow) planInstance(ctx context.Context, spec InstanceSpec) (*Pending, error) {
	if err := checkNode("instance", spec.NodeID, spec.TeepodID); err != nil {
		return nil, err
	}
	if spec.Name != "" {
		if err := compose.ValidateName(spec.Name); err != nil {
			return nil, &InputError{Field: "InstanceSpec.Name", Err: err}
		}
	}
	hash := f.app.ComposeHash
	if spec.ComposeHash != (compose.Hash{}) {
		hash = spec.ComposeHash
	}
	name := spec.Name
	if name == "" {
		name = "app " + f.app.ID.String()
	}
	p, err := f.planCreation(ctx, creation{kind: PendingInstance, name: name, hash: hash, env: spec.Env, devices: spec.Devices})
	if err != nil {
		return nil, err
	}
	return p, p.setRequest(openapi.CreateInstanceRequest{
		Name: unlessZero(spec.Name), NodeID: unlessZero(int(spec.NodeID)), TeepodID: unlessZero(int(spec.TeepodID)),
		ComposeHash: openapi.Ptr(hash.String()), EncryptedEnv: unlessZero(p.EncryptedEnv),
	})
}

func (f *flow) makeInstance(ctx context.Context, p *Pending) error {
	var request openapi.CreateInstanceRequest
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return err
	}
	vm, err := f.c.Apps.CreateInstance(ctx, p.App.ID.String(), &request, client.WithoutRetry())
	return f.made(ctx, p, vm, answer{err, request})
}

// commitInstance posts to the same path once more, with the token instead of the content.
func (f *flow) commitInstance(ctx context.Context, p *Pending) error {
	vm, err := f.c.Apps.CreateInstance(ctx, p.App.ID.String(), &openapi.CreateInstanceRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.Approval.ComposeHash.String()), TransactionHash: &p.Approval.Transaction,
	}, client.WithoutRetry())
	if err != nil {
		return err
	}
	return f.createdAs(p, vm)
}
