package attest

import (
	"crypto/sha512"
	"crypto/x509"
	"fmt"
)

// Tags of report data, from dstack's ra-tls/src/attestation.rs.
const (
	TagRATLS     = "ratls-cert"
	TagAppData   = "app-data"
	TagKMSRootCA = "kms-root-ca"
)

// RawReportData is the form in which a guest signs data of its own, such as a nonce: up to 64 bytes, followed
// by zeros.
func RawReportData(data []byte) ([64]byte, error) {
	var r [64]byte
	if len(data) > len(r) {
		return r, fmt.Errorf("report data of %d bytes, want at most %d; hash it first", len(data), len(r))
	}
	copy(r[:], data)
	return r, nil
}

// TaggedReportData is the form that says what is signed: SHA-512 over the tag, a colon and the content.
func TaggedReportData(tag string, content []byte) [64]byte {
	h := sha512.New()
	h.Write([]byte(tag + ":"))
	h.Write(content)
	return [64]byte(h.Sum(nil))
}

// RATLSReportData is what the quote of a TLS certificate signs: its public key.
func RATLSReportData(certificate *x509.Certificate) [64]byte {
	return TaggedReportData(TagRATLS, certificate.RawSubjectPublicKeyInfo)
}
