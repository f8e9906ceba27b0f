package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

const notListed = "it is not among the instances of the app"

// evidenceOf gets the evidence from that of the app's instances. If that has none of this CVM, it gets the evidence of
// the CVM alone, which has a quote only within a certificate.
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

// none returns the error of evidence that is not there.
func none(why error) error { return fmt.Errorf("%w: no evidence: %w", attest.ErrNotPossible, why) }

// reported returns the cloud's own explanation as an error.
func reported(text string) error {
	if text == "" {
		return errors.New("the cloud shows no quote")
	}
	return fmt.Errorf("the cloud reports %.200q", text)
}
