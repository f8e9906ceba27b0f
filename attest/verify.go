package attest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/internal/cloudtext"
)

// Verify makes every check of the policy on the evidence. If one fails, or is not possible, the error is an [*Error]:
// errors.Is matches the sentinel of each such check, such as [ErrComposeHash]. The report is complete in either case,
// and nil only with [ErrPolicy].
func Verify(ctx context.Context, evidence Evidence, policy Policy) (*Report, error) {
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	v := &verifier{ctx: ctx, e: &evidence, p: &policy, r: &Report{Name: cloudtext.Clean(evidence.Name)}, now: time.Now()}
	if policy.Now != nil {
		v.now = policy.Now()
	}
	if policy.Roots == nil {
		policy.Roots = IntelRoots()
	}
	for _, row := range table() {
		v.report(v.check(row))
		if row.left != nil && !row.left(v) {
			v.absent = append(v.absent, row.name)
		}
	}
	for _, c := range policy.Checks {
		v.report(v.custom(c))
	}
	for i := range v.r.Checks {
		if v.r.Checks[i].fatal() {
			return v.r, &Error{Report: v.r}
		}
	}
	v.r.Verified = true
	return v.r, nil
}

// VerifyAll verifies each piece of evidence, such as all instances of an app, under the same policy. The error
// joins those of the single ones; without any evidence it is [ErrNotPossible].
func VerifyAll(ctx context.Context, evidence []Evidence, policy Policy) ([]*Report, error) {
	if len(evidence) == 0 {
		return nil, fmt.Errorf("%w: no evidence", ErrNotPossible)
	}
	reports := make([]*Report, len(evidence))
	errs := make([]error, len(evidence))
	for i := range evidence {
		reports[i], errs[i] = Verify(ctx, evidence[i], policy)
	}
	return reports, errors.Join(errs...)
}

// Report is the result of [Verify]. It has a line for every check, also for those without an expectation.
type Report struct {
	// Name is that of the evidence, such as the name of an instance.
	Name string `json:"name,omitempty"`
	// Verified is true if every check that the policy requires passed or was waived.
	Verified bool `json:"verified"`
	// Checks in the order in which they were made.
	Checks []Check `json:"checks"`
	// Attested contains the values that the hardware states. They are reliable only if Verified is true and the
	// checks that they rest on were not waived.
	Attested Attested `json:"attested"`
	// Quote is the parsed quote; nil if it is malformed.
	Quote *Quote `json:"-"`
}

// Attested contains the values of a quote and its event log.
type Attested struct {
	// BootEvents is nil if the log did not replay.
	*BootEvents
	MRTD Measurement    `json:"mrtd"`
	RTMR [4]Measurement `json:"rtmr"`
	// QuoteVersion is 4 or 5.
	QuoteVersion int `json:"quote_version,omitempty"`
	// MRAggregated and MRSystem have 64 hex digits; see [Quote.MRAggregated].
	MRAggregated string `json:"mr_aggregated,omitempty"`
	MRSystem     string `json:"mr_system,omitempty"`
	// Devices are the ids of the machine that follow from the quote.
	Devices DeviceIDs `json:"devices"`
	// FMSPC identifies the type of platform, 12 hex digits.
	FMSPC string `json:"fmspc,omitempty"`
	// TCB is the state of the platform; nil without collateral.
	TCB *TCB `json:"tcb,omitempty"`
	// OSImage is the image from which the registers were computed; nil if none was.
	OSImage *OSImage `json:"os_image,omitempty"`
	// ReportData has 128 hex digits.
	ReportData string `json:"report_data,omitempty"`
}

// Check returns the line of a check, or nil.
func (r *Report) Check(name CheckName) *Check {
	for i := range r.Checks {
		if r.Checks[i].Name == name {
			return &r.Checks[i]
		}
	}
	return nil
}

// JSON returns the report as indented JSON.
func (r *Report) JSON() ([]byte, error) { return json.MarshalIndent(r, "", "  ") }

