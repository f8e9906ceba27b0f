package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/verify"
)

// App is the anchor of an app, which its owner keeps for every later flow. Each of its values came from the caller,
// from the chain, or from evidence that the hardware signed, unless the field is documented otherwise. Flows compare
// the cloud's responses with it. It is plain JSON without a plaintext secret; [SaveFile] writes it.
type App struct {
	// ID is the app id.
	ID kms.AppID `json:"app_id"`
	// Document is the exact text of the app-compose that the app runs, and ComposeHash is its SHA-256. Document is
	// empty if it could not be proven; Unproven has the reason.
	Document    string       `json:"document,omitempty"`
	ComposeHash compose.Hash `json:"compose_hash,omitzero"`
	Unproven    string       `json:"unproven,omitempty"`
	// Secrets are the names of the current secrets, sorted. They are unknown after [Attach], if the app allows names:
	// then Secrets are all names that the app allows.
	Secrets []string `json:"secrets"`

	// KMS is the key service of the app's key: a slug or an id. It proves nothing.
	KMS string `json:"kms,omitempty"`
	// KMSRoot is the root key that signed the app's key; zero if it was not checked. RootFromCloud reports whether it
	// came from the cloud itself ([TrustKMSRootFromCloud]): it is pinned since then.
	KMSRoot       kms.RootKey `json:"kms_root,omitzero"`
	RootFromCloud bool        `json:"kms_root_from_cloud,omitempty"`
	// KeyProvider is the public key of the KMS's root CA (DER SubjectPublicKeyInfo, in hex) that the hardware
	// measured; empty if no evidence was verified.
	KeyProvider string `json:"key_provider,omitempty"`

	// ChainID and KMSContract are the chain and the contract that govern the KMS; zero with the central KMS. Owner is
	// the owner of the app's contract when it was last read.
	ChainID     uint64         `json:"chain_id,omitempty"`
	KMSContract common.Address `json:"kms_contract,omitzero"`
	Owner       common.Address `json:"owner,omitzero"`
	// Devices are the machines that the caller accepted for the contract of the app.
	Devices []kms.DeviceID `json:"devices,omitempty"`
	// AnyDevice reports whether the contract should allow every machine.
	AnyDevice bool `json:"any_device,omitempty"`

	// OS is the accepted operating system image.
	OS Image `json:"os,omitzero"`
	// CVMs are the instances of the app that the flows created or found, oldest first.
	CVMs []CVM `json:"cvms"`
	// Revisions are the documents that ran before, newest first, at most [MaxRevisions].
	Revisions []Revision `json:"revisions,omitempty"`

	// Last is the result of the flow that returned this value. It is not part of the JSON.
	Last *Result `json:"-"`
}

// MaxRevisions is the number of earlier documents that an [App] keeps.
const MaxRevisions = 10

// CVM is one instance of an app.
type CVM struct {
	// ID is its vm_uuid, or its id if it has no vm_uuid.
	ID string `json:"id"`
	// Name is its name in the workspace.
	Name string `json:"name"`
	// ComposeHash is the compose hash that it runs.
	ComposeHash compose.Hash `json:"compose_hash,omitzero"`
	// InstanceID is the measured instance id, 40 hex digits; empty if no evidence was verified, or if the app has no
	// instance ids.
	InstanceID string `json:"instance_id,omitempty"`
}

// Revision is an earlier document of an app.
type Revision struct {
	ComposeHash compose.Hash `json:"compose_hash"`
	Document    string       `json:"document"`
	// Secrets are the names of its secrets, sorted.
	Secrets []string `json:"secrets"`
}

// Image is an operating system image.
type Image struct {
	// Name and Version are the platform's, such as "dstack-0.5.5" and "0.5.5".
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// Development reports whether the caller requested a development image.
	Development bool `json:"development,omitempty"`
	// Hash identifies the image, in hex: the measured hash if Measured, otherwise the one that the cloud reported.
	Hash     string `json:"hash,omitempty"`
	Measured bool   `json:"measured,omitempty"`
}

