package attest

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Policy says what must be true. The zero value of a field asks for nothing in particular, and the report says
// so, except where a default is named.
//
// Who can choose the firmware and the operating system can make them measure any app id and compose hash.
// So an expected compose hash proves something about the app only together with Measurements (or with
// OSImageHashes and a KMS that checks them before it gives out keys, and KMSRootCAs to tell that KMS).
type Policy struct {
	// AppID is the app.
	AppID kms.AppID
	// ComposeHashes are the app-compose documents that may run; see [compose.App.Hash].
	ComposeHashes []compose.Hash
	// InstanceID is the instance, 40 hexadecimal digits.
	InstanceID string
	// KMSRootCAs are the public keys (DER SubjectPublicKeyInfo) of the root CAs of the KMSes that may give
	// the app its keys; see [ParseKMSRootCA].
	KMSRootCAs [][]byte
	// OSImageHashes are the operating system images that may run.
	OSImageHashes [][32]byte
	// Measurements are the known good values of MRTD and RTMR0 to RTMR2.
	Measurements []KnownGood
	// Devices are the machines on which it may run; see [DeviceID].
	Devices [][32]byte
	// ReportData is what the guest must have asked to be signed: a nonce, which proves that the quote is
	// fresh ([RawReportData]), or a key ([RATLSReportData]). A quote carries no time, so without it an old
	// one passes.
	ReportData *[64]byte

	// TCBStatuses are the accepted states of platform, TDX module and quoting enclave; UpToDate alone where
	// it is empty. Revoked cannot be accepted.
	TCBStatuses []TCBStatus
	// Advisories, where not nil, are the security advisories that may apply, such as "INTEL-SA-00837".
	Advisories []string

	// Roots are whom to trust with certifying hardware; [IntelRoots] where nil.
	Roots *x509.CertPool
	// Collateral gets Intel's collateral. There is no default, because it would speak to the network.
	Collateral CollateralFunc
	// Now is the clock; time.Now where nil.
	Now func() time.Time

	// Checks are the caller's own.
	Checks []CustomCheck
	// Cloud, where not nil, asks the cloud's verifier for its opinion, for comparison alone: it cannot turn a
	// failure into a success. Give it a function around Verify of the client's Attestations.
	Cloud func(ctx context.Context, quote []byte) (*openapi.QuoteVerification, error)
	// Waive names the checks that may fail. They are made and reported nevertheless. What each one loses is
	// said with its name.
	Waive []CheckName
}

// KnownGood is an entry of the allow-list of measurements. A register that is zero in it may have any value.
type KnownGood struct {
	// Name is for the report, such as "dstack-0.5.5, 2 vCPU, 4 GiB".
	Name                      string
	MRTD, RTMR0, RTMR1, RTMR2 Measurement
}

// CustomCheck is a check of the caller's own, made after all others.
type CustomCheck struct {
	// Name is for the report; it must not be that of another check.
	Name CheckName
	// Check fails with an error where something is wrong. The report is as far as it got, and must not be
	// kept or changed; the quote in it is nil where it is malformed.
	Check func(context.Context, *Report) error
}

// names are all checks, in their order.
func names() []CheckName {
	return []CheckName{
		CheckQuote, CheckSignature, CheckCollateral, CheckCollateralTime, CheckRevocation, CheckTDXModule,
		CheckQEIdentity, CheckTCBStatus, CheckAdvisories, CheckDebug, CheckServiceTD, CheckMeasurements,
		CheckEventLog, CheckBootEvents, CheckAppID, CheckComposeHash, CheckComposeText, CheckInstanceID,
		CheckKeyProvider, CheckOSImage, CheckMRConfigID, CheckReportData, CheckDevice, CheckCloud,
	}
}

// Validate fails with [ErrPolicy] where the policy contradicts itself. [Verify] does so first of all; call it to
// know earlier.
func (p *Policy) Validate() error {
	known := names()
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
	if slices.Contains(p.TCBStatuses, Revoked) {
		return fmt.Errorf("%w: TCB status %s cannot be accepted", ErrPolicy, Revoked)
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

// asks tells whether a check has something to do under this policy.
func (p *Policy) asks(name CheckName) bool {
	switch name {
	case CheckAppID:
		return !p.AppID.IsZero()
	case CheckComposeHash:
		return len(p.ComposeHashes) > 0
	case CheckInstanceID:
		return p.InstanceID != ""
	case CheckKeyProvider:
		return len(p.KMSRootCAs) > 0
	case CheckOSImage:
		return len(p.OSImageHashes) > 0
	case CheckMeasurements:
		return len(p.Measurements) > 0
	case CheckDevice:
		return len(p.Devices) > 0
	case CheckAdvisories:
		return p.Advisories != nil
	}
	return true
}

func (m *KnownGood) matches(q *Quote) bool {
	for _, pair := range [][2]Measurement{{m.MRTD, q.MRTD}, {m.RTMR0, q.RTMR[0]}, {m.RTMR1, q.RTMR[1]}, {m.RTMR2, q.RTMR[2]}} {
		if !pair[0].IsZero() && !equal(pair[0][:], pair[1][:]) {
			return false
		}
	}
	return true
}