// String returns the report as text: a line for each check, and the values that differ below it.
func (r *Report) String() string {
	var b strings.Builder
	verdict := "NOT VERIFIED"
	if r.Verified {
		verdict = "verified"
	}
	if r.Name != "" {
		fmt.Fprintf(&b, "%s: ", r.Name)
	}
	fmt.Fprintf(&b, "%s\n", verdict)
	for _, c := range r.Checks {
		outcome := string(c.Outcome)
		if c.Name == CheckSignature && c.Outcome == NotPossible {
			outcome = "not verified"
		}
		if c.Waived {
			outcome += ", waived"
		}
		line := fmt.Sprintf("  %-19s %s", c.Name, outcome)
		if c.Detail != "" {
			line += ": " + c.Detail
		}
		fmt.Fprintf(&b, "%s\n", line)
		if c.Pin != "" {
			fmt.Fprintf(&b, "  %-19s   to require it: %s\n", "", c.Pin)
		}
		switch {
		case c.Outcome == Passed && c.Actual != "":
			fmt.Fprintf(&b, "  %-19s   %s\n", "", c.Actual)
		case c.Outcome == Failed || c.Outcome == NotPossible:
			if c.Expected != "" {
				fmt.Fprintf(&b, "  %-19s   expected %s\n", "", c.Expected)
			}
			if c.Actual != "" {
				fmt.Fprintf(&b, "  %-19s   actual   %s\n", "", c.Actual)
			}
		}
	}
	return b.String()
}

// Error is returned by [Verify]. errors.Is matches it with the sentinel of each check that failed.
type Error struct {
	// Report is the whole report.
	Report *Report
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("attestation")
	if e.Report.Name != "" {
		fmt.Fprintf(&b, " of %s", e.Report.Name)
	}
	b.WriteString(" not verified")
	separator, blocked := ": ", 0
	for i := range e.Report.Checks {
		c := &e.Report.Checks[i]
		if !c.fatal() {
			continue
		}
		if c.blocked {
			blocked++
			continue
		}
		fmt.Fprintf(&b, "%s%s: %s", separator, c.Name, cloudtext.Clean(c.err.Error()))
		if c.Expected != "" || c.Actual != "" {
			fmt.Fprintf(&b, " (expected %s, actual %s)", orNone(c.Expected), orNone(c.Actual))
		}
		separator = "; "
	}
	if blocked > 0 {
		fmt.Fprintf(&b, "; %d checks that rest on these were not possible", blocked)
	}
	return b.String()
}

