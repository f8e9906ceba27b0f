package quotetest

import "fmt"

// Reissue returns an authority with the same root, keys and platform whose collateral is issued anew, as Intel does
// every month. The options set what the new collateral says, such as [WithCollateralTime] and [WithRevokedPCK].
func (a *Authority) Reissue(options ...Option) (*Authority, error) {
	next := &Authority{
		now: a.now, settings: a.settings, root: a.root, platformCA: a.platformCA, signer: a.signer,
		pck: a.pck, attestationKey: a.attestationKey,
	}
	for _, option := range options {
		option(next)
	}
	if err := next.issueCollateral(); err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	return next, nil
}
