package verify

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
)

// CloudCollateral returns a source that gets Intel's collateral from the cloud's public registry of quotes. A quote
// that the registry does not know is uploaded to it, and is public from then on, as the evidence of an app that shows
// its attestation is anyway. The cloud need not be trusted: Intel signs collateral. If there is none, the error is
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