// Result is the result of a flow.
type Result struct {
	// CVM is the CVM that was created or changed, as the cloud describes it.
	CVM *openapi.CVMDetail
	// URLs are the public addresses of the app, as the cloud reports them.
	URLs []string
	// Comparisons are those of the flow, in order.
	Comparisons []Comparison
	// Report is the verification of the CVM, check by check; nil if there was no evidence, or with
	// [SkipVerification].
	Report *attest.Report
	// Bundle has the evidence with everything that its verification used, so that it can be verified offline years
	// later; nil if there was no evidence.
	Bundle *attest.Bundle
	// Pending is the change that the flow carried out; nil for a deployment. Its JSON may hold a commit token, so it
	// is left out of the JSON of a result.
	Pending *Pending `json:"-"`
}

// ParseApp parses an [App] in JSON. It returns an error if the document does not have the compose hash.
func ParseApp(data []byte) (*App, error) {
	var a App
	if err := strictjson.Unmarshal(data, &a); err != nil {
		return nil, &InputError{Field: "app", Rule: "it must be what SaveFile wrote", Err: err}
	}
	return &a, a.check()
}

// check returns an error if the anchor has no app id, or a document of another compose hash.
func (a *App) check() error {
	if a == nil || a.ID.IsZero() {
		return &InputError{Field: "app", Rule: "it has no app id"}
	}
	if a.Document == "" {
		return nil
	}
	if sum := compose.Sum([]byte(a.Document)); !sum.Equal(a.ComposeHash) {
		return &InputError{Field: "app " + a.ID.String(), Rule: fmt.Sprintf("its document has the compose hash %s, not %s", sum, a.ComposeHash)}
	}
	if _, err := compose.Parse([]byte(a.Document)); err != nil {
		return &InputError{Field: "app " + a.ID.String(), Rule: "its document", Err: err}
	}
	return nil
}

// Compose returns the document as a value that can be changed and passed to [UpdateSpec].
func (a *App) Compose() (*compose.App, error) {
	if a.Document == "" {
		return nil, fmt.Errorf("app %s: %w: %s", a.ID, ErrUnknownDocument, cloudtext.Clean(a.Unproven))
	}
	return compose.Parse([]byte(a.Document))
}

// clone returns a copy that can be changed without changing a.
func (a *App) clone() *App {
	b := *a
	b.Secrets, b.Devices = slices.Clone(a.Secrets), slices.Clone(a.Devices)
	b.CVMs, b.Revisions, b.Last = slices.Clone(a.CVMs), slices.Clone(a.Revisions), nil
	return &b
}

// onChain reports whether a contract governs the KMS.
func (a *App) onChain() bool { return a.ChainID != 0 }

// find returns a CVM by its vm_uuid, id or name. An empty name or the app id is the first CVM. A name that the anchor does
// not have is returned as it is: the cloud resolves it, and the result is compared.
func (a *App) find(name string) (CVM, error) {
	if id, err := kms.ParseAppID(name); err == nil {
		if id != a.ID {
			return CVM{}, &MismatchError{What: ComparedAppID, Local: a.ID.String(), Remote: id.String()}
		}
		name = ""
	}
	if name == "" {
		if len(a.CVMs) == 0 {
			return CVM{}, &InputError{Field: "app " + a.ID.String(), Rule: "it has no CVM; name one"}
		}
		return a.CVMs[0], nil
	}
	for _, cvm := range a.CVMs {
		if uuid.Bare(cvm.ID) == uuid.Bare(name) || cvm.Name == name {
			return cvm, nil
		}
	}
	return CVM{ID: name, Name: name, ComposeHash: a.ComposeHash}, nil
}

// put adds a CVM, or replaces the one with its id.
func (a *App) put(cvm CVM) {
	for i := range a.CVMs {
		if uuid.Bare(a.CVMs[i].ID) == uuid.Bare(cvm.ID) {
			a.CVMs[i] = cvm
			return
		}
	}
	a.CVMs = append(a.CVMs, cvm)
}

