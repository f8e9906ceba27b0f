package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/verify"
)

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
	f.cfg.policy, policy.ComposeHashes = policy, nil // what runs is proven first, then compared with what was named
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
		// Not because the cloud reports one: a development image is accepted only by a policy that waives its check.
		f.app.OS.Development = os.IsDev != nil && *os.IsDev && slices.Contains(policy.Waive, attest.CheckProductionOS)
	}
	f.app.learn(&proof{report: result.Report})
	if k := cvms[0].KMSInfo; k != nil {
		f.app.KMS = slugOrID(k.Slug, k.ID)
	}
	f.app.Last = result
	return nil
}

// attachKMS takes the root of the KMS from the caller or the chain.
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

// running are the CVMs of the app that run, as the cloud lists them.
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

// proveHashes keeps the CVMs, and returns what each of them runs: as the hardware proves it, or the zero hash if it
// shows no evidence.
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

// attachDocument takes the document whose hash is proven.
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

// attachUnproven takes the text that the cloud shows, if the contract allows its hash, or the caller trusts the cloud.
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
