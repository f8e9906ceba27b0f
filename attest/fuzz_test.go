package attest

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/testing/testdata"
	"github.com/stretchr/testify/require"
)

// FuzzParseQuote: what parses is within bounds, and go-tdx-guest neither panics on it nor reads it otherwise.
// The input is not the quote but how to corrupt one, as triples of position and byte, a length to cut it to, and
// what to put behind: a quote has 1,200 bytes at least, which the fuzzer would spend its time on minimising.
func FuzzParseQuote(f *testing.F) {
	quotes := [][]byte{smallQuote(4), smallQuote(5)}
	for _, quote := range quotes {
		_, err := ParseQuote(quote)
		require.NoError(f, err)
	}
	f.Add(false, []byte{}, uint16(0xffff), []byte{})
	f.Add(true, []byte{0, 48, 3, 2, 124, 0}, uint16(700), []byte{0})
	f.Add(false, []byte{2, 120, 1}, uint16(0xffff), []byte{1})
	f.Fuzz(func(t *testing.T, newer bool, edits []byte, length uint16, tail []byte) {
		data := slices.Clone(quotes[0])
		if newer {
			data = slices.Clone(quotes[1])
		}
		for ; len(edits) >= 3; edits = edits[3:] {
			data[(int(edits[0])<<8|int(edits[1]))%len(data)] = edits[2]
		}
		data = append(data[:min(int(length), len(data))], tail...)
		q, err := ParseQuote(data)
		if err != nil {
			return
		}
		require.Len(t, q.qeReport, qeReportSize)
		_ = q.qe()
		_, _ = parsePCK(q.pckChain)
		_ = q.MRAggregated()
		if q.Version != 4 {
			return
		}
		if message, err := abi.QuoteToProto(q.raw); err == nil {
			again, err := abi.QuoteToAbiBytes(message)
			require.NoError(t, err)
			require.Equal(t, q.raw, again)
		}
	})
}

// smallQuote is well-formed, without a certificate in it.
func smallQuote(version byte) []byte {
	quote := append([]byte{version, 0}, testdata.RawQuote[2:48]...)
	if version == 5 {
		quote = append(quote, bodyTD10, 0, 0x48, 2, 0, 0)
	}
	quote = append(quote, testdata.RawQuote[48:632]...)
	certification := append(make([]byte, qeReportSize+64), 1, 0, 7, certsPCK, 0, 4, 0, 0, 0, 'P', 'E', 'M', 0)
	signed := append(make([]byte, 128), certsQE, 0, byte(len(certification)), byte(len(certification)>>8), 0, 0)
	signed = append(signed, certification...)
	quote = append(quote, byte(len(signed)), byte(len(signed)>>8), 0, 0)
	return append(append(quote, signed...), 0, 0)
}

// FuzzEventLog: a log that parses can be replayed and read without a panic, and written again is the same.
func FuzzEventLog(f *testing.F) {
	f.Add([]byte(`[{"imr":3,"event_type":134217729,"digest":"","event":"app-id","event_payload":"00"}]`))
	f.Add([]byte(`"[{\"imr\":3,\"event_type\":134217729,\"event\":\"system-ready\",\"version\":2,\"preimage\":\"7b\"}]"`))
	f.Add([]byte(`[{"imr":0,"event_type":1,"digest":"ff","event":"","event_payload":""}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		log, err := ParseEventLog(data)
		if err != nil {
			return
		}
		registers, replayed := Replay(log)
		_, _ = ReadBootEvents(log)
		text, err := json.Marshal(LogEntries(log))
		require.NoError(t, err)
		again, err := ParseEventLog(text)
		require.NoError(t, err)
		registersAgain, replayedAgain := Replay(again)
		require.Equal(t, replayed == nil, replayedAgain == nil)
		require.Equal(t, registers, registersAgain)
	})
}

// FuzzCertificateExtension: no extension of a certificate makes reading it panic.
func FuzzCertificateExtension(f *testing.F) {
	octets, err := asn1.Marshal(testdata.RawQuote[:640])
	require.NoError(f, err)
	f.Add(octets, []byte("\x04\x02[]"))
	f.Add([]byte{4, 0x84, 0xff, 0xff, 0xff, 0xff}, []byte{})
	f.Fuzz(func(t *testing.T, quote, log []byte) {
		certificate := &x509.Certificate{Extensions: []pkix.Extension{
			{Id: ratlsOID(extensionQuote), Value: quote}, {Id: ratlsOID(extensionEventLog), Value: log},
		}}
		e, err := FromCertificate(certificate)
		if err == nil {
			require.NotNil(t, e.Quote)
			_, _ = ParseQuote(e.Quote)
		}
	})
}

// FuzzConfigDocument: a document that is accepted is written again byte for byte.
func FuzzConfigDocument(f *testing.F) {
	f.Add([]byte(`{"compose_hash":"22","key_provider":"none","version":3}`))
	f.Add([]byte(`{"app_id":"11","compose_hash":"22","init_script_hashes":[],"key_provider":"kms","key_provider_id":"33","version":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ParseConfigDocument(data)
		if err == nil {
			require.Equal(t, string(data), string(d.Canonical()))
		}
	})
}

// FuzzSplitSigned: the document that is taken out is JSON, and joined again it is split the same.
func FuzzSplitSigned(f *testing.F) {
	f.Add([]byte(`{"tcbInfo":{"id":"TDX"},"signature":"00"}`))
	f.Add([]byte(`{"tcbInfo":{},"TCBINFO":{},"signature":"00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		document, signature, err := splitSigned(data, "tcbInfo")
		if err != nil {
			return
		}
		require.True(t, json.Valid([]byte(document)))
		if _, err := hex.DecodeString(signature); err == nil && signature != "" {
			again, signatureAgain, err := splitSigned(joinSigned("tcbInfo", document, signature), "tcbInfo")
			require.NoError(t, err)
			require.Equal(t, document, again)
			require.Equal(t, signature, signatureAgain)
		}
	})
}

// FuzzCollateral: nothing that claims to be collateral makes reading it panic.
func FuzzCollateral(f *testing.F) {
	f.Add([]byte(`{"pck_crl_issuer_chain":"","tcb_info":"{}"}`))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = ParseCollateral(data)
	})
}

// FuzzReaders: no answer makes a reader panic, and a quote in any text form is decoded to the same bytes.
func FuzzReaders(f *testing.F) {
	f.Add([]byte(`{"quote":[4,0],"event_log":"[]","tcb_info":"{}","app_certificates":[{"quote":"0400"}]}`))
	f.Add([]byte(`{"account_uri":"a","account_quote":"{\"quote\":\"00\"}","quoted_hist_keys":[{"public_key":"00","quote":{"quote":"0x00"}}]}`))
	f.Add([]byte("BAACAIEAAAA="))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = FromInfo(data)
		_, _ = FromGetQuote(data)
		_, _ = ParseGatewayInfo(data)
		_, _ = DecodeQuote(data)
		if len(data) == 0 || len(data) > MaxQuote {
			return
		}
		digits := hex.EncodeToString(data)
		quoted, err := json.Marshal(digits)
		require.NoError(t, err)
		for _, form := range [][]byte{[]byte(digits), []byte("0x" + digits), quoted} {
			got, err := DecodeQuote(form)
			require.NoError(t, err)
			require.Equal(t, data, got)
		}
	})
}
