package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/verify"
)

// evidenceWait is how long a CVM may run before its evidence is there: the cloud has to ask its guest agent.
const evidenceWait = time.Minute

// evidencePause lies between two requests for evidence that is newer than a change.
const evidencePause = 3 * time.Second

// WithVerification verifies what runs against policy, and makes an error of whatever cannot be checked: without
// it, [Run] verifies what the app shows, and tells in the result what that left open.
//
// App id and compose hash need not be given; they are those of the deployment. With [WithChain] the root CA of the
// KMS is the one in its contract, unless the policy names others. Where the policy names no source
// of collateral it is [verify.CloudCollateral].
func WithVerification(policy attest.Policy) Option {
	return func(c *config) error {
		if err := policy.Validate(); err != nil {
			return fmt.Errorf("deploy: WithVerification: %w", err)
		}
		c.policy, c.strict = policy, true
		return nil
	}
}

// SkipVerification does not ask the hardware. It loses the proof that the CVM runs on genuine hardware, and that
// it runs this app-compose: both are the cloud's word then.
func SkipVerification() Option {
	return func(c *config) error {
		c.skipVerify = true
		return nil
	}
}

// moment is when a CVM is verified.
type moment int

const (
	afterBoot   moment = iota
	afterChange        // the cloud may still show the evidence from before
)

// verify asks the hardware of a running CVM whether it runs this app with this compose hash, which may be zero
// where it is not known. After a change, evidence of another compose hash is asked for again for a while.
func (c *config) verify(ctx context.Context, cl *client.Client, cvm *openapi.CVMDetail, app kms.AppID, hash compose.Hash, when moment) (Check, *attest.Report, error) {
	began := time.Now()
	for {
		check, report, err := c.verifyOnce(ctx, cl, cvm, app, hash)
		stale := when == afterChange && errors.Is(err, attest.ErrComposeHash) && time.Since(began) < evidenceWait
		if stale {
			if pause(ctx, evidencePause) != nil {
				return Check{}, nil, unasked(ctx, cvm)
			}
			continue
		}
		if report != nil {
			c.progress(AttestationEvent{CVM: handle(cvm), Report: report})
		}
		if err != nil {
			return Check{}, nil, err
		}
		c.report([]Check{check})
		return check, report, nil
	}
}

// verifyOnce returns the report also if it is the error's.
func (c *config) verifyOnce(ctx context.Context, cl *client.Client, cvm *openapi.CVMDetail, app kms.AppID, hash compose.Hash) (Check, *attest.Report, error) {
	if c.skipVerify {
		return attestation(Waived, "SkipVerification"), nil, nil
	}
	policy, err := c.policyFor(ctx, app, hash)
	if err != nil {
		return Check{}, nil, fmt.Errorf("verify cvm %s: %w", cvm.Name, err)
	}
	instance, err := verify.CVM(ctx, cl, handle(cvm), policy, verify.WithWait(evidenceWait))
	if ctx.Err() != nil {
		return Check{}, nil, unasked(ctx, cvm)
	}
	if err == nil {
		return attestation(Passed, ""), instance.Report, nil
	}
	var unverified *verify.Error
	if !errors.As(err, &unverified) {
		return Check{}, nil, err
	}
	report := unverified.Report
	switch {
	case c.strict:
	case report == nil && errors.Is(err, attest.ErrNotPossible):
		return attestation(NotPossible, unverified.Err.Error()), nil, nil
	case report != nil && !failed(report):
		return attestation(NotPossible, open(report)), report, nil
	}
	return Check{}, report, &VerificationError{CVM: handle(cvm), Report: report, Err: unverified.Err}
}

// unasked is the error of a context that ends before the hardware was asked: nothing is said of the CVM.
func unasked(ctx context.Context, cvm *openapi.CVMDetail) error {
	return fmt.Errorf("verify cvm %s: %w", cvm.Name, context.Cause(ctx))
}

func attestation(outcome Outcome, reason string) Check {
	return Check{Name: CheckAttestation, Outcome: outcome, Reason: reason}
}

// policyFor adds what the deployment itself expects. What the policy expects instead of it stays, and fails.
func (c *config) policyFor(ctx context.Context, app kms.AppID, hash compose.Hash) (attest.Policy, error) {
	p := c.policy
	if p.AppID.IsZero() {
		p.AppID = app
	}
	if !hash.Equal(compose.Hash{}) && (len(p.ComposeHashes) == 0 || slices.Contains(p.ComposeHashes, hash)) {
		p.ComposeHashes = []compose.Hash{hash}
	}
	if c.chain == nil || len(p.KMSRootCAs) > 0 {
		return p, nil
	}
	ca, err := c.chain.RootCA(ctx)
	if err != nil {
		return p, fmt.Errorf("the root CA of the KMS: %w", err)
	}
	if len(ca) > 0 {
		p.KMSRootCAs = [][]byte{ca}
	}
	return p, nil
}

// failed tells a check that came out wrong from those that could not be made.
func failed(report *attest.Report) bool {
	return slices.ContainsFunc(report.Checks, func(c attest.Check) bool {
		return c.Outcome == attest.Failed && !c.Waived
	})
}

// open says what a report leaves open: the checks, and what the first of them lacks.
func open(report *attest.Report) string {
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
