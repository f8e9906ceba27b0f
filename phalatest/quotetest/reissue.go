package quotetest

import "fmt"

// Reissue returns an authority with the same root, keys and platform and with new collateral, as Intel issues it
// every month. The options set the content of the new collateral, such as [WithCollateralTime] and [WithRevokedPCK].
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