// Unwrap returns the errors of the failed checks.
func (e *Error) Unwrap() []error {
	var errs []error
	for i := range e.Report.Checks {
		if c := &e.Report.Checks[i]; c.fatal() {
			errs = append(errs, c.err)
		}
	}
	return errs
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// Check is one line of a [Report].
type Check struct {
	Name    CheckName `json:"name"`
	Outcome Outcome   `json:"outcome"`
	// Waived is true if the check failed and the policy waives it.
	Waived bool `json:"waived,omitempty"`
	// Expected and Actual are the compared values, if there are any.
	Expected string `json:"expected,omitempty"`
	Actual   string `json:"actual,omitempty"`
	// Detail is the result in words, or the reason why there is none.
	Detail string `json:"detail,omitempty"`
	// Pin is the line of Go that makes a policy require the actual value; empty if the policy has an expectation, or
	// if there is no such line.
	Pin string `json:"pin,omitempty"`

	err     error
	blocked bool // by another check that failed
}

// fatal reports whether the check makes the verification fail.
func (c *Check) fatal() bool {
	return !c.Waived && (c.Outcome == Failed || c.Outcome == NotPossible)
}

// Outcome is the outcome of a check.
type Outcome string

const (
	// Passed means that expected and actual value agree.
	Passed Outcome = "passed"
	// Failed means that they differ.
	Failed Outcome = "failed"
	// NotAsked means that the policy has no expectation.
	NotAsked Outcome = "not asked"
	// NotPossible means that the policy has an expectation, but the input is missing or cannot be evaluated.
	NotPossible Outcome = "not possible"
)

// CheckName identifies a check of [Verify], in [Report] and in [Policy.Waive].
type CheckName string

// The checks, in their order, each with the consequence of waiving it.
const (
	// CheckQuote: the quote is well-formed. Cannot be waived.
	CheckQuote CheckName = "quote"
	// CheckSignature: the quote was signed by a quoting enclave certified by a PCK chain that ends in the
	// roots. Without it everything below is unverified.
	CheckSignature CheckName = "signature"
	// CheckCollateral: Intel's collateral is present, signed under the roots, and for this platform.
	CheckCollateral CheckName = "collateral"
	// CheckCollateralTime: the collateral is valid now.
	CheckCollateralTime CheckName = "collateral-time"
	// CheckRevocation: no certificate of the chain is revoked.
	CheckRevocation CheckName = "revocation"
	// CheckTDXModule: the TDX module is Intel's.
	CheckTDXModule CheckName = "tdx-module"
	// CheckQEIdentity: the quoting enclave is Intel's.
	CheckQEIdentity CheckName = "qe-identity"
	// CheckTCBEvaluation: the collateral is of the evaluation number that the policy requires, or newer.
	CheckTCBEvaluation CheckName = "tcb-evaluation"
	// CheckTCBStatus: the state of platform, TDX module and quoting enclave is one of the accepted.
	CheckTCBStatus CheckName = "tcb-status"
	// CheckAdvisories: each security advisory that applies is one of the accepted.
	CheckAdvisories CheckName = "advisories"
	// CheckSecondOpinion: go-tdx-guest agrees about the signature and, if it supports it, the collateral. It never
	// turns a failure into a success.
	CheckSecondOpinion CheckName = "second-opinion"
	// CheckDebug: the host cannot read the memory of the TD.
	CheckDebug CheckName = "debug"
	// CheckSEPTVE: the host cannot inject a page fault (#VE) into the TD: SEPT_VE_DISABLE is set.
	CheckSEPTVE CheckName = "sept-ve-disable"
	// CheckMigratable: the TD cannot be moved to another machine: the MIGRATABLE attribute is not set.
	CheckMigratable CheckName = "migratable"
	// CheckReservedAttributes: no attribute of the TD is set whose meaning this package does not know.
	CheckReservedAttributes CheckName = "reserved-attributes"
	// CheckServiceTD: no service TD is bound; TD 1.5 only.
	CheckServiceTD CheckName = "service-td"
	// CheckMeasurements: MRTD and RTMR0 to RTMR2 are those of an expected image, or of the allow-list.
	CheckMeasurements CheckName = "measurements"
	// CheckEventLog: the log is present, each digest is that of its event, and it replays to RTMR3 and to each other
	// register whose events it has.
	CheckEventLog CheckName = "event-log"
	// CheckBootEvents: the events that dstack measured before system-ready are complete and unique.
	CheckBootEvents CheckName = "boot-events"
	// CheckAppID: the app is the expected one.
	CheckAppID CheckName = "app-id"
	// CheckComposeHash: the measured compose hash is one of the expected.
	CheckComposeHash CheckName = "compose-hash"
	// CheckComposeText: the app-compose text in the evidence has the measured compose hash.
	CheckComposeText CheckName = "compose-text"
	// CheckInstanceID: the instance is the one of the policy, or of the evidence.
	CheckInstanceID CheckName = "instance-id"
	// CheckKeyProvider: the keys of the app come from an expected KMS.
	CheckKeyProvider CheckName = "key-provider"
	// CheckOSImage: the measured hash of the operating system's image is one of the expected.
	CheckOSImage CheckName = "os-image"
	// CheckProductionOS: the operating system is no development image, which allows its operator to log in.
	CheckProductionOS CheckName = "production-os"
	// CheckMRConfigID: the host's configuration at start agrees with the measured values.
	CheckMRConfigID CheckName = "mr-config-id"
	// CheckReportData: the guest requested this quote with the expected data: a nonce, or a TLS key.
	CheckReportData CheckName = "report-data"
	// CheckDevice: the machine is one of the expected.
	CheckDevice CheckName = "device"
	// CheckCloud: the cloud's verifier agrees. It never turns a failure into a success.
	CheckCloud CheckName = "cloud"
)

// errors.Is matches an error of [Verify] with each of these whose check failed or was not possible.
var (
	ErrQuote             = errors.New("the quote is malformed")
	ErrQuoteSignature    = errors.New("the quote is not signed by trusted hardware")
	ErrCollateral        = errors.New("the collateral cannot be used")
	ErrCollateralExpired = errors.New("the collateral has expired")
	ErrClock             = errors.New("the clock is before the time at which the collateral was issued")
	ErrRevoked           = errors.New("a certificate is revoked")
	ErrTDXModule         = errors.New("the TDX module is not Intel's")
	ErrQEIdentity        = errors.New("the quoting enclave is not Intel's")
	ErrTCBEvaluation     = errors.New("the collateral is older than the policy requires")
	ErrTCBStatus         = errors.New("the TCB status is not accepted")
	ErrAdvisory          = errors.New("a security advisory is not accepted")
	ErrSecondOpinion     = errors.New("go-tdx-guest disagrees")
	ErrDebug             = errors.New("the TD can be debugged")
	ErrSEPTVE            = errors.New("SEPT_VE_DISABLE is off")
	ErrMigratable        = errors.New("the TD is migratable")
	ErrAttributes        = errors.New("a reserved attribute of the TD is set")
	ErrServiceTD         = errors.New("a service TD is bound")
	ErrMeasurement       = errors.New("the measurements are not known")
	ErrEventLog          = errors.New("the event log is malformed")
	ErrEventDigest       = errors.New("the digest of an event is not that of its content")
	ErrEventPreimage     = errors.New("the preimage of an event is not that of its content")
	ErrReplay            = errors.New("the event log does not replay to the quote's registers")
	ErrMissingEvent      = errors.New("an event is missing")
	ErrDuplicateEvent    = errors.New("an event appears twice")
	ErrAppID             = errors.New("another app")
	ErrComposeHash       = errors.New("another compose hash")
	ErrComposeText       = errors.New("another app-compose text than the measured one")
	ErrInstanceID        = errors.New("another instance")
	ErrKeyProvider       = errors.New("another key provider")
	ErrOSImage           = errors.New("another operating system image")
	ErrDevelopmentOS     = errors.New("the operating system is a development image")
	ErrMRConfigID        = errors.New("mr_config_id does not fit what was measured")
	ErrReportData        = errors.New("another report data")
	ErrDevice            = errors.New("another device")
	ErrCloud             = errors.New("the cloud does not confirm the quote")
	ErrCustom            = errors.New("a check of the caller failed")

	// ErrNotPossible is added if the input of a required check is missing.
	ErrNotPossible = errors.New("not possible to check")
	// ErrPolicy is returned if the policy contradicts itself; nothing was checked.
	ErrPolicy = errors.New("the policy cannot be used")
)

// verifier is one verification: its input, and the results of the checks.
type verifier struct {
	ctx context.Context
	e   *Evidence
	p   *Policy
	r   *Report
	now time.Time

	q          *Quote
	pck        *pck
	fetched    bool  // the source returned collateral, even if it has expired
	timeErr    error // the source returned expired collateral
	collateral *Collateral
	replayed   bool
	events     *BootEvents
	image      *osimage.Image // the one of the policy whose registers these are
	absent     []CheckName    // checks without a result
}

// row is a check in the table of [Verify].
type row struct {
	name CheckName
	// rests are the checks whose results this one needs. A failed check may still have a result: the event log is
	// replayed although the signature is wrong, so that the report is complete.
	rests []CheckName
	// asked reports whether the policy, or the evidence, has an expectation. nil means always.
	asked func(*verifier) bool
	// run makes the check. It is not called if a check that it rests on has no result.
	run func(*verifier) Check
	// left reports whether the check has a result for others. nil means that none needs it.
	left func(*verifier) bool
}

// table returns all checks, in their order.
func table() []row {
	quote := []CheckName{CheckQuote}
	pck := []CheckName{CheckQuote, CheckSignature}
	collateral := []CheckName{CheckQuote, CheckSignature, CheckCollateral, CheckCollateralTime}
	events := []CheckName{CheckQuote, CheckEventLog, CheckBootEvents}
	return []row{
		{name: CheckQuote, run: (*verifier).checkQuote, left: func(v *verifier) bool { return v.q != nil }},
		{name: CheckSignature, rests: quote, run: (*verifier).checkSignature, left: func(v *verifier) bool { return v.pck != nil }},
		{name: CheckCollateral, rests: pck, run: (*verifier).checkCollateral, left: func(v *verifier) bool { return v.fetched }},
		{name: CheckCollateralTime, rests: []CheckName{CheckQuote, CheckSignature, CheckCollateral}, run: (*verifier).checkCollateralTime, left: func(v *verifier) bool { return v.collateral != nil }},
		{name: CheckRevocation, rests: collateral, run: (*verifier).checkRevocation},
		{name: CheckTDXModule, rests: collateral, run: (*verifier).checkTDXModule},
		{name: CheckQEIdentity, rests: collateral, run: (*verifier).checkQEIdentity},
		{name: CheckTCBEvaluation, rests: collateral, asked: func(v *verifier) bool { return v.p.MinTCBEvaluation > 0 }, run: (*verifier).checkTCBEvaluation},
		{name: CheckTCBStatus, rests: collateral, run: (*verifier).checkTCBStatus, left: func(v *verifier) bool { return v.r.Attested.TCB != nil }},
		{name: CheckAdvisories, rests: append(collateral[:len(collateral):len(collateral)], CheckTCBStatus), asked: func(v *verifier) bool { return v.p.Advisories != nil }, run: (*verifier).checkAdvisories},
		{name: CheckSecondOpinion, rests: pck, run: (*verifier).checkSecondOpinion},
		{name: CheckDebug, rests: quote, run: (*verifier).checkDebug},
		{name: CheckSEPTVE, rests: quote, run: (*verifier).checkSEPTVE},
		{name: CheckMigratable, rests: quote, run: (*verifier).checkMigratable},
		{name: CheckReservedAttributes, rests: quote, run: (*verifier).checkReservedAttributes},
		{name: CheckServiceTD, rests: quote, run: (*verifier).checkServiceTD},
		{name: CheckMeasurements, rests: quote, asked: func(v *verifier) bool { return len(v.p.Images)+len(v.p.Measurements) > 0 }, run: (*verifier).checkMeasurements},
		{name: CheckEventLog, rests: quote, run: (*verifier).checkEventLog, left: func(v *verifier) bool { return v.replayed }},
		{name: CheckBootEvents, rests: []CheckName{CheckQuote, CheckEventLog}, run: (*verifier).checkBootEvents, left: func(v *verifier) bool { return v.events != nil }},
		{name: CheckAppID, rests: events, asked: func(v *verifier) bool { return !v.p.AppID.IsZero() || !v.e.AppID.IsZero() }, run: (*verifier).checkAppID},
		{name: CheckComposeHash, rests: events, asked: func(v *verifier) bool { return len(v.p.ComposeHashes) > 0 }, run: (*verifier).checkComposeHash},
		{name: CheckComposeText, rests: events, run: (*verifier).checkComposeText},
		{name: CheckInstanceID, rests: events, asked: func(v *verifier) bool { return v.p.InstanceID != "" || v.e.InstanceID != "" }, run: (*verifier).checkInstanceID},
		{name: CheckKeyProvider, rests: events, asked: func(v *verifier) bool { return len(v.p.KMSRootCAs)+len(v.p.KeyProviders) > 0 }, run: (*verifier).checkKeyProvider},
		{name: CheckOSImage, rests: events, asked: func(v *verifier) bool { return len(v.p.OSImageHashes) > 0 }, run: (*verifier).checkOSImage},
		{name: CheckProductionOS, rests: quote, run: (*verifier).checkProductionOS},
		{name: CheckMRConfigID, rests: events, run: (*verifier).checkMRConfigID},
		{name: CheckReportData, rests: quote, asked: func(v *verifier) bool { return v.p.ReportData != nil }, run: (*verifier).checkReportData},
		{name: CheckDevice, rests: pck, asked: func(v *verifier) bool { return len(v.p.Devices) > 0 }, run: (*verifier).checkDevice},
		{name: CheckCloud, rests: quote, asked: func(v *verifier) bool { return v.p.Cloud != nil }, run: (*verifier).checkCloud},
	}
}

// check makes one check of the table.
func (v *verifier) check(row row) Check {
	asked := row.asked == nil || row.asked(v)
	for _, on := range row.rests {
		if slices.Contains(v.absent, on) {
			c := blocked(row.name, on, asked)
			// If the other one is waived, this check reports what is missing.
			c.blocked = c.blocked && !v.r.Check(on).Waived
			return c
		}
	}
	c := row.run(v)
	c.Name = row.name
	if asked {
		c.Pin = ""
		return c
	}
	return Check{Name: c.Name, Outcome: NotAsked, Detail: notAsked(c), Pin: c.Pin}
}

// report adds the result of a check to the report. Its texts can contain some of the evidence.
func (v *verifier) report(c Check) {
	c.Detail, c.Expected, c.Actual = cloudtext.Clean(c.Detail), cloudtext.Clean(c.Expected), cloudtext.Clean(c.Actual)
	c.Waived = (c.Outcome == Failed || c.Outcome == NotPossible) && slices.Contains(v.p.Waive, c.Name)
	v.r.Checks = append(v.r.Checks, c)
}

func (v *verifier) custom(c CustomCheck) Check {
	if err := c.Check(v.ctx, v.r); err != nil {
		return Check{Name: c.Name, Outcome: Failed, Detail: err.Error(), err: fmt.Errorf("%w: %w", ErrCustom, err)}
	}
	return Check{Name: c.Name, Outcome: Passed}
}

// passed is the result of a check whose expected and actual value agree.
func passed(actual, detail string) Check {
	return Check{Outcome: Passed, Actual: actual, Detail: detail}
}

// failed is the result of a check whose values differ.
func failed(err error, expected, actual string) Check {
	return Check{Outcome: Failed, Expected: expected, Actual: actual, Detail: err.Error(), err: err}
}

// notPossible is the result of a check whose input is missing.
func notPossible(sentinel error, expected, why string) Check {
	return Check{Outcome: NotPossible, Expected: expected, Detail: why, err: &missingError{sentinel, why}}
}

// blocked is the result of a check that rests on another one without a result.
func blocked(name, on CheckName, asked bool) Check {
	if !asked {
		return Check{Name: name, Outcome: NotAsked}
	}
	why := fmt.Sprintf("it rests on %s", on)
	return Check{Name: name, Outcome: NotPossible, Detail: why, err: &missingError{nil, why}, blocked: true}
}

// notAsked describes the actual value, for a check without an expectation.
func notAsked(c Check) string {
	if c.Outcome == NotAsked || c.Actual == "" {
		return c.Detail
	}
	return strings.TrimSuffix(fmt.Sprintf("it is %s, %s", c.Actual, c.Detail), ", ")
}

// missingError is the error of a check that was not possible: ErrNotPossible, and the sentinel of the check, whose text
// it does not have because nothing was compared.
type missingError struct {
	sentinel error // or nil
	why      string
}

func (e *missingError) Error() string { return fmt.Sprintf("%v: %s", ErrNotPossible, e.why) }

func (e *missingError) Unwrap() []error {
	if e.sentinel == nil {
		return []error{ErrNotPossible}
	}
	return []error{e.sentinel, ErrNotPossible}
}

// compare is a check with a list of accepted values.
func compare(sentinel error, accepted []string, actual string) Check {
	expected := strings.Join(accepted, " or ")
	switch {
	case len(accepted) == 0:
		return passed(actual, "")
	case actual == "":
		return notPossible(sentinel, expected, "it was not measured")
	case !contains(accepted, actual):
		return failed(sentinel, expected, actual)
	}
	return passed(actual, "")
}

// contains compares in constant time.
func contains(accepted []string, actual string) bool {
	found := false
	for _, a := range accepted {
		found = equal([]byte(a), []byte(actual)) || found
	}
	return found
}

// texts returns the texts of accepted values.
func texts[T fmt.Stringer](values []T) []string {
	all := make([]string, len(values))
	for i, v := range values {
		all[i] = v.String()
	}
	return all
}
