package attest

import (
	"context"
	"crypto/sha512"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Policy contains the expectations of a verification. The zero value of a field is no expectation, which the report
// shows, unless a default is documented.
//
// Whoever can choose the firmware and the operating system can make them measure any app id and compose hash. So an
// expected compose hash proves something about the app only together with Images or Measurements (or with
// OSImageHashes and a KMS that checks them before it releases keys, and KMSRootCAs for that KMS).
type Policy struct {
	// AppID is the expected app.
	AppID kms.AppID
	// ComposeHashes are the app-compose documents that may run; see [compose.App.Hash].
	ComposeHashes []compose.Hash
	// InstanceID is the expected instance, 40 hex digits.
	InstanceID string
	// KMSRootCAs are the public keys (DER SubjectPublicKeyInfo) of the root CAs of the KMSs that may provide the
	// app's keys; see [ParseKMSRootCA].
	KMSRootCAs [][]byte
	// KeyProviders are other accepted sources of the app's keys, or a KMS by its id in hex: local-sgx with the
	// MRENCLAVE of its enclave, tpm without an id.
	KeyProviders []KeyProvider
	// OSImageHashes are the image hashes that the guest may have measured; see [ParseOSImageHashes]. The guest
	// received the hash from its KMS and nothing follows from it; Images are the stronger expectation.
	OSImageHashes []osimage.ImageHash
	// Images are the operating system images that may run. MRTD and RTMR0 to RTMR2 are computed from them and
	// compared with the quote, so that no KMS has to be trusted. For guests from dstack 0.6 on the hash is enough
	// ([osimage.ByHash]); for others, pass the image itself ([osimage.Open]) and reuse the value: it caches the
	// computed registers. A development image fails in [CheckProductionOS].
	Images []*osimage.Image
	// Measurements are known good values of MRTD and RTMR0 to RTMR2, beside those of Images.
	Measurements []KnownGood
	// Devices are the machines on which the app may run, by either of the two ids that follow from a quote; see
	// [DeviceIDs]. A placeholder, which some guests state, is refused.
	Devices []kms.DeviceID
	// ReportData is the data that the guest must have requested the quote with: a nonce, which proves that the quote
	// is fresh ([RawReportData]), or a key ([RATLSReportData]). A quote contains no time, so without it an old one
	// passes.
	ReportData *[64]byte

	// TCBStatuses are the accepted states of platform, TDX module and quoting enclave; UpToDate alone if it is
	// empty. Revoked cannot be accepted.
	TCBStatuses []TCBStatus
	// OutOfDateGrace is how long a part may be out of date, counted from the tcbDate of the level that would be
	// UpToDate ([TCBLevel.Wanted]), when its fixes were published. Within it OutOfDate counts as UpToDate, and
	// OutOfDateConfigurationNeeded as ConfigurationNeeded. Zero accepts no delay. The report shows the accepted
	// delay, and Advisories may still refuse it.
	OutOfDateGrace time.Duration
	// MinTCBEvaluation is the minimum evaluation number (tcbEvaluationDataNumber) of the collateral. Intel publishes
	// several at a time, and a source could return an older one that is still valid. Zero accepts any.
	MinTCBEvaluation int
	// Advisories, if not nil, are the security advisories that may apply, such as "INTEL-SA-00837".
	Advisories []string

	// Roots are the trusted roots for the certificates of hardware; [IntelRoots] if nil.
	Roots *x509.CertPool
	// Collateral returns Intel's collateral. There is no default, because it would use the network.
	Collateral CollateralFunc
	// Now is the clock; time.Now if nil.
	Now func() time.Time

	// Checks are additional checks of the caller.
	Checks []CustomCheck
	// Cloud, if not nil, returns the verdict of the cloud's verifier, only for comparison: it cannot turn a failure
	// into a success. Pass a function that calls Verify of the client's Attestations.
	Cloud func(ctx context.Context, quote []byte) (*openapi.QuoteVerification, error)
	// Waive lists the checks that may fail. They are made and reported nevertheless. The constants document the
	// consequence of each.
	Waive []CheckName
}

// ParseOSImageHashes parses hashes of operating system images for [Policy.OSImageHashes], 64 hex digits each, with or
// without "0x".
func ParseOSImageHashes(texts ...string) ([]osimage.ImageHash, error) {
	hashes := make([]osimage.ImageHash, len(texts))
	for i, text := range texts {
		var err error
		if hashes[i], err = osimage.ParseImageHash(text); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// KnownGood is an entry of the allow-list of measurements. A register that is zero in it may have any value.
type KnownGood struct {
	// Name is for the report, such as "dstack-0.5.5, 2 vCPU, 4 GiB".
	Name                      string
	MRTD, RTMR0, RTMR1, RTMR2 Measurement
}

// CustomCheck is an additional check of the caller, made after all others.
type CustomCheck struct {
	// Name is for the report; it must not be that of another check.
	Name CheckName
	// Check returns an error if the expectation is not met. The report is incomplete at that point, and must not be
	// kept or changed; its quote is nil if it is malformed.
	Check func(context.Context, *Report) error
}

// Validate returns [ErrPolicy] if the policy contradicts itself. [Verify] calls it first; call it to find out
// earlier.
func (p *Policy) Validate() error {
	var known []CheckName
	for _, row := range table() {
		known = append(known, row.name)
	}
	for _, c := range p.Checks {
		if c.Name == "" || c.Check == nil || slices.Contains(known, c.Name) {
			return fmt.Errorf("%w: custom check %q needs a function and a name of its own", ErrPolicy, c.Name)
		}
		known = append(known, c.Name)
	}
	for _, name := range p.Waive {
		if name == CheckQuote || !slices.Contains(known, name) {
			return fmt.Errorf("%w: %q is not a check that can be waived", ErrPolicy, name)
		}
	}
	for _, status := range p.TCBStatuses {
		if status == Revoked {
			return fmt.Errorf("%w: TCB status %s cannot be accepted", ErrPolicy, Revoked)
		}
		if !slices.Contains(statuses(), status) {
			return fmt.Errorf("%w: TCB status %.80q, want one of %s", ErrPolicy, status, statuses())
		}
	}
	if p.OutOfDateGrace < 0 || p.MinTCBEvaluation < 0 {
		return fmt.Errorf("%w: grace period %s and evaluation number %d, neither may be negative", ErrPolicy, p.OutOfDateGrace, p.MinTCBEvaluation)
	}
	for i, id := range p.Devices {
		if id.IsZero() || isPlaceholder(id) {
			return fmt.Errorf("%w: device %d (%s) identifies no machine: it is zero, or the SHA-256 of nothing, which some guests state", ErrPolicy, i, id)
		}
	}
	for i, provider := range p.KeyProviders {
		if provider.Name == "" || provider.Name != "tpm" && provider.Name != "none" && provider.ID == "" {
			return fmt.Errorf("%w: key provider %d (%.80q) needs a name and an id; only that of tpm and none is empty", ErrPolicy, i, provider)
		}
	}
	for i, image := range p.Images {
		if err := image.Validate(); err != nil {
			return fmt.Errorf("%w: image %d: %w", ErrPolicy, i, err)
		}
	}
	for i, m := range p.Measurements {
		if m.MRTD.IsZero() && m.RTMR0.IsZero() && m.RTMR1.IsZero() && m.RTMR2.IsZero() {
			return fmt.Errorf("%w: entry %d (%q) of the measurements allows everything", ErrPolicy, i, m.Name)
		}
	}
	if p.InstanceID != "" {
		if _, err := parseInstanceID(p.InstanceID); err != nil {
			return fmt.Errorf("%w: %w", ErrPolicy, err)
		}
	}
	return nil
}

func (m *KnownGood) matches(q *Quote) bool {
	for _, pair := range [][2]Measurement{{m.MRTD, q.MRTD}, {m.RTMR0, q.RTMR[0]}, {m.RTMR1, q.RTMR[1]}, {m.RTMR2, q.RTMR[2]}} {
		if !pair[0].IsZero() && !equal(pair[0][:], pair[1][:]) {
			return false
		}
	}
	return true
}

// checkCloud compares the cloud's verdict.
func (v *verifier) checkCloud() Check {
	if v.p.Cloud == nil {
		return Check{Outcome: NotAsked}
	}
	opinion, err := v.p.Cloud(v.ctx, v.q.raw)
	switch {
	case err != nil:
		return notPossible(ErrCloud, "", err.Error())
	case !confirms(opinion):
		return failed(ErrCloud, "verified", "not verified")
	}
	return passed("verified", "")
}

func confirms(opinion *openapi.QuoteVerification) bool {
	return opinion != nil && opinion.Success && opinion.Quote != nil && opinion.Quote.Verified != nil && *opinion.Quote.Verified
}

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
func KMSReportData(ca []byte, root kms.RootKey) [64]byte {
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
	if err := strictjson.Unmarshal(body, &answer); err != nil {
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
