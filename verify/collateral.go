package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
)

// CloudCollateral returns a source that fetches Intel's collateral from the cloud's public registry of quotes. It
// uploads the quote, which is public from then on, as the evidence of an app with public attestation is anyway. The
// cloud need not be trusted: Intel signs the collateral. If there is none, the error is [attest.ErrNotPossible].
func CloudCollateral(c *client.Client) attest.CollateralFunc {
	return func(ctx context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
		if err := request.Trusted(); err != nil {
			return nil, err
		}
		uploaded, err := c.Attestations.Verify(ctx, openapi.VerifyQuoteRequest{Hex: hex.EncodeToString(request.Quote)})
		if err == nil && uploaded.QuoteCollateral == nil {
			err = errors.New("the cloud has none")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w: from the cloud: %w", attest.ErrCollateral, attest.ErrNotPossible, err)
		}
		return attest.NewCollateral(*uploaded.QuoteCollateral)
	}
}

// noCollateral is the source for a private quote. It is not documented by which checksum the registry finds a quote
// without an upload.
func noCollateral(_ context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
	if err := request.Trusted(); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w: the app keeps its attestation private, and the cloud has collateral only for quotes that are "+
		"published; let the policy name another source, such as attest.IntelPCS", attest.ErrCollateral, attest.ErrNotPossible)
}
