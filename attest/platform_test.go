package attest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
)

const day = 24 * time.Hour

// The failure names what lags, since when, and what accepts it; the grace period forgives what it covers.
func TestTCB_OutOfDateGrace(t *testing.T) {
	t.Parallel()
	since := now().AddDate(0, 0, -30)
	for name, tt := range map[string]struct {
		option quotetest.Option
		says   []string
		status attest.TCBStatus // within the grace period
		part   func(*attest.TCB) *attest.TCBLevel
	}{
		"platform": {
			quotetest.WithTCBStatus(attest.OutOfDate, "INTEL-SA-00837"),
			[]string{"platform OutOfDate since 2026-01-30", "SGX component 1 SVN 5, below 6", "TDX component 3 SVN 4, below 5", "at the level of 2025-01-30", "advisories INTEL-SA-00837", "Policy.OutOfDateGrace of more than 30 days", "Policy.TCBStatuses with OutOfDate"},
			attest.UpToDate, func(t *attest.TCB) *attest.TCBLevel { return &t.Platform },
		},
		"platform to be configured": {
			quotetest.WithTCBStatus(attest.OutOfDateConfigurationNeeded),
			[]string{"platform OutOfDateConfigurationNeeded since 2026-01-30"},
			attest.ConfigurationNeeded, func(t *attest.TCB) *attest.TCBLevel { return &t.Platform },
		},
		"module": {
			quotetest.WithModuleStatus(attest.OutOfDate), []string{"TDX module OutOfDate since 2026-01-30", "ISV SVN 6, below 7", "advisories none"},
			attest.UpToDate, func(t *attest.TCB) *attest.TCBLevel { return t.Module },
		},
		"quoting enclave": {
			quotetest.WithQuotingEnclaveStatus(attest.OutOfDate), []string{"quoting enclave OutOfDate since 2026-01-30", "ISV SVN 6, below 7"},
			attest.UpToDate, func(t *attest.TCB) *attest.TCBLevel { return &t.QuotingEnclave },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthority(t, tt.option, quotetest.WithOutOfDateSince(since))
			e, p := sign(t, a, spec()), a.Policy()
			r, err := attest.Verify(t.Context(), e, p)
			requireOnly(t, err, attest.ErrTCBStatus)
			for _, part := range tt.says {
				assert.ErrorContains(t, err, part)
			}
			level := tt.part(r.Attested.TCB)
			assert.Equal(t, level.Wanted, since)
			assert.Equal(t, since.AddDate(-1, 0, 0), level.Date)

			p.OutOfDateGrace = 30 * day
			r, err = attest.Verify(t.Context(), e, p)
			if tt.status != attest.UpToDate {
				requireOnly(t, err, attest.ErrTCBStatus)
				p.TCBStatuses = []attest.TCBStatus{attest.UpToDate, tt.status}
				r, err = attest.Verify(t.Context(), e, p)
			}
			require.NoError(t, err)
			assert.Contains(t, r.Check(attest.CheckTCBStatus).Detail, "which the grace period of 30 days accepts")
			assert.True(t, strings.HasPrefix(string(r.Attested.TCB.Status()), "OutOfDate"), "the report shows what it was")
			assert.Equal(t, "go-tdx-guest agrees about the signatures", r.Check(attest.CheckSecondOpinion).Detail)
		})
	}
}

// A part that is below all levels, or out of date where no level is up to date, is not covered by a grace period.
func TestTCB_NoGraceWithoutALevel(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := a.Policy()
	p.OutOfDateGrace = 100 * 365 * day
	below := quotetest.ChangeQuote(func(q *attest.Quote) { q.TEETCBSVN[0] = 0 })
	_, err := attest.Verify(t.Context(), sign(t, a, spec(), below), p)
	requireOnly(t, err, attest.ErrTCBStatus)
	assert.ErrorContains(t, err, "TDX module: TDX_01: below the lowest level that Intel lists: ISV SVN 0, below 1")

	a = newAuthority(t, quotetest.WithTCBStatus(attest.ConfigurationNeeded))
	p = a.Policy()
	p.OutOfDateGrace = 100 * 365 * day
	lowest := quotetest.ChangeQuote(func(q *attest.Quote) { q.TEETCBSVN[2] = 0 })
	r, err := attest.Verify(t.Context(), sign(t, a, spec(), lowest), p)
	requireOnly(t, err, attest.ErrTCBStatus)
	assert.True(t, r.Attested.TCB.Platform.Wanted.IsZero())
}

