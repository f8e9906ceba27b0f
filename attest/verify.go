package attest

import (
	"context"
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

// verifier is one verification: its input, and the results of the checks.
type verifier struct {
	ctx context.Context
	e   *Evidence
	p   *Policy
	r   *Report
	now time.Time

	q          *Quote
	pck        *pck
	fetched    bool // the source returned collateral, even if it has expired
	late       error
	collateral *Collateral
	replayed   bool
	events     *BootEvents
	image      *osimage.Image // the one of the policy whose registers these are
	absent     []CheckName    // checks without a result
}

// check makes one check of the table.
func (v *verifier) check(row row) Check {
	asked := row.asked == nil || row.asked(v)
	for _, on := range row.rests {
		if slices.Contains(v.absent, on) {
			c := blocked(row.name, on, asked)
			// If the other one was waived, nobody else reports what is missing.
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

// passed is the result of a check that found what was expected.
func passed(actual, detail string) Check {
	return Check{Outcome: Passed, Actual: actual, Detail: detail}
}

// failed is the result of a check that found something else than expected.
func failed(err error, expected, actual string) Check {
	return Check{Outcome: Failed, Expected: expected, Actual: actual, Detail: err.Error(), err: err}
}

// notPossible is the result of a check that lacks what it needs.
func notPossible(sentinel error, expected, why string) Check {
	return Check{Outcome: NotPossible, Expected: expected, Detail: why, err: &missingError{sentinel, why}}
}

// blocked is the result of a check that rests on another one, which left nothing behind.
func blocked(name, on CheckName, asked bool) Check {
	if !asked {
		return Check{Name: name, Outcome: NotAsked}
	}
	why := fmt.Sprintf("it rests on %s", on)
	return Check{Name: name, Outcome: NotPossible, Detail: why, err: &missingError{nil, why}, blocked: true}
}

// notAsked describes what was found, for a check of which nothing is expected.
func notAsked(c Check) string {
	if c.Outcome == NotAsked || c.Actual == "" {
		return c.Detail
	}
	return strings.TrimSuffix(fmt.Sprintf("it is %s, %s", c.Actual, c.Detail), ", ")
}

// missingError is an error of a check that was not possible. It is ErrNotPossible and the sentinel of the check,
// but does not read like the latter: nothing was compared.
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

// compare is a check with a list of accepted values. If there is none, nothing is asked.
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
