package attest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/phala-go/phala/openapi"
)

// CloudCollateral gets collateral from the cloud's registry of quotes, which goes by the checksum of a quote
// that was uploaded before: give it a function around GetCollateral of the client's Attestations. The cloud is not
// trusted for that: Intel signs collateral, and the signatures are checked.
//
// The checksum is the SHA-256 of the quote, an assumption that the published description neither states nor
// contradicts; where the registry uses another, it answers that it does not know the quote.
func CloudCollateral(get func(ctx context.Context, checksum string) (*openapi.QuoteCollateral, error)) CollateralFunc {
	return func(ctx context.Context, request CollateralRequest) (*Collateral, error) {
		if err := request.Trusted(); err != nil {
			return nil, err
		}
		sum := sha256.Sum256(request.Quote)
		source, err := get(ctx, hex.EncodeToString(sum[:]))
		if err != nil {
			return nil, fmt.Errorf("%w: from the cloud: %w", ErrCollateral, err)
		}
		if source == nil {
			return nil, fmt.Errorf("%w: from the cloud: empty answer", ErrCollateral)
		}
		return NewCollateral(*source)
	}
}