// revise sets the document, and keeps the previous one as a revision.
func (a *App) revise(document string, hash compose.Hash) {
	if a.Document != "" && !a.ComposeHash.Equal(hash) {
		before := Revision{ComposeHash: a.ComposeHash, Document: a.Document, Secrets: a.Secrets}
		kept := slices.DeleteFunc(slices.Clone(a.Revisions), func(r Revision) bool { return r.ComposeHash == before.ComposeHash || r.ComposeHash == hash })
		a.Revisions = append([]Revision{before}, kept[:min(len(kept), MaxRevisions-1)]...)
	}
	a.Document, a.ComposeHash, a.Unproven = document, hash, ""
}

// revision returns the present or an earlier document by its hash.
func (a *App) revision(hash compose.Hash) (Revision, bool) {
	if a.Document != "" && a.ComposeHash.Equal(hash) {
		return Revision{ComposeHash: hash, Document: a.Document, Secrets: a.Secrets}, true
	}
	i := slices.IndexFunc(a.Revisions, func(r Revision) bool { return r.ComposeHash.Equal(hash) })
	if i < 0 {
		return Revision{}, false
	}
	return a.Revisions[i], true
}

// handle identifies a CVM to the API: its vm_uuid, or its id if it has none.
func handle(cvm *openapi.CVMDetail) string {
	return cloudtext.Clean(cmp.Or(cvm.VMUUID, string(cvm.ID)))
}

// Attach returns the anchor of an app that runs already. Its document and compose hash are proven by the hardware's
// evidence for that app id, which is verified against policy; or, with [WithChain], by the contract of the app, which
// must allow the hash of the text. All CVMs that run must run one document; if they do not, set it in
// policy.ComposeHashes. [TrustDocumentFromCloud] accepts the document of the cloud if neither can prove it.
//
// The key root for later secrets is that of [WithKMSRoot], or the one in the contract with [WithChain]. The names of
// the secrets cannot be proven: they are those that the document allows.
func Attach(ctx context.Context, c *client.Client, id kms.AppID, policy attest.Policy, opts ...Option) (*App, error) {
	cfg, err := configure(inAttach, opts)
	if err != nil {
		return nil, err
	}
	f := &flow{c: c, cfg: cfg, app: &App{ID: id}}
	if err := f.attach(ctx, policy); err != nil {
		return nil, fmt.Errorf("attach app %s: %w", id, err)
	}
	return f.app, nil
}

func (f *flow) attach(ctx context.Context, policy attest.Policy) error {
	if f.app.ID.IsZero() {
		return &InputError{Field: "Attach", Rule: "the app id is zero"}
	}
	if err := policy.Validate(); err != nil {
		return err
	}
	if err := f.attachKMS(ctx, &policy); err != nil {
		return err
	}
	cvms, err := f.running(ctx)
	if err != nil {
		return err
	}
	result := &Result{CVM: cvms[0], URLs: urls(cvms[0])}
	f.cfg.policy, policy.ComposeHashes = policy, nil // the hashes are compared after all CVMs were verified
	hashes, err := f.proveHashes(ctx, cvms, policy, result)
	if err != nil {
		return err
	}
	if err := f.attachDocument(ctx, cvms, hashes, result); err != nil {
		return err
	}
	for i, hash := range hashes {
		f.app.CVMs[i].ComposeHash = hash
	}
	if os := cvms[0].OS; os != nil {
		f.app.OS = Image{Name: cloudtext.Clean(os.Name), Version: cloudtext.Clean(os.Version), Hash: cloudtext.Clean(os.OSImageHash)}
		// The cloud's report is not enough: the policy must waive the check for a production image.
		f.app.OS.Development = os.IsDev != nil && *os.IsDev && slices.Contains(policy.Waive, attest.CheckProductionOS)
	}
	f.app.keepMeasured(&proof{report: result.Report})
	if k := cvms[0].KMSInfo; k != nil {
		f.app.KMS = slugOrID(k.Slug, k.ID)
	}
	f.app.Last = result
	return nil
}