// Attributes that Intel defines and that open nothing pass; each of the others can be waived by its own name.
func TestTDAttributes(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	for _, bit := range []int{30, 31, 63} { // PKS, KL, PERFMON
		_, err := attest.Verify(t.Context(), sign(t, a, spec(), attributes(func(b uint64) uint64 { return b | 1<<bit })), a.Policy())
		require.NoError(t, err, bit)
	}
	for check, change := range map[attest.CheckName]func(uint64) uint64{
		attest.CheckDebug: func(b uint64) uint64 { return b | 1 }, attest.CheckSEPTVE: func(b uint64) uint64 { return b &^ (1 << 28) },
		attest.CheckMigratable: func(b uint64) uint64 { return b | 1<<29 }, attest.CheckReservedAttributes: func(b uint64) uint64 { return b | 1<<32 },
	} {
		p := a.Policy()
		p.Waive = []attest.CheckName{check}
		e := sign(t, a, spec(), attributes(change))
		r, err := attest.Verify(t.Context(), e, p)
		require.NoError(t, err, check)
		assert.True(t, r.Check(check).Waived)
		p.Waive = nil
		_, err = attest.Verify(t.Context(), e, p)
		require.Error(t, err, check)
	}
}

// Intel spells the FMSPC in either case; go-tdx-guest compares it exactly, so that it judges the signatures alone.
func TestVerify_FMSPCInCapitals(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, quotetest.WithUpperCase(), quotetest.WithFMSPC([6]byte{0xb0, 0xc0, 0x6f}))
	p := strict(t, a)
	p.Collateral = attest.NewCollateralCache(a.Collateral).Collateral
	for range 2 {
		r, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
		require.NoError(t, err)
		assert.Equal(t, "b0c06f000000", r.Attested.FMSPC)
		assert.Equal(t, "go-tdx-guest agrees about the signatures", r.Check(attest.CheckSecondOpinion).Detail)
	}
	assert.Equal(t, 1, a.Fetches(), "the cache knows it in either case")
}

// The report shows both ids, and a policy with either passes.
func TestVerify_DeviceIDsOfBothRules(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	e := sign(t, a, spec())
	devices := a.Devices()
	assert.NotEqual(t, devices.PPID, devices.UserData)
	placeholder := attest.DeviceID(nil)
	assert.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", placeholder.String())
	for stated, want := range map[kms.DeviceID]string{
		{}: "", devices.PPID: "the guest states " + devices.PPID.String(), devices.UserData: "the guest states " + devices.UserData.String(),
		placeholder: "which identifies no machine", {1}: "does not follow from its quote",
	} {
		e.Device = stated
		for _, accepted := range [][]kms.DeviceID{{devices.PPID}, {devices.UserData}, {{1}, devices.UserData}, nil} {
			p := a.Policy()
			p.Devices = accepted
			r, err := attest.Verify(t.Context(), e, p)
			require.NoError(t, err)
			assert.Equal(t, devices, r.Attested.Devices)
			assert.Contains(t, r.Check(attest.CheckDevice).Detail, want)
		}
	}
	p := a.Policy()
	p.Devices = []kms.DeviceID{{1}}
	_, err := attest.Verify(t.Context(), e, p)
	requireOnly(t, err, attest.ErrDevice)
	assert.ErrorContains(t, err, devices.PPID.String())
	assert.ErrorContains(t, err, devices.UserData.String())
}

// The usual reason for an unknown root is a policy with the roots of a test, or without them.
func TestVerify_NamesAnUnknownRoot(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	p := a.Policy()
	p.Roots = nil
	_, err := attest.Verify(t.Context(), sign(t, a, spec()), p)
	requireOnly(t, err, attest.ErrQuoteSignature)
	for _, part := range []string{`the root "Intel SGX Root CA" of "phala quotetest"`, "SHA-256 fingerprint", "AttestationPolicy"} {
		assert.ErrorContains(t, err, part)
	}
}
