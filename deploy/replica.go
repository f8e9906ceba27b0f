package deploy

import (
	"cmp"
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

// Replicate creates one more CVM, and returns after it runs and was verified. The API creates a CVM at each call, so the
// call is sent once. If its response is lost, Replicate searches for a new CVM of the app for three minutes, which is
// longer than the server takes. [Finish] does the same after a crash, from the value that [WithPending] saved.
//
// Flows with one client create the CVMs of an app one after the other, and their boots overlap. Two clients, or two
// processes, are not coordinated: if a response is lost while the other one creates a CVM, the new CVMs are distinguished
// by the compose hash, the node, and the name of an instance, as far as the spec sets them. If they cannot be
// distinguished, the error is an [*AmbiguousError], and [Pending.Resolve] sets the CVM. With equal specs the CVM of the
// other flow may be taken; name the instances, or use one client.
//
// With a KMS on a chain the contract must allow the compose hash already: a replica never adds one. It may need a machine
// to be allowed. With [WithChain] Replicate allows it, if the caller accepts it; otherwise the [*Pending] is the error.
func Replicate(ctx context.Context, c *client.Client, app *App, spec ReplicaSpec, opts ...Option) (*App, error) {
	f, err := anchoredFlow(inChange, c, app, opts)
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
	f, err := anchoredFlow(inPrepare, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, err := f.planReplica(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("prepare a replica: %w", err)
	}
	prepared, err := f.prepareReplica(ctx, p)
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
	hash := cmp.Or(spec.ComposeHash, cvm.ComposeHash)
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

// creation describes one more CVM of an app.
type creation struct {
	kind    PendingKind
	name    string
	hash    compose.Hash
	env     []compose.EnvVar
	devices []kms.DeviceID
}

// planCreation takes the document from the anchor, checks that the chain allows it, and encrypts the secrets.
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

// setRequest keeps the request, so that another process can send it.
func (p *Pending) setRequest(request any) error {
	data, err := openapi.Marshal(request)
	p.Request = openapi.Secret(data)
	return err
}

// request decodes the kept request.
func (p *Pending) request(to any) error {
	if err := json.Unmarshal([]byte(p.Request), to); err != nil {
		return fmt.Errorf("the request of the %s: %w", p.Kind, err)
	}
	return nil
}

func (f *flow) prepareReplica(ctx context.Context, p *Pending) (*preparation, error) {
	var request openapi.ReplicateRequest
	if err := p.request(&request); err != nil {
		return nil, err
	}
	vm, err := f.c.CVMs.Replicate(ctx, p.CVM.ID, &request, &openapi.CVMsReplicateParams{PrepareOnly: openapi.Ptr(true)})
	if err == nil {
		return nil, mismatch(ComparedChain, "a replica that needs an approval", "created at once: "+vm.VMUUID)
	}
	return preparationOf(err, request)
}

// createReplica requests the replica once.
func (f *flow) createReplica(ctx context.Context, p *Pending) error {
	var request openapi.ReplicateRequest
	if err := p.request(&request); err != nil {
		return err
	}
	vm, err := f.c.CVMs.Replicate(ctx, p.CVM.ID, &request, nil, client.WithoutRetry())
	return f.createdOrPrepared(ctx, p, vm, request, err)
}

func (f *flow) commitReplica(ctx context.Context, p *Pending) error {
	vm, err := f.c.CVMs.CommitReplica(ctx, p.CVM.ID, &openapi.CommitUpdateRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.Approval.ComposeHash.String()), TransactionHash: &p.Approval.Transaction,
	}, nil, client.WithoutRetry())
	if err != nil {
		return err
	}
	return f.created(p, vm)
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
	f, err := anchoredFlow(inChange, c, app, opts)
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
	hash, name := cmp.Or(spec.ComposeHash, f.app.ComposeHash), cmp.Or(spec.Name, "app "+f.app.ID.String())
	p, err := f.planCreation(ctx, creation{kind: PendingInstance, name: name, hash: hash, env: spec.Env, devices: spec.Devices})
	if err != nil {
		return nil, err
	}
	return p, p.setRequest(openapi.CreateInstanceRequest{
		Name: unlessZero(spec.Name), NodeID: unlessZero(int(spec.NodeID)), TeepodID: unlessZero(int(spec.TeepodID)),
		ComposeHash: openapi.Ptr(hash.String()), EncryptedEnv: unlessZero(p.EncryptedEnv),
	})
}

// createInstance requests the instance once.
func (f *flow) createInstance(ctx context.Context, p *Pending) error {
	var request openapi.CreateInstanceRequest
	if err := p.request(&request); err != nil {
		return err
	}
	vm, err := f.c.Apps.CreateInstance(ctx, p.App.ID.String(), &request, client.WithoutRetry())
	return f.createdOrPrepared(ctx, p, vm, request, err)
}

// commitInstance sends the token to the path of createInstance.
func (f *flow) commitInstance(ctx context.Context, p *Pending) error {
	vm, err := f.c.Apps.CreateInstance(ctx, p.App.ID.String(), &openapi.CreateInstanceRequest{
		Token: &p.Token, ComposeHash: openapi.Ptr(p.Approval.ComposeHash.String()), TransactionHash: &p.Approval.Transaction,
	}, client.WithoutRetry())
	if err != nil {
		return err
	}
	return f.created(p, vm)
}

// searchLimit bounds the search for a CVM after a lost response. The server may still be creating it: a response was
// seen to take 70 seconds.
const searchLimit = 3 * time.Minute

// searchPause is the interval of the search.
const searchPause = 10 * time.Second

// finishCreation does the remaining steps of one more CVM.
func (f *flow) finishCreation(ctx context.Context, p *Pending) (*App, error) {
	what := fmt.Sprintf("%s of %s", p.Kind, p.Approval.Name)
	if !p.Committed && !p.Prepared() {
		if err := f.requestCVM(ctx, p); err != nil {
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

// requestCVM requests the CVM, which is created, or prepared if the chain must allow it first.
func (f *flow) requestCVM(ctx context.Context, p *Pending) error {
	if p.Kind == PendingReplica {
		return f.createOnce(ctx, p, func() error { return f.createReplica(ctx, p) })
	}
	return f.createOnce(ctx, p, func() error { return f.createInstance(ctx, p) })
}

// createOnce sends a request that creates a CVM at each call. It waits until no other flow of this client does so for the
// app, and saves p before. If the response is lost, now or in an earlier run, it searches for the new CVM of the app.
func (f *flow) createOnce(ctx context.Context, p *Pending, send func() error) error {
	turn, err := f.c.Creations().Wait(ctx, p.App.ID.String())
	if err != nil {
		return fmt.Errorf("waiting for another flow that creates a CVM of app %s: %w", p.App.ID, err)
	}
	defer turn.Done()
	if p.Asked {
		if err := f.searchCVM(ctx, p, turn); err != nil || p.Committed {
			return err
		}
	}
	// A CVM that another flow requested and did not find must exist first, so that it is not taken for this one's.
	if err := pause.For(ctx, time.Until(turn.Open(p.ID).Add(searchLimit))); err != nil {
		return fmt.Errorf("waiting for a CVM that another flow requested for app %s: %w", p.App.ID, err)
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
	case errors.As(err, &mismatch): // a CVM was created, and the response has another one
		return err
	case !p.Asked || refused(err):
		turn.Made(p.ID, "")
		p.Asked = false
		return errors.Join(err, f.cfg.keep(p))
	case ctx.Err() != nil:
		return err
	}
	if searchErr := f.searchCVM(ctx, p, turn); searchErr != nil {
		return errors.Join(err, searchErr)
	}
	if p.Committed {
		return nil
	}
	return err
}

// refused reports whether the request was refused. After another error the CVM may have been created.
func refused(err error) bool {
	var api *client.APIError
	return errors.Is(err, ErrDeviceNotAccepted) ||
		errors.As(err, &api) && api.StatusCode < http.StatusInternalServerError && api.StatusCode != http.StatusRequestTimeout
}

// siblings returns the identifiers of the app's CVMs; nil if the client has no API key to list them.
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
func listedID(cvm openapi.CVM) string { return cloudtext.Clean(cmp.Or(cvm.VMUUID, string(cvm.ID))) }

// searchCVM searches for the CVM that p created, among those that did not exist before. If there is none, p stays.
func (f *flow) searchCVM(ctx context.Context, p *Pending, turn *creations.Turn) error {
	if cvm := turn.CVM(p.ID); cvm != "" { // p is an older copy
		return f.found(p, turn, cvm)
	}
	for began := time.Now(); ; {
		over := time.Since(began) >= searchLimit
		now, err := f.list(ctx, p)
		switch {
		case err != nil && (over || isFinal(err) || ctx.Err() != nil):
			return fmt.Errorf("%s of %s was requested and the response is lost: %w", p.Kind, p.Approval.Name, err)
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
		if err := pause.For(ctx, searchPause); err != nil {
			return fmt.Errorf("searching for the new CVM of app %s: %w", p.App.ID, err)
		}
	}
}

// found keeps the CVM that a search found.
func (f *flow) found(p *Pending, turn *creations.Turn, cvm string) error {
	turn.Made(p.ID, cvm)
	p.Created, p.Committed = cvm, true
	f.cfg.progress(CreatedEvent{CVM: cvm, Adopted: true})
	return f.cfg.keep(p)
}

// candidates returns the new CVMs that p may have created: those that fit the whole request, and those with another name,
// because older servers choose the name.
func (p *Pending) candidates(now []openapi.CVM, turn *creations.Turn) (sure, unsure []string, err error) {
	var request openapi.CreateInstanceRequest // it has the members of ReplicateRequest
	if err := p.request(&request); err != nil {
		return nil, nil, err
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

// nodeOf returns the number of the node of a CVM; empty if the cloud does not report one.
func nodeOf(cvm openapi.CVM) string {
	if cvm.NodeInfo == nil {
		return ""
	}
	id := string(cmp.Or(cvm.NodeInfo.NodeID, cvm.NodeInfo.ID))
	if _, err := strconv.Atoi(id); err != nil {
		return "" // later versions of the API have other ids
	}
	return id
}

// isFinal reports whether an error of the API will recur.
func isFinal(err error) bool {
	var api *client.APIError
	if errors.As(err, &api) {
		return refused(err) && !errors.Is(err, client.ErrRateLimited) && api.StatusCode != http.StatusTooEarly
	}
	return errors.Is(err, client.ErrNoAPIKey) || errors.Is(err, client.ErrDecode)
}

// createdOrPrepared keeps the CVM that a request created, or the preparation if the chain must allow it first.
func (f *flow) createdOrPrepared(ctx context.Context, p *Pending, vm *openapi.VM, request any, err error) error {
	if errors.Is(err, client.ErrHashRegistrationRequired) {
		p.Asked = false // nothing was created
		prepared, err := preparationOf(err, request)
		if err != nil {
			return err
		}
		return f.takePreparation(ctx, p, prepared)
	}
	if err != nil {
		return err
	}
	return f.created(p, vm)
}

// created keeps the CVM of a response. A CVM that existed before is a [*MismatchError].
func (f *flow) created(p *Pending, vm *openapi.VM) error {
	id, err := createdID(vm, p.App.ID)
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
