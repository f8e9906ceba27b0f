package attest

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/compose"
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
	OSImageHashes [][32]byte
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
func ParseOSImageHashes(texts ...string) ([][32]byte, error) {
	hashes := make([][32]byte, len(texts))
	for i, text := range texts {
		raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
		if err != nil || len(raw) != len(hashes[i]) {
			return nil, fmt.Errorf("hash of an operating system image %.80q: want 64 hexadecimal digits", text)
		}
		copy(hashes[i][:], raw)
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
			return fmt.Errorf("%w: device %d (%s) names no machine: it is zero, or the SHA-256 of nothing, which some guests state", ErrPolicy, i, id)
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
