package deploy

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/verify"
)

// evidenceWait is how long a CVM may run before it has evidence, which the cloud reads from its guest agent.
const evidenceWait = time.Minute

// evidencePause is the interval of requests for evidence that is newer than a change.
const evidencePause = 3 * time.Second

// evidenceWait returns the limit of the wait for evidence, at most the limit of a boot.
func (f *flow) evidenceWait() time.Duration { return min(evidenceWait, f.cfg.bootTimeout) }

// subject is a CVM that runs, and what it should run.
type subject struct {
	cvm *openapi.CVMDetail
	// doc is the sent document, hash its hash. If the hash is not predicted, the measured document may have additions of
	// the platform.
	doc       document
	hash      compose.Hash
	predicted bool
	// changed reports that the CVM ran before, so that the cloud may still have old evidence.
	changed bool
}

// proof is the result of a verification.
type proof struct {
	comparisons []Comparison
	report      *attest.Report
	bundle      *attest.Bundle
	// document is the exact text that runs; empty if it is unknown, for the reason in unproven.
	document string
	unproven string
}

// result returns the result of a flow: the comparisons before the proof, and those of the proof.
func (p *proof) result(cvm *openapi.CVMDetail, before []Comparison) *Result {
	return &Result{CVM: cvm, URLs: urls(cvm), Comparisons: append(before, p.comparisons...), Report: p.report, Bundle: p.bundle}
}

// failure returns the error of a verification.
func (p *proof) failure(cvm *openapi.CVMDetail, err error) error {
	return &VerificationError{CVM: handle(cvm), Report: p.report, Bundle: p.bundle, Err: err}
}

// prove verifies that a running CVM runs this app with this document. After a change it waits for new evidence.
func (f *flow) prove(ctx context.Context, s subject) (*proof, error) {
	p := &proof{}
	began, wait := time.Now(), f.evidenceWait()
	for {
		comparison, err := f.verify(ctx, s, p)
		if s.changed && errors.Is(err, attest.ErrComposeHash) && time.Since(began) < wait {
			if err := pause.For(ctx, min(evidencePause, wait)); err != nil {
				return nil, fmt.Errorf("verify cvm %s: %w", handle(s.cvm), err)
			}
			continue
		}
		if p.report != nil {
			f.cfg.progress(AttestationEvent{CVM: handle(s.cvm), Report: p.report})
		}
		if err != nil {
			return nil, err
		}
		f.report(&p.comparisons, comparison)
		if err := f.proveInstance(s, p); err != nil {
			return nil, err
		}
		return p, f.proveDocument(ctx, s, p)
	}
}

// proveInstance returns an error if the evidence is that of another CVM of the app.
func (f *flow) proveInstance(s subject, p *proof) error {
	instance := p.instance()
	for _, other := range f.app.CVMs {
		if instance != "" && other.InstanceID == instance && uuid.Bare(other.ID) != uuid.Bare(handle(s.cvm)) {
			return p.failure(s.cvm, &MismatchError{What: ComparedInstance, Local: "not that of cvm " + other.ID, Remote: instance})
		}
	}
	return nil
}

// instance returns the measured instance id; empty if no evidence was verified.
func (p *proof) instance() string {
	if p.report == nil || p.report.Attested.BootEvents == nil || failed(p.report) {
		return ""
	}
	return p.report.Attested.InstanceID
}

// proveDocument finds the text that runs. If the platform completed the sent document, the measured text is compared
// with it.
func (f *flow) proveDocument(ctx context.Context, s subject, p *proof) error {
	if s.predicted {
		p.document = string(s.doc.text)
		return nil
	}
	hash, ok := measuredHash(p.report)
	if !ok {
		p.unproven = "the platform completed the document, and no evidence shows how"
		f.report(&p.comparisons, Comparison{Name: ComparedDocument, Outcome: Undecided, Reason: p.unproven})
		return nil
	}
	text, err := f.textOf(ctx, s.cvm, hash)
	if err != nil {
		p.unproven = cloudtext.Clean(err.Error())
		f.report(&p.comparisons, Comparison{Name: ComparedDocument, Outcome: Undecided, Remote: hash.String(), Reason: p.unproven})
		if f.cfg.strict {
			return p.failure(s.cvm, fmt.Errorf("%w: %w", attest.ErrNotPossible, err))
		}
		return nil
	}
	comparison, err := s.doc.follows(text, f.cfg.scripts)
	if err != nil {
		return p.failure(s.cvm, err)
	}
	p.document = text
	f.report(&p.comparisons, comparison)
	return nil
}

// measuredHash returns the compose hash of a report without a failed check.
func measuredHash(report *attest.Report) (compose.Hash, bool) {
	if report == nil || report.Attested.BootEvents == nil || failed(report) {
		return compose.Hash{}, false
	}
	return report.Attested.ComposeHash, report.Attested.ComposeHash != (compose.Hash{})
}

// textOf returns the text of a compose hash. Its source need not be trusted, because its hash is compared.
func (f *flow) textOf(ctx context.Context, cvm *openapi.CVMDetail, hash compose.Hash) (string, error) {
	sources := []func() []byte{
		func() []byte { return f.rawText(ctx, cvm) },
		func() []byte { return f.attestedText(ctx, cvm) },
	}
	for _, source := range sources {
		if text := source(); compose.Sum(text).Equal(hash) {
			return string(text), nil
		}
	}
	return "", fmt.Errorf("%w: the cloud has no text with the compose hash %s", ErrUnknownDocument, hash)
}

