package deploy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/creations"
	"github.com/phala-go/phala/internal/pause"
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

// lostAnswerWait is how long a CVM is looked for whose answer was lost. The server may still be at work: an answer
// was seen to take 70 seconds.
const lostAnswerWait = 3 * time.Minute

// lostAnswerPause lies between two looks.
const lostAnswerPause = 10 * time.Second

// finishCreation is the whole of one more CVM.
func (f *flow) finishCreation(ctx context.Context, p *Pending) (*App, error) {
	what := fmt.Sprintf("%s of %s", p.Kind, p.Approval.Name)
	if !p.Committed && !p.Prepared() {
		if err := f.ask(ctx, p); err != nil {
			return nil, fmt.Errorf("%s: %w", what, explain(err))
		}
	}
	if !p.Committed {
		if err := f.approved(ctx, p); err != nil {
			return nil, err
		}
		if err := f.commit(ctx, p); err != nil {
			return nil, err
		}
	}
	made := CVM{ID: p.Created, ComposeHash: p.Approval.ComposeHash}
	if err := f.waitFor(ctx, made, openapi.CVMRunning); err != nil {
		return nil, err
	}
	cvm, err := f.c.CVMs.Get(ctx, p.Created)
	if err != nil {
		return nil, fmt.Errorf("%s: cvm %s runs, but: %w", what, p.Created, err)
	}
	made.Name = cloudtext.Clean(cvm.Name)
	if err := f.compareCVM(made, cvm); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return f.conclude(ctx, p, cvm)
}

// ask makes the CVM, or learns that the chain must allow it first.
func (f *flow) ask(ctx context.Context, p *Pending) error {
	if p.Kind == PendingReplica {
		return f.createOnce(ctx, p, func() error { return f.makeReplica(ctx, p) })
	}
	return f.createOnce(ctx, p, func() error { return f.makeInstance(ctx, p) })
}

// createOnce has the API make a CVM, of which it makes a new one at each call, when no other flow of this client does so
// for the app. That it is asked is saved before. If the answer is lost, now or in an earlier run, the CVM of the app
// that was not there before is taken for it.
func (f *flow) createOnce(ctx context.Context, p *Pending, send func() error) error {
	turn, err := f.c.Creations().Wait(ctx, p.App.ID.String())
	if err != nil {
		return fmt.Errorf("waiting for another flow that makes a CVM of app %s: %w", p.App.ID, err)
	}
	defer turn.Done()
	if p.Asked {
		if err := f.lookFor(ctx, p, turn); err != nil || p.Committed {
			return err
		}
	}
	// What another flow asked for, and has not found, must be there before it can be told from what this one makes.
	if err := pause.For(ctx, time.Until(turn.Open(p.ID).Add(lostAnswerWait))); err != nil {
		return fmt.Errorf("waiting for what another flow asked for of app %s: %w", p.App.ID, err)
	}
	before, err := f.siblings(ctx, p)
	if err != nil {
		return err
	}
	if p.ID == "" {
		p.ID = rand.Text()
	}
	p.Siblings, p.Asked = before, true
	if err := f.cfg.keep(p); err != nil {
		p.Asked = false
		return err
	}
	turn.Asked(p.ID, before)
	err = send()
	var mismatch *MismatchError
	switch {
	case p.Committed:
		turn.Made(p.ID, p.Created)
		return err
	case errors.As(err, &mismatch): // a CVM was made, and the answer names another one
		return err
	case !p.Asked || isRefusal(err):
		turn.Made(p.ID, "")
		p.Asked = false
		return errors.Join(err, f.cfg.keep(p))
	case ctx.Err() != nil:
		return err
	}
	if lookErr := f.lookFor(ctx, p, turn); lookErr != nil {
		return errors.Join(err, lookErr)
	}
	if p.Committed {
		return nil
	}
	return err
}

// isRefusal reports whether the API refused, as opposed to a failure after which nobody knows whether the work was
// done.
func isRefusal(err error) bool {
	var api *client.APIError
	return errors.Is(err, ErrDeviceNotAccepted) ||
		errors.As(err, &api) && api.StatusCode < http.StatusInternalServerError && api.StatusCode != http.StatusRequestTimeout
}

// siblings are the CVMs of the app; nil if this client may not list them.
func (f *flow) siblings(ctx context.Context, p *Pending) ([]string, error) {
	cvms, err := f.list(ctx, p)
	if errors.Is(err, client.ErrNoAPIKey) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	uuids := []string{}
	for _, cvm := range cvms {
		uuids = append(uuids, listedID(cvm))
	}
	return uuids, nil
}

func (f *flow) list(ctx context.Context, p *Pending) ([]openapi.CVM, error) {
	cvms, err := f.c.Apps.ListCVMs(ctx, p.App.ID.String())
	if err != nil {
		return nil, fmt.Errorf("the CVMs of app %s: %w", p.App.ID, err)
	}
	return cvms, nil
}

