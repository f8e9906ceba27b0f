package attest

import (
	"crypto/sha512"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
)

// intelRootPEM is the Intel SGX Root CA, which also stands above TDX: SHA-256 fingerprint
// 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3, valid until the end of 2049, published at
// https://certificates.trustedservices.intel.com/.
//
//go:embed intel_root.pem
var intelRootPEM []byte

// IntelRoots returns the default roots of trust: the Intel SGX Root CA.
func IntelRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(intelRootPEM)
	return pool
}

// ParseKMSRootCA parses the public key of a KMS's root CA for [Policy.KMSRootCAs]: DER SubjectPublicKeyInfo in hex,
// as in the key-provider event and the API, or the PEM of the key or of its certificate.
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

// PhalaCentralRootCA is the public key of the root CA of Phala's central KMS for [Policy.KMSRootCAs]: DER
// SubjectPublicKeyInfo in hex, for [ParseKMSRootCA]. Its root key is [kms.PhalaCentralRootKey].
//
// Source: Phala-Network/trust-center, packages/verifier/src/verifiers/phalaCloudKmsVerifier.ts, commit f081105 of
// 2026-06-10. It is the key provider that the hardware of nine real CVMs measured, from 2025-09 to 2026-06.
//
// Warning: only the vendor of the cloud published it. Pinning it means trusting the vendor once, and nobody
// afterwards. Compare it with a key that was pinned before, or with the evidence of the KMS node ([KMSReportData]).
const PhalaCentralRootCA = "3059301306072a8648ce3d020106082a8648ce3d030107034200" +
	"048844eb42ccdf8c52fd4f174f362fcb9bbd19c45fd48f1edec2d8f1ca23536ec1" +
	"a74021b4cee610c074f8294d431b2b7fee2c39e5333fdaf0a4522d43fb159d9f"

// Tags of report data, from dstack's ra-tls/src/attestation.rs and, of a gateway, certbot and gateway.
const (
	TagRATLS              = "ratls-cert"
	TagAppData            = "app-data"
	TagKMSRootCA          = "kms-root-ca"
	TagGatewayAccount     = "acme-account"
	TagGatewayCertificate = "zt-cert"
)

// KMSReportData returns the report data of the quote that a KMS node creates with its root keys: the Keccak-256 hash
// of a text with both public keys, and zeros. With it in [Policy.ReportData] the quote proves that a KMS with the
// other properties of the policy created the pinned keys. ca is DER SubjectPublicKeyInfo ([ParseKMSRootCA]). Source:
// dstack, kms/src/onboard_service.rs; "genereted" is spelled so there.
func KMSReportData(ca []byte, root kms.Signer) [64]byte {
	var data [64]byte
	copy(data[:], crypto.Keccak256(fmt.Appendf(nil, "dstack-kms-genereted-keys-v1:%x;%x;", ca, root[:])))
	return data
}

// GatewayAccountReportData returns the report data of a gateway's quote for its ACME account, whose URI a CAA record
// of the domain can pin.
func GatewayAccountReportData(uri string) [64]byte {
	return TaggedReportData(TagGatewayAccount, []byte(uri))
}

// GatewayCertificateReportData returns the report data of a gateway's quote for the key of a certificate of its
// domain.
func GatewayCertificateReportData(certificate *x509.Certificate) [64]byte {
	return TaggedReportData(TagGatewayCertificate, certificate.RawSubjectPublicKeyInfo)
}

// GatewayInfo is the information that a gateway publishes at https://gateway.<domain>/.dstack/acme-info. Nothing in
// it is proven until its evidence is verified: that of the account with [GatewayAccountReportData], that of a key
// with [GatewayCertificateReportData] of the certificate that the app's domain presents.
type GatewayInfo struct {
	// AccountURI is the gateway's ACME account.
	AccountURI string
	// Account is the evidence for the account; without a quote if the gateway publishes none.
	Account Evidence
	// Keys are the keys of the certificates that the gateway had, each with its evidence.
	Keys []GatewayKey
}