// attachKMS keeps the root of the KMS from the options or the chain.
func (f *flow) attachKMS(ctx context.Context, policy *attest.Policy) error {
	if len(f.cfg.roots) > 0 {
		f.app.KMSRoot = f.cfg.roots[0]
	}
	chain := f.cfg.chain
	if chain == nil {
		return nil
	}
	f.app.ChainID, f.app.KMSContract = chain.ChainID(), chain.KMS()
	root, err := chain.RootKey(ctx)
	if err != nil {
		return onChainError("root key in the contract of the KMS", err)
	}
	if len(f.cfg.roots) == 0 {
		f.app.KMSRoot = root
	} else if err := kms.CheckSigner(root, f.cfg.roots...); err != nil {
		return &MismatchError{What: ComparedKMSRoot, Local: f.cfg.roots[0].String(), Remote: root.String()}
	}
	if len(policy.KMSRootCAs) == 0 {
		ca, err := chain.RootCA(ctx)
		if err != nil {
			return onChainError("the root CA of the KMS", err)
		}
		if len(ca) > 0 {
			policy.KMSRootCAs = [][]byte{ca}
		}
	}
	return nil
}

// running returns the running CVMs of the app, as the cloud lists them.
func (f *flow) running(ctx context.Context) ([]*openapi.CVMDetail, error) {
	listed, err := f.c.Apps.ListCVMs(ctx, f.app.ID.String())
	if err != nil {
		return nil, fmt.Errorf("its CVMs: %w", err)
	}
	var cvms []*openapi.CVMDetail
	for _, one := range listed {
		id := listedID(one)
		detail, err := f.c.CVMs.Get(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("cvm %s: %w", cloudtext.Clean(id), err)
		}
		if err := f.compareIdentity(CVM{ID: id}, detail); err != nil {
			return nil, err
		}
		if detail.Status == openapi.CVMRunning {
			cvms = append(cvms, detail)
		}
	}
	if len(cvms) == 0 {
		return nil, fmt.Errorf("none of its %d CVMs runs, so that the hardware proves nothing: %w", len(listed), attest.ErrNotPossible)
	}
	return cvms, nil
}

// proveHashes keeps the CVMs, and returns the measured compose hash of each; zero if it has no evidence.
func (f *flow) proveHashes(ctx context.Context, cvms []*openapi.CVMDetail, policy attest.Policy, result *Result) ([]compose.Hash, error) {
	policy.AppID = f.app.ID
	hashes := make([]compose.Hash, len(cvms))
	for i, cvm := range cvms {
		f.app.CVMs = append(f.app.CVMs, CVM{ID: handle(cvm), Name: cloudtext.Clean(cvm.Name)})
		instance, err := verify.CVM(ctx, f.c, handle(cvm), policy)
		var unverified *verify.Error
		switch {
		case errors.As(err, &unverified) && unverified.Report == nil && errors.Is(err, attest.ErrNotPossible):
			f.report(&result.Comparisons, attestation(Undecided, unverified.Err.Error()))
			continue
		case errors.As(err, &unverified):
			return nil, &VerificationError{CVM: handle(cvm), Report: unverified.Report, Bundle: instance.Bundle, Err: unverified.Err}
		case err != nil:
			return nil, err
		}
		shown := &proof{report: instance.Report, bundle: instance.Bundle}
		if err := f.proveInstance(subject{cvm: cvm}, shown); err != nil {
			return nil, err
		}
		f.app.CVMs[i].InstanceID = shown.instance()
		hash, ok := measuredHash(instance.Report)
		if !ok {
			return nil, fmt.Errorf("cvm %s: the evidence has no compose hash: %w", handle(cvm), attest.ErrNotPossible)
		}
		hashes[i] = hash
		if result.Report == nil {
			result.Report, result.Bundle = instance.Report, instance.Bundle
		}
		f.report(&result.Comparisons, attestation(Confirmed, "cvm "+handle(cvm)))
	}
	return hashes, nil
}