// rawText returns the text in the cloud's storage, which is sent as it is or as a JSON string.
func (f *flow) rawText(ctx context.Context, cvm *openapi.CVMDetail) []byte {
	raw, err := f.c.CVMs.GetComposeFile(ctx, handle(cvm), &openapi.CVMsGetComposeFileParams{Raw: openapi.Ptr("true")})
	var text string
	if err == nil && json.Unmarshal(raw, &text) == nil {
		return []byte(text)
	}
	return raw
}

// attestedText returns the text in the attestation.
func (f *flow) attestedText(ctx context.Context, cvm *openapi.CVMDetail) []byte {
	all, err := f.c.Apps.GetAttestations(ctx, f.app.ID.String())
	if err != nil {
		return nil
	}
	for _, instance := range all.Instances {
		if uuid.Bare(instance.VMUUID) != uuid.Bare(cvm.VMUUID) {
			continue
		}
		if instance.TCBInfo != nil && instance.TCBInfo.AppCompose != "" {
			return []byte(instance.TCBInfo.AppCompose)
		}
		return []byte(instance.ComposeFile)
	}
	return nil
}

// verify verifies once. It writes report and bundle into p, also with an error.
func (f *flow) verify(ctx context.Context, s subject, p *proof) (Comparison, error) {
	if f.cfg.skipVerify {
		return attestation(Waived, "SkipVerification"), nil
	}
	policy, err := f.policy(ctx, s)
	if err != nil {
		return Comparison{}, fmt.Errorf("verify cvm %s: %w", handle(s.cvm), err)
	}
	instance, err := verify.CVM(ctx, f.c, handle(s.cvm), policy, verify.WithWait(f.evidenceWait()))
	if ctx.Err() != nil {
		return Comparison{}, fmt.Errorf("verify cvm %s: %w", handle(s.cvm), ended(ctx))
	}
	if instance != nil {
		p.report, p.bundle = instance.Report, instance.Bundle
	}
	if err == nil {
		return attestation(Confirmed, ""), nil
	}
	var unverified *verify.Error
	if !errors.As(err, &unverified) {
		return Comparison{}, err
	}
	switch {
	case f.cfg.strict:
	case p.report == nil && errors.Is(err, attest.ErrNotPossible):
		return attestation(Undecided, unverified.Err.Error()), nil
	case p.report != nil && !failed(p.report):
		return attestation(Undecided, missing(p.report)), nil
	}
	return Comparison{}, p.failure(s.cvm, unverified.Err)
}

func attestation(outcome ComparisonOutcome, reason string) Comparison {
	return Comparison{Name: ComparedAttestation, Outcome: outcome, Reason: reason}
}

// policy adds the expectations of the flow to the caller's policy. An expectation of the caller is never replaced.
func (f *flow) policy(ctx context.Context, s subject) (attest.Policy, error) {
	p := f.cfg.policy
	if f.app.OS.Development {
		// The caller requested a development image. The report still has the check.
		p.Waive = append(slices.Clone(p.Waive), attest.CheckProductionOS)
	}
	if p.AppID.IsZero() {
		p.AppID = f.app.ID
	}
	if s.predicted && (len(p.ComposeHashes) == 0 || slices.Contains(p.ComposeHashes, s.hash)) {
		p.ComposeHashes = []compose.Hash{s.hash}
	}
	if len(p.KMSRootCAs) > 0 {
		return p, nil
	}
	if f.cfg.chain != nil {
		ca, err := f.cfg.chain.RootCA(ctx)
		if err != nil {
			return p, onChainError("the root CA of the KMS", err)
		}
		if len(ca) > 0 {
			p.KMSRootCAs = [][]byte{ca}
			return p, nil
		}
	}
	if f.app.KeyProvider != "" {
		ca, err := hex.DecodeString(f.app.KeyProvider)
		if err != nil {
			return p, &InputError{Field: "App.KeyProvider", Rule: "want hexadecimal", Err: err}
		}
		p.KMSRootCAs = [][]byte{ca}
	}
	return p, nil
}

// failed reports whether a check failed. A check that was not possible has not failed.
func failed(report *attest.Report) bool {
	return slices.ContainsFunc(report.Checks, func(c attest.Check) bool {
		return c.Outcome == attest.Failed && !c.Waived
	})
}

// missing returns the names of the checks that were not possible, and the reason of the first.
func missing(report *attest.Report) string {
	var names []string
	why := ""
	for _, c := range report.Checks {
		if c.Outcome != attest.NotPossible || c.Waived {
			continue
		}
		if names = append(names, string(c.Name)); why == "" {
			why = c.Detail
		}
	}
	return fmt.Sprintf("%s: %s", strings.Join(names, ", "), why)
}

// keepMeasured keeps the measured key provider and image.
func (a *App) keepMeasured(p *proof) {
	if p.report == nil || p.report.Attested.BootEvents == nil || !p.report.Verified {
		return
	}
	if provider := p.report.Attested.KeyProvider; provider != nil && provider.Name == "kms" && provider.ID != "" {
		a.KeyProvider = provider.ID
	}
	if image := p.report.Attested.OSImageHash; image != "" {
		a.OS.Hash, a.OS.Measured = image, true
	}
}