// GatewayKey is the key of a certificate.
type GatewayKey struct {
	// PublicKey is DER SubjectPublicKeyInfo.
	PublicKey []byte
	Evidence  Evidence
}

// ParseGatewayInfo parses a response of acme-info: a JSON object with account_uri, account_quote and
// quoted_hist_keys, whose quotes are responses to GetQuote, as objects or within strings.
func ParseGatewayInfo(body []byte) (*GatewayInfo, error) {
	if len(body) > maxInfo {
		return nil, fmt.Errorf("acme-info of a gateway: %d bytes, want at most %d", len(body), maxInfo)
	}
	var answer struct {
		AccountURI   string          `json:"account_uri"`
		AccountQuote json.RawMessage `json:"account_quote"`
		Keys         []struct {
			PublicKey string          `json:"public_key"`
			Quote     json.RawMessage `json:"quote"`
		} `json:"quoted_hist_keys"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("acme-info of a gateway: want an object with account_uri, account_quote and quoted_hist_keys: %w", err)
	}
	info := &GatewayInfo{AccountURI: answer.AccountURI}
	var err error
	if info.Account, err = fromQuoteText(answer.AccountQuote); err != nil {
		return nil, fmt.Errorf("acme-info of a gateway: account_quote: %w", err)
	}
	for i, key := range answer.Keys {
		k := GatewayKey{}
		if k.PublicKey, err = hex.DecodeString(strings.TrimPrefix(key.PublicKey, "0x")); err != nil {
			return nil, fmt.Errorf("acme-info of a gateway: key %d %.40q: want hexadecimal digits", i, key.PublicKey)
		}
		if k.Evidence, err = fromQuoteText(key.Quote); err != nil {
			return nil, fmt.Errorf("acme-info of a gateway: key %d: %w", i, err)
		}
		info.Keys = append(info.Keys, k)
	}
	return info, nil
}

// Evidence returns the evidence for the key of a certificate. The error is [ErrNotPossible] if the gateway publishes
// none.
func (g *GatewayInfo) Evidence(certificate *x509.Certificate) (Evidence, error) {
	for i := range g.Keys {
		if key := &g.Keys[i]; equal(key.PublicKey, certificate.RawSubjectPublicKeyInfo) && len(key.Evidence.Quote) > 0 {
			return key.Evidence, nil
		}
	}
	return Evidence{}, fmt.Errorf("%w: the gateway shows no quote for the key of the certificate of %.80q", ErrNotPossible, certificate.Subject.CommonName)
}

// fromQuoteText reads an answer to GetQuote that may stand within a string; no evidence if it is missing.
func fromQuoteText(text json.RawMessage) (Evidence, error) {
	if isNull(text) {
		return Evidence{}, nil
	}
	var inner json.RawMessage
	if err := unwrap(text, &inner); err != nil {
		return Evidence{}, err
	}
	return FromGetQuote(inner)
}

// RawReportData returns the report data for data of the guest, such as a nonce: up to 64 bytes, followed by zeros.
func RawReportData(data []byte) ([64]byte, error) {
	var r [64]byte
	if len(data) > len(r) {
		return r, fmt.Errorf("report data of %d bytes, want at most %d; hash it first", len(data), len(r))
	}
	copy(r[:], data)
	return r, nil
}

// TaggedReportData returns the report data for tagged content: SHA-512 over the tag, a colon and the content.
func TaggedReportData(tag string, content []byte) [64]byte {
	h := sha512.New()
	h.Write([]byte(tag + ":"))
	h.Write(content)
	return [64]byte(h.Sum(nil))
}

// RATLSReportData returns the report data of the quote in a TLS certificate, which binds its public key.
func RATLSReportData(certificate *x509.Certificate) [64]byte {
	return TaggedReportData(TagRATLS, certificate.RawSubjectPublicKeyInfo)
}