// listedID identifies a CVM of a list: its vm_uuid, or its id if it has none.
func listedID(cvm openapi.CVM) string {
	if cvm.VMUUID != "" {
		return cloudtext.Clean(cvm.VMUUID)
	}
	return cloudtext.Clean(string(cvm.ID))
}

// lookFor looks for the CVM of the app that was not there when p was asked for, for as long as the server may be at
// work. Without one p stays as it is.
func (f *flow) lookFor(ctx context.Context, p *Pending, turn *creations.Turn) error {
	if cvm := turn.CVM(p.ID); cvm != "" { // p is an older copy
		return f.found(p, turn, cvm)
	}
	for began := time.Now(); ; {
		over := time.Since(began) >= lostAnswerWait
		now, err := f.list(ctx, p)
		switch {
		case err != nil && (over || isFinal(err) || ctx.Err() != nil):
			return fmt.Errorf("%s of %s was asked for and its answer is lost: %w", p.Kind, p.Approval.Name, err)
		case err == nil:
			sure, unsure, err := p.candidates(now, turn)
			switch {
			case err != nil:
				return err
			case len(sure) == 1 && p.Siblings != nil:
				return f.found(p, turn, sure[0])
			case len(sure) > 1 || over && len(sure)+len(unsure) > 0:
				return &AmbiguousError{App: p.App.ID, Kind: p.Kind, CVMs: append(sure, unsure...)}
			case over:
				turn.Made(p.ID, "")
				return nil
			}
		}
		if err := pause.For(ctx, lostAnswerPause); err != nil {
			return fmt.Errorf("looking for the new CVM of app %s: %w", p.App.ID, err)
		}
	}
}

// found keeps which CVM was made although its answer was lost.
func (f *flow) found(p *Pending, turn *creations.Turn, cvm string) error {
	turn.Made(p.ID, cvm)
	p.Created, p.Committed = cvm, true
	f.cfg.progress(CreatedEvent{CVM: cvm, Adopted: true})
	return f.cfg.keep(p)
}

// candidates are the CVMs that are new since p was asked for and can be what it made: those that fit all that the
// caller chose, and those with another name, which older servers choose themselves.
func (p *Pending) candidates(now []openapi.CVM, turn *creations.Turn) (sure, unsure []string, err error) {
	var request openapi.CreateInstanceRequest // of which that of a replica is a part
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return nil, nil, fmt.Errorf("the request of the %s: %w", p.Kind, err)
	}
	for _, cvm := range now {
		id := listedID(cvm)
		owner := turn.Owner(p.ID, id)
		if p.existed(id) || owner == creations.Other {
			continue
		}
		hash, err := compose.ParseHash(cvm.ComposeHash)
		if err == nil && !hash.Equal(p.Approval.ComposeHash) {
			continue
		}
		if node := nodeOf(cvm); request.NodeID != nil && node != "" && node != strconv.Itoa(*request.NodeID) {
			continue
		}
		if owner == creations.Unclear || request.Name != nil && cvm.Name != *request.Name {
			unsure = append(unsure, id)
			continue
		}
		sure = append(sure, id)
	}
	return sure, unsure, nil
}

// nodeOf is the number of the node of a CVM; empty if the cloud does not report one.
func nodeOf(cvm openapi.CVM) string {
	if cvm.NodeInfo == nil {
		return ""
	}
	id := string(cvm.NodeInfo.NodeID)
	if id == "" {
		id = string(cvm.NodeInfo.ID)
	}
	if _, err := strconv.Atoi(id); err != nil {
		return "" // of a later version of the API, whose ids are no numbers
	}
	return id
}

// isFinal reports failures of the API that asking again does not mend.
func isFinal(err error) bool {
	var api *client.APIError
	if errors.As(err, &api) {
		return isRefusal(err) && !errors.Is(err, client.ErrRateLimited) && api.StatusCode != http.StatusTooEarly
	}
	return errors.Is(err, client.ErrNoAPIKey) || errors.Is(err, client.ErrDecode)
}

// answer is what came of a call that makes a CVM, and the request it was sent with.
type answer struct {
	err     error
	request any
}

// made takes the answer to a call that makes a CVM, or that wants the chain first.
func (f *flow) made(ctx context.Context, p *Pending, vm *openapi.VM, a answer) error {
	if errors.Is(a.err, client.ErrHashRegistrationRequired) {
		p.Asked = false // it answered, and made nothing
		prepared, err := preparationOf(a.err, a.request)
		if err != nil {
			return err
		}
		return f.takePreparation(ctx, p, prepared)
	}
	if a.err != nil {
		return a.err
	}
	return f.createdAs(p, vm)
}

// createdAs keeps which CVM was made. One that was there before is not it, whatever the cloud answers.
func (f *flow) createdAs(p *Pending, vm *openapi.VM) error {
	id, err := created(vm, p.App.ID)
	if err != nil {
		return err
	}
	if p.existed(id) {
		return &MismatchError{What: ComparedCVM, Local: "a new one", Remote: id}
	}
	p.Created, p.Committed = id, true
	f.cfg.progress(CreatedEvent{CVM: id})
	return f.cfg.keep(p)
}
