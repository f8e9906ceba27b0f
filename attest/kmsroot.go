package attest

import (
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
)

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
