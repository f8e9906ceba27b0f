package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// evidencePause is the interval between two requests for evidence.
const evidencePause = 3 * time.Second

// CVM verifies one CVM against policy. The cloud resolves cvm, a name or an id: set Policy.AppID, otherwise the
// report may be about another app. [WithWait] repeats the request for a while if there is no evidence yet.
//
// The error is that of the instance, an [*Error]. The instance is nil only if the policy is invalid, the CVM cannot
// be read or ctx ends.
func CVM(ctx context.Context, c *client.Client, cvm string, policy attest.Policy, opts ...Option) (*Instance, error) {
	cfg, err := configure(opts, forCVM)
	if err == nil {
		err = policy.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("verify cvm %.200q: %w", cvm, err)
	}
	detail, err := c.CVMs.Get(ctx, cvm)
	if err != nil {
		return nil, fmt.Errorf("verify cvm %.200q: %w", cvm, err)
	}
	app := policy.AppID
	if app.IsZero() {
		if app, err = kms.ParseAppID(detail.AppID); err != nil {
			return nil, fmt.Errorf("verify cvm %.200q: %w: the cloud names no app: %w", cvm, attest.ErrNotPossible, err)
		}
	}
	if policy.Collateral == nil {
		policy.Collateral = CloudCollateral(c)
		if !shown(detail.PublicTCBInfo) {
			policy.Collateral = noCollateral
		}
	}
	instance := &Instance{CVM: cloudtext.Clean(detail.VMUUID), Name: cloudtext.Clean(detail.Name), Status: cloudtext.Clean(string(detail.Status))}
	evidence, err := awaitEvidence(ctx, c, detail, app, cfg.wait)
	if err == nil {
		err = cfg.judge(ctx, instance, evidence, policy)
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("verify cvm %.200q: %w", cvm, context.Cause(ctx))
	}
	instance.fail(err)
	return instance, instance.Err
}

// shown reports whether everybody may read the evidence of a CVM with this public_tcbinfo.
func shown(public *bool) bool { return public == nil || *public }

// awaitEvidence requests the evidence of a CVM. If there is none, the error is [attest.ErrNotPossible]. The evidence
// of an app with private attestation is requested once.
func awaitEvidence(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID, wait time.Duration) (attest.Evidence, error) {
	began := time.Now()
	for {
		evidence, err := evidenceOf(ctx, c, cvm, app)
		if !errors.Is(err, attest.ErrNotPossible) || !shown(cvm.PublicTCBInfo) || time.Since(began) >= wait {
			return evidence, err
		}
		if err := pause.For(ctx, evidencePause); err != nil {
			return attest.Evidence{}, err
		}
	}
}

const notListed = "it is not among the instances of the app"

// evidenceOf returns the evidence of a CVM from that of the app's instances, otherwise from that of the CVM alone, which
// has a quote only within a certificate.
func evidenceOf(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID) (attest.Evidence, error) {
	evidence, err := ofInstance(ctx, c, cvm, app)
	if errors.Is(err, attest.ErrNotPossible) {
		other, otherErr := ofCVM(ctx, c, cvm)
		if otherErr == nil || !errors.Is(otherErr, attest.ErrNotPossible) {
			evidence, err = other, otherErr
		}
	}
	if evidence.InstanceID == "" {
		evidence.InstanceID = cvm.InstanceID
	}
	return evidence, err
}

func ofInstance(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID) (attest.Evidence, error) {
	all, err := c.Apps.GetAttestations(ctx, app.String())
	if err != nil {
		return attest.Evidence{}, none(err)
	}
	for _, instance := range all.Instances {
		if uuid.Bare(instance.VMUUID) != uuid.Bare(cvm.VMUUID) {
			continue
		}
		found, err := attest.FromApp(&openapi.AppAttestations{AppID: all.AppID, Instances: []openapi.AppAttestation{instance}})
		switch {
		case err != nil:
			return attest.Evidence{}, err
		case len(found[0].Quote) == 0:
			return attest.Evidence{}, none(reported(instance.Error))
		}
		return found[0], nil
	}
	return attest.Evidence{}, none(errors.New(notListed))
}

func ofCVM(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail) (attest.Evidence, error) {
	id := cvm.VMUUID
	if id == "" {
		id = string(cvm.ID)
	}
	a, err := c.CVMs.GetAttestation(ctx, id)
	switch {
	case err != nil:
		return attest.Evidence{}, none(err)
	case a.Error != "":
		return attest.Evidence{}, none(reported(a.Error))
	}
	evidence, err := attest.FromCVM(a)
	if err == nil && len(evidence.Quote) == 0 {
		err = none(errors.New("no certificate of the CVM has a quote"))
	}
	return evidence, err
}

// none returns the error of missing evidence.
func none(why error) error { return fmt.Errorf("%w: no evidence: %w", attest.ErrNotPossible, why) }

// reported returns the cloud's explanation as an error.
func reported(text string) error {
	if text == "" {
		return errors.New("the cloud reports no quote")
	}
	return fmt.Errorf("the cloud reports %.200q", text)
}
