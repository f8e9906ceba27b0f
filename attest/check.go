package attest

import "errors"

// CheckName names one check of [Verify], in [Report] and in [Policy.Waive].
type CheckName string

// The checks, in the order in which they are made. What each loses when waived is said with it.
const (
	// CheckQuote: the quote is well-formed. Cannot be waived.
	CheckQuote CheckName = "quote"
	// CheckSignature: the quote was signed by a quoting enclave certified by a PCK chain that ends in the
	// roots. Without it everything below is hearsay.
	CheckSignature CheckName = "signature"
	// CheckCollateral: Intel's collateral is there, signed under the roots, and for this platform.
	CheckCollateral CheckName = "collateral"
	// CheckCollateralTime: the collateral holds now.
	CheckCollateralTime CheckName = "collateral-time"
	// CheckRevocation: no certificate of the chain is revoked.
	CheckRevocation CheckName = "revocation"
	// CheckTDXModule: the TDX module is Intel's.
	CheckTDXModule CheckName = "tdx-module"
	// CheckQEIdentity: the quoting enclave is Intel's.
	CheckQEIdentity CheckName = "qe-identity"
	// CheckTCBStatus: the state of platform, TDX module and quoting enclave is one of the accepted.
	CheckTCBStatus CheckName = "tcb-status"
	// CheckAdvisories: each security advisory that applies is one of the accepted.
	CheckAdvisories CheckName = "advisories"
	// CheckDebug: the host cannot look into the TD.
	CheckDebug CheckName = "debug"
	// CheckServiceTD: no service TD has a hand in it; TD 1.5 only.
	CheckServiceTD CheckName = "service-td"
	// CheckMeasurements: MRTD and RTMR0 to RTMR2 are of the allow-list.
	CheckMeasurements CheckName = "measurements"
	// CheckEventLog: the log is there, each digest is that of its event, and it replays to all four registers.
	CheckEventLog CheckName = "event-log"
	// CheckBootEvents: what dstack measured before system-ready is complete and there once.
	CheckBootEvents CheckName = "boot-events"
	// CheckAppID: the app is the expected one.
	CheckAppID CheckName = "app-id"
	// CheckComposeHash: the measured compose hash is one of the expected.
	CheckComposeHash CheckName = "compose-hash"
	// CheckComposeText: the app-compose text that came along has the measured compose hash.
	CheckComposeText CheckName = "compose-text"
	// CheckInstanceID: the instance is the one that the policy, or the messenger, named.
	CheckInstanceID CheckName = "instance-id"
	// CheckKeyProvider: the keys of the app come from an expected KMS.
	CheckKeyProvider CheckName = "key-provider"
	// CheckOSImage: the measured hash of the operating system's image is one of the expected.
	CheckOSImage CheckName = "os-image"
	// CheckMRConfigID: what the host was told at start agrees with what was measured.
	CheckMRConfigID CheckName = "mr-config-id"
	// CheckReportData: the guest asked for this quote with the expected data: a nonce, or a TLS key.
	CheckReportData CheckName = "report-data"
	// CheckDevice: the machine is one of the expected.
	CheckDevice CheckName = "device"
	// CheckCloud: the cloud's verifier is of the same opinion. It never turns a failure into a success.
	CheckCloud CheckName = "cloud"
)

// An error of [Verify] is, by errors.Is, each of these whose check failed or was not possible.
var (
	ErrQuote             = errors.New("the quote is malformed")
	ErrSignature         = errors.New("the quote is not signed by trusted hardware")
	ErrCollateral        = errors.New("the collateral cannot be used")
	ErrCollateralExpired = errors.New("the collateral has expired")
	ErrClock             = errors.New("the clock lies before the collateral was issued")
	ErrRevoked           = errors.New("a certificate is revoked")
	ErrTDXModule         = errors.New("the TDX module is not Intel's")
	ErrQEIdentity        = errors.New("the quoting enclave is not Intel's")
	ErrTCBStatus         = errors.New("the TCB status is not accepted")
	ErrAdvisory          = errors.New("a security advisory is not accepted")
	ErrDebug             = errors.New("the TD can be debugged")
	ErrServiceTD         = errors.New("a service TD is bound")
	ErrMeasurement       = errors.New("the measurements are not known")
	ErrEventLog          = errors.New("the event log is malformed")
	ErrEventDigest       = errors.New("the digest of an event is not that of its content")
	ErrEventPreimage     = errors.New("the preimage of an event is not that of its content")
	ErrReplay            = errors.New("the event log does not replay to the quote's registers")
	ErrMissingEvent      = errors.New("an event is missing")
	ErrDuplicateEvent    = errors.New("an event is there twice")
	ErrAppID             = errors.New("another app")
	ErrComposeHash       = errors.New("another compose hash")
	ErrComposeText       = errors.New("another app-compose text than the measured one")
	ErrInstanceID        = errors.New("another instance")
	ErrKeyProvider       = errors.New("another key provider")
	ErrOSImage           = errors.New("another operating system image")
	ErrMRConfigID        = errors.New("mr_config_id does not fit what was measured")
	ErrReportData        = errors.New("another report data")
	ErrDevice            = errors.New("another device")
	ErrCloud             = errors.New("the cloud does not confirm the quote")
	ErrCustom            = errors.New("a check of the caller failed")

	// ErrNotPossible is added where a check that the policy asks for lacks what it needs.
	ErrNotPossible = errors.New("not possible to check")
	// ErrPolicy says that the policy contradicts itself; nothing was checked.
	ErrPolicy = errors.New("the policy cannot be used")
)

// Outcome says how a check ended.
type Outcome string

const (
	// Passed: expected and actual agree.
	Passed Outcome = "passed"
	// Failed: they do not.
	Failed Outcome = "failed"
	// NotAsked: the policy expects nothing in particular.
	NotAsked Outcome = "not asked"
	// NotPossible: the policy asks, but something that is needed is missing or cannot be judged.
	NotPossible Outcome = "not possible"
)

// Check is one line of a [Report].
type Check struct {
	Name    CheckName `json:"name"`
	Outcome Outcome   `json:"outcome"`
	// Waived is true where the policy lets it fail.
	Waived bool `json:"waived,omitempty"`
	// Expected and Actual are what was compared, where there is something to show.
	Expected string `json:"expected,omitempty"`
	Actual   string `json:"actual,omitempty"`
	// Detail says in words what was found, or why nothing could be.
	Detail string `json:"detail,omitempty"`

	err     error
	blocked bool // by another check that failed
}

// fatal tells whether the check makes the verification fail.
func (c *Check) fatal() bool {
	return !c.Waived && (c.Outcome == Failed || c.Outcome == NotPossible)
}
