package attest

import (
	"crypto/sha512"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

// intelRootPEM is the Intel SGX Root CA, which also stands above TDX: SHA-256 fingerprint
// 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3, valid until the end of 2049, published at
// https://certificates.trustedservices.intel.com/.
//
//go:embed intel_root.pem
var intelRootPEM []byte

// IntelRoots is the root of trust of a policy that names none: the Intel SGX Root CA.
func IntelRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(intelRootPEM)
	return pool
}

// ParseKMSRootCA reads the public key of a KMS's root CA for [Policy.KMSRootCAs]: DER SubjectPublicKeyInfo in
// hexadecimal, as the key-provider event and the API have it, or the PEM of the key or of its certificate.
func ParseKMSRootCA(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if block, _ := pem.Decode([]byte(text)); block != nil {
		if block.Type != "CERTIFICATE" {
			return checkSPKI(block.Bytes)
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("root CA of a KMS: %w", err)
		}
		return certificate.RawSubjectPublicKeyInfo, nil
	}
	der, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		return nil, fmt.Errorf("root CA of a KMS %.40q…: neither PEM nor hexadecimal digits", text)
	}
	return checkSPKI(der)
}

func checkSPKI(der []byte) ([]byte, error) {
	if _, err := x509.ParsePKIXPublicKey(der); err != nil {
		return nil, fmt.Errorf("root CA of a KMS %.40x…: %w", der, err)
	}
	return der, nil
}

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