// attachDocument keeps the document with the measured hash.
func (f *flow) attachDocument(ctx context.Context, cvms []*openapi.CVMDetail, hashes []compose.Hash, result *Result) error {
	distinct := slices.Clone(hashes)
	slices.SortFunc(distinct, func(a, b compose.Hash) int { return slices.Compare(a[:], b[:]) })
	distinct = slices.DeleteFunc(slices.Compact(distinct), func(h compose.Hash) bool { return h == compose.Hash{} })
	if len(distinct) == 0 {
		return f.attachUnproven(ctx, cvms, hashes, result)
	}
	if named := f.cfg.policy.ComposeHashes; len(named) > 0 {
		ran := slices.Clone(distinct)
		distinct = slices.DeleteFunc(distinct, func(h compose.Hash) bool { return !slices.Contains(named, h) })
		if len(distinct) == 0 {
			return fmt.Errorf("its CVMs run %s, none of policy.ComposeHashes: %w", ran, attest.ErrComposeHash)
		}
	}
	if len(distinct) > 1 {
		return &InputError{Field: "policy.ComposeHashes", Rule: fmt.Sprintf("its CVMs run %d documents: %s; name one in policy.ComposeHashes", len(distinct), distinct)}
	}
	hash := distinct[0]
	if chain := f.cfg.chain; chain != nil {
		if err := f.attachContract(ctx, hash, result); err != nil {
			return err
		}
	}
	text, err := f.textOf(ctx, cvms[slices.Index(hashes, hash)], hash)
	if err != nil {
		return err
	}
	return f.keepDocument(text, hash)
}

// attachUnproven keeps the cloud's document, if the contract allows its hash or the caller trusts the cloud.
func (f *flow) attachUnproven(ctx context.Context, cvms []*openapi.CVMDetail, hashes []compose.Hash, result *Result) error {
	cvm := cvms[0]
	hash, err := compose.ParseHash(cvm.ComposeHash)
	if err != nil {
		return mismatch(ComparedComposeHash, "that of cvm "+handle(cvm), cvm.ComposeHash)
	}
	if named := f.cfg.policy.ComposeHashes; len(named) > 0 && !slices.Contains(named, hash) {
		return &MismatchError{What: ComparedComposeHash, Local: named[0].String(), Remote: hash.String()}
	}
	switch {
	case f.cfg.chain != nil:
		if err := f.attachContract(ctx, hash, result); err != nil {
			return err
		}
	case f.cfg.docFromCloud:
		f.report(&result.Comparisons, Comparison{Name: ComparedDocument, Outcome: Waived, Remote: hash.String(), Reason: "TrustDocumentFromCloud"})
	default:
		return fmt.Errorf("%w: no evidence and no contract proves what it runs; give WithChain, or accept the cloud's document with TrustDocumentFromCloud", attest.ErrNotPossible)
	}
	text, err := f.textOf(ctx, cvm, hash)
	if err != nil {
		return err
	}
	for i, other := range cvms {
		if reported, err := compose.ParseHash(other.ComposeHash); err == nil && reported.Equal(hash) {
			hashes[i] = hash
		}
	}
	return f.keepDocument(text, hash)
}

// attachContract checks that the contract of the app allows a hash, and keeps its owner.
func (f *flow) attachContract(ctx context.Context, hash compose.Hash, result *Result) error {
	a, err := f.cfg.chain.Allowance(ctx, f.app.ID, hash, kms.DeviceID{})
	switch {
	case err != nil:
		return onChainError("its contract", err)
	case !a.ComposeHash:
		return fmt.Errorf("compose hash %s: %w", hash, ErrNotAllowed)
	}
	f.app.Owner, f.app.AnyDevice = a.Owner, a.AnyDevice
	f.report(&result.Comparisons, Comparison{Name: ComparedContract, Outcome: Confirmed, Local: hash.String(), Reason: "allowed by the contract, which belongs to " + a.Owner.Hex()})
	return nil
}

func (f *flow) keepDocument(text string, hash compose.Hash) error {
	app, err := compose.Parse([]byte(text))
	if err != nil {
		return fmt.Errorf("the document of compose hash %s: %w: %w", hash, ErrUnknownDocument, err)
	}
	f.app.Document, f.app.ComposeHash = text, hash
	f.app.Secrets = slices.Sorted(slices.Values(app.AllowedEnvs))
	if f.app.Secrets == nil {
		f.app.Secrets = []string{}
	}
	return nil
}
