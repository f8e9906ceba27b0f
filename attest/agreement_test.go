package attest_test

import (
	"testing"
	"time"

	tdx "github.com/google/go-tdx-guest/verify"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// TestVerify_AgreesWithGoTDXGuest compares the verdict on hardware and collateral with that of go-tdx-guest,
// with its checks of collateral and revocation on.
func TestVerify_AgreesWithGoTDXGuest(t *testing.T) {
	t.Parallel()
	quote := func(change func(*attest.Quote)) []quotetest.Change {
		return []quotetest.Change{quotetest.ChangeQuote(change)}
	}
	enclave := func(change func([]byte)) []quotetest.Change {
		return []quotetest.Change{quotetest.ChangeQuotingEnclave(change)}
	}
	for name, tc := range map[string]struct {
		options []quotetest.Option
		changes []quotetest.Change
		// laxer is true where the library does not notice.
		laxer bool
	}{
		"honest":                   {},
		"module without identity":  {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[1] = 0 })},
		"newer components":         {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[2] = 200 })},
		"newer quoting enclave":    {changes: enclave(func(report []byte) { report[258] = 99 })},
		"MISCSELECT":               {changes: enclave(func(report []byte) { report[16] = 1 })},
		"masked attribute":         {changes: enclave(func(report []byte) { report[56] = 0xff })},
		"product":                  {changes: enclave(func(report []byte) { report[256]++ })},
		"enclave's attributes":     {changes: enclave(func(report []byte) { report[48] |= 2 })},
		"enclave's signer":         {changes: enclave(func(report []byte) { report[128]++ })},
		"enclave's data":           {changes: enclave(func(report []byte) { report[320]++ })},
		"old quoting enclave":      {changes: enclave(func(report []byte) { report[258] = 2 })},
		"older quoting enclave":    {changes: enclave(func(report []byte) { report[258] = 0 })},
		"module's signer":          {changes: quote(func(q *attest.Quote) { q.MRSignerSEAM[9] = 1 })},
		"module's attributes":      {changes: quote(func(q *attest.Quote) { q.SEAMAttributes[7] = 1 })},
		"old components":           {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[2] = 1 })},
		"old module":               {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[0] = 1 })},
		"older module":             {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[0] = 0 })},
		"unknown module":           {changes: quote(func(q *attest.Quote) { q.TEETCBSVN[1] = 2 })},
		"platform out of date":     {options: []quotetest.Option{quotetest.WithTCBStatus(attest.OutOfDate)}},
		"platform to configure":    {options: []quotetest.Option{quotetest.WithTCBStatus(attest.ConfigurationNeeded)}},
		"platform revoked":         {options: []quotetest.Option{quotetest.WithTCBStatus(attest.Revoked)}},
		"module out of date":       {options: []quotetest.Option{quotetest.WithModuleStatus(attest.OutOfDate)}},
		"enclave out of date":      {options: []quotetest.Option{quotetest.WithQuotingEnclaveStatus(attest.OutOfDate)}},
		"PCK revoked":              {options: []quotetest.Option{quotetest.WithRevokedPCK()}},
		"CA revoked":               {options: []quotetest.Option{quotetest.WithRevokedCA()}},
		"signer revoked":           {options: []quotetest.Option{quotetest.WithRevokedSigner()}},
		"collateral expired":       {options: []quotetest.Option{quotetest.WithCollateralTime(now().AddDate(0, -1, 0), now().Add(-time.Minute))}},
		"collateral of the future": {options: []quotetest.Option{quotetest.WithCollateralTime(now().Add(time.Minute), now().AddDate(0, 1, 0))}, laxer: true},
	} {
		a := newAuthority(t, tc.options...)
		e := sign(t, a, spec(), tc.changes...)
		policy := a.Policy()
		_, ours := attest.Verify(t.Context(), e, policy)
		theirs := tdx.RawTdxQuote(e.Quote, &tdx.Options{
			GetCollateral: true, CheckRevocations: true, Getter: pcsAnswers(t, a.CloudCollateral()), Now: now(), TrustedRoots: a.Roots(),
		})
		if tc.laxer {
			require.Error(t, ours, name)
			require.NoError(t, theirs, name)
			continue
		}
		assert.Equal(t, theirs == nil, ours == nil, "%s: go-tdx-guest: %v, attest: %v", name, theirs, ours)
	}
}
