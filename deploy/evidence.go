package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// evidenceWait is how long a CVM may run before its evidence is there: the cloud has to ask its guest agent.
const evidenceWait = time.Minute

// evidencePause lies between two questions.
const evidencePause = 3 * time.Second

// awaitEvidence gets the evidence of a CVM that has begun to run. Where there is none the error is
// [attest.ErrNotPossible]; an app that keeps its attestation private is asked once.
func awaitEvidence(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID) (attest.Evidence, error) {
	began := time.Now()
	for {
		evidence, err := evidenceOf(ctx, c, cvm, app)
		if ctx.Err() != nil {
			return attest.Evidence{}, context.Cause(ctx)
		}
		if !errors.Is(err, attest.ErrNotPossible) || !shown(cvm) || time.Since(began) >= evidenceWait {
			return evidence, err
		}
		if err := pause(ctx, evidencePause); err != nil {
			return attest.Evidence{}, err
		}
	}
}

// evidenceOf asks for the evidence of the app's instances, and where that has none of this CVM for that of the
// CVM alone, which has a quote only within a certificate.
func evidenceOf(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID) (attest.Evidence, error) {
	evidence, missing := ofInstance(ctx, c, cvm, app)
	if missing != nil && errors.Is(missing, attest.ErrNotPossible) {
		other, err := ofCVM(ctx, c, cvm)
		if err == nil || !errors.Is(err, attest.ErrNotPossible) {
			evidence, missing = other, err
		}
	}
	if evidence.InstanceID == "" {
		evidence.InstanceID = cvm.InstanceID
	}
	return evidence, missing
}

func ofInstance(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail, app kms.AppID) (attest.Evidence, error) {
	all, err := c.Apps.GetAttestations(ctx, app.String())
	if err != nil {
		return attest.Evidence{}, none(err)
	}
	for _, instance := range all.Instances {
		if bareUUID(instance.VMUUID) != bareUUID(cvm.VMUUID) {
			continue
		}
		found, err := attest.FromApp(&openapi.AppAttestations{AppID: all.AppID, Instances: []openapi.AppAttestation{instance}})
		switch {
		case err != nil:
			return attest.Evidence{}, err
		case len(found[0].Quote) == 0:
			return attest.Evidence{}, none(says(instance.Error))
		}
		return found[0], nil
	}
	return attest.Evidence{}, none(errors.New("it is not among the instances of the app"))
}

func ofCVM(ctx context.Context, c *client.Client, cvm *openapi.CVMDetail) (attest.Evidence, error) {
	a, err := c.CVMs.GetAttestation(ctx, handle(cvm))
	switch {
	case err != nil:
		return attest.Evidence{}, none(err)
	case a.Error != "":
		return attest.Evidence{}, none(says(a.Error))
	}
	evidence, err := attest.FromCVM(a)
	if err == nil && len(evidence.Quote) == 0 {
		err = none(errors.New("no certificate of the CVM has a quote"))
	}
	return evidence, err
}

// none says that there is no evidence, and why.
func none(why error) error { return fmt.Errorf("%w: no evidence: %w", attest.ErrNotPossible, why) }

func says(text string) error {
	if text == "" {
		return errors.New("the cloud shows no quote")
	}
	return fmt.Errorf("the cloud says %.200q", text)
}

// bareUUID makes UUIDs comparable, which come with dashes or without.
func bareUUID(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }

// CloudCollateral gets Intel's collateral from the cloud's public registry of quotes. A quote that the registry
// does not know is uploaded to it, and is public from then on, as the evidence of an app that shows its
// attestation is anyway. The cloud need not be trusted: Intel signs collateral. Where it gives none the error is
// [attest.ErrNotPossible].
func CloudCollateral(c *client.Client) attest.CollateralFunc { return cloudCollateral(c, true) }

func cloudCollateral(c *client.Client, upload bool) attest.CollateralFunc {
	return func(ctx context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
		if err := request.Trusted(); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(request.Quote)
		source, err := c.Attestations.GetCollateral(ctx, hex.EncodeToString(sum[:]))
		if errors.Is(err, client.ErrNotFound) && upload {
			var uploaded *openapi.QuoteVerification
			if uploaded, err = c.Attestations.Verify(ctx, openapi.VerifyQuoteRequest{Hex: hex.EncodeToString(request.Quote)}); err == nil {
				source = uploaded.QuoteCollateral
			}
		}
		if err == nil && source == nil {
			err = errors.New("it has none")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w: from the cloud: %w", attest.ErrCollateral, attest.ErrNotPossible, err)
		}
		return attest.NewCollateral(*source)
	}
}
