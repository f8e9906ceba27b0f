package attest_test

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-tdx-guest/abi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseQuoteRefuses(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	good := sign(t, a, spec()).Quote
	good = good[:len(good)-70] // the padding
	newer := spec()
	newer.QuoteVersion = 5
	v5 := sign(t, a, newer).Quote
	set16 := func(at int, value uint16) func([]byte) []byte {
		return func(q []byte) []byte { binary.LittleEndian.PutUint16(q[at:], value); return q }
	}
	set32 := func(at int, value uint32) func([]byte) []byte {
		return func(q []byte) []byte { binary.LittleEndian.PutUint32(q[at:], value); return q }
	}
	const signature = 48 + 584 + 4
	for name, tc := range map[string]struct {
		quote  []byte
		change func([]byte) []byte
		want   string
	}{
		"version 3":               {good, set16(0, 3), "version 3"},
		"other key":               {good, set16(2, 3), "attestation key of type 3"},
		"SGX":                     {good, set32(4, 0), "TEE type 0x0"},
		"signature of 0 bytes":    {good, set32(signature-4, 0), "only zeros may follow"},
		"signature too long":      {good, set32(signature-4, 1<<31), "shorter than the quote announces"},
		"other certification":     {good, set16(signature+128, 5), "certification data of type 5"},
		"certification too short": {good, set32(signature+130, 9), "do not add up"},
		"certification too long":  {good, set32(signature+130, 1<<32-1), "do not add up"},
		"authentication too long": {good, set16(signature+134+384+64, 0xffff), "do not add up"},
		"no PCK chain":            {good, set16(signature+134+384+64+2+32, 1), "certified by data of type 1"},
		"PCK chain too short":     {good, set32(signature+134+384+64+2+32+2, 1), "do not add up"},
		"v5 of an enclave":        {v5, set16(48, 1), "body of type 1"},
		"v5 of another size":      {v5, set32(50, 648), "body of 648 bytes"},
		"v5 of the other body":    {v5, set16(48, 3), "body of 584 bytes"},
		"header alone":            {good, func(q []byte) []byte { return q[:48] }, "shorter"},
		"not even that":           {good, func(q []byte) []byte { return q[:47] }, "too short"},
		"something behind":        {good, func(q []byte) []byte { return append(q, 0, 1) }, "byte 1 after the end"},
		"too large":               {good, func(q []byte) []byte { return append(q, make([]byte, attest.MaxQuote)...) }, "at most 32768"},
	} {
		_, err := attest.ParseQuote(tc.change(slices.Clone(tc.quote)))
		require.ErrorContains(t, err, tc.want, name)
	}
	for cut := range len(good) {
		_, err := attest.ParseQuote(good[:cut])
		require.Error(t, err, cut)
	}
}

// Why a quote is parsed here before go-tdx-guest 0.3.1 sees it.
func TestLibrary_PanicsOnWrongLengths(t *testing.T) {
	t.Parallel()
	quote := slices.Clone(sign(t, newAuthority(t), spec()).Quote)
	binary.LittleEndian.PutUint32(quote[48+584:], 0)
	assert.Panics(t, func() { _, _ = abi.QuoteToProto(quote) })
	_, err := attest.ParseQuote(quote)
	require.Error(t, err)
}

func TestDerivedValues(t *testing.T) {
	t.Parallel()
	q, err := attest.ParseQuote(sign(t, newAuthority(t), quotetest.Spec{}).Quote)
	require.NoError(t, err)
	// Each register counts, and the three of the host only where one is set.
	full := q.MRAggregated()
	plain := *q
	plain.MRConfigID = attest.Measurement{}
	assert.NotEqual(t, full, plain.MRAggregated())
	for _, register := range []*attest.Measurement{&plain.MRTD, &plain.RTMR[0], &plain.RTMR[1], &plain.RTMR[2], &plain.RTMR[3], &plain.MROwner, &plain.MROwnerConfig} {
		before := plain.MRAggregated()
		register[0] ^= 1
		assert.NotEqual(t, before, plain.MRAggregated())
	}
	assert.NotEqual(t, q.MRSystem(nil), q.MRSystem([]byte("{}")))
	changed := *q
	changed.RTMR[3][0]++
	assert.Equal(t, q.MRSystem(nil), changed.MRSystem(nil), "the app is not part of the system")

	// SHA-256 over 5 registers of zeros, and over 4 with 32 zero bytes; of nothing (known values of SHA-256).
	zero := &attest.Quote{}
	aggregated, system, device := zero.MRAggregated(), zero.MRSystem(nil), attest.DeviceID(nil)
	assert.Equal(t, zeros240, hex.EncodeToString(aggregated[:]))
	assert.Equal(t, zeros224, hex.EncodeToString(system[:]))
	assert.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex.EncodeToString(device[:]))
}

const (
	zeros240 = "2dfba633817046c7f559ed4b93076048435f7e1a90f14eb8035c04b9ebae2537"
	zeros224 = "6eb69e26de2a26eda48af77d4cec893aa0cf4748a64cbefcfe11a22c1e680ad9"
)

func TestParseMeasurement(t *testing.T) {
	t.Parallel()
	text := "0b8772e5b0b41b83e6044a68397e02f49fb47066b4fbe4917ea2c45c64f323fdacbb37948f821ebaf8bc9c938ba8a749"
	m, err := attest.ParseMeasurement("0x" + text)
	require.NoError(t, err)
	assert.Equal(t, text, m.String())
	for _, bad := range []string{"", text[1:], text + "00", "g" + text[1:]} {
		require.Error(t, new(attest.Measurement).UnmarshalText([]byte(bad)), bad)
	}
	_, err = attest.RawReportData(make([]byte, 65))
	require.Error(t, err)
	_, err = attest.RuntimeDigest(3, "x", nil)
	require.Error(t, err)
	_, err = attest.RuntimeDigest(2, "\xff", nil)
	require.Error(t, err)
}
