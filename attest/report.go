package attest

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

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
	return printable(b.String())
}

// printable removes terminal control sequences from foreign text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
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
		fmt.Fprintf(&b, "%s%s: %v", separator, c.Name, c.err)
		if c.Expected != "" || c.Actual != "" {
			fmt.Fprintf(&b, " (expected %s, actual %s)", orNone(c.Expected), orNone(c.Actual))
		}
		separator = "; "
	}
	if blocked > 0 {
		fmt.Fprintf(&b, "; %d checks that rest on these were not possible", blocked)
	}
	return printable(b.String())
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
