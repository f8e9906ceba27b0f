package attest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// Verify makes every check of the policy on the evidence. Where one fails, or is not possible, the error is an
// [*Error]: by errors.Is the sentinel of each such check, such as [ErrComposeHash]. The report is complete
// either way, and nil only with [ErrPolicy].
func Verify(ctx context.Context, evidence Evidence, policy Policy) (*Report, error) {
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	v := &verifier{ctx: ctx, e: &evidence, p: &policy, r: &Report{Name: evidence.Name}, now: time.Now()}
	if policy.Now != nil {
		v.now = policy.Now()
	}
	if policy.Roots == nil {
		policy.Roots = IntelRoots()
	}
	v.quote()
	v.hardware()
	v.domain()
	v.log()
	v.app()
	v.reportData()
	v.device()
	v.others()
	return v.finish()
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

type verifier struct {
	ctx context.Context
	e   *Evidence
	p   *Policy
	r   *Report
	now time.Time

	q      *Quote
	pck    *pck
	events *BootEvents // nil until the log replayed
}

func (v *verifier) add(c Check) {
	c.Waived = (c.Outcome == Failed || c.Outcome == NotPossible) && slices.Contains(v.p.Waive, c.Name)
	v.r.Checks = append(v.r.Checks, c)
}

func (v *verifier) pass(name CheckName, actual string) {
	v.add(Check{Name: name, Outcome: Passed, Actual: actual})
}

func (v *verifier) notAsked(name CheckName, actual string) {
	c := Check{Name: name, Outcome: NotAsked}
	if actual != "" {
		c.Detail = "it is " + actual
	}
	v.add(c)
}

// fail is for what is there and wrong.
func (v *verifier) fail(name CheckName, err error, expected, actual string) {
	v.add(Check{Name: name, Outcome: Failed, Expected: expected, Actual: actual, Detail: err.Error(), err: err})
}

// missing is for what this check itself lacks.
func (v *verifier) missing(name CheckName, sentinel error, expected, why string) {
	err := fmt.Errorf("%w: %w: %s", sentinel, ErrNotPossible, why)
	v.add(Check{Name: name, Outcome: NotPossible, Expected: expected, Detail: why, err: err})
}

// blocked is for checks that rest on another one, which failed.
func (v *verifier) blocked(on CheckName, checks ...CheckName) {
	why := fmt.Sprintf("it rests on %s", on)
	for _, name := range checks {
		if !v.p.asks(name) {
			v.notAsked(name, "")
			continue
		}
		v.add(Check{Name: name, Outcome: NotPossible, Detail: why, err: fmt.Errorf("%w: %s", ErrNotPossible, why), blocked: true})
	}
}

// compare is for a check with a list of accepted values, none of which means that nothing is asked.
func (v *verifier) compare(name CheckName, sentinel error, accepted []string, actual string) {
	switch expected := strings.Join(accepted, " or "); {
	case len(accepted) == 0:
		v.notAsked(name, actual)
	case actual == "":
		v.missing(name, sentinel, expected, "it was not measured")
	case !contains(accepted, actual):
		v.fail(name, sentinel, expected, actual)
	default:
		v.pass(name, actual)
	}
}

// contains compares in constant time.
func contains(accepted []string, actual string) bool {
	found := false
	for _, a := range accepted {
		found = equal([]byte(a), []byte(actual)) || found
	}
	return found
}

func (v *verifier) quote() {
	if len(v.e.Quote) == 0 {
		v.missing(CheckQuote, ErrQuote, "", "the evidence has no quote")
		return
	}
	q, err := ParseQuote(v.e.Quote)
	if err != nil {
		v.fail(CheckQuote, fmt.Errorf("%w: %w", ErrQuote, err), "", "")
		return
	}
	v.q, v.r.Quote = q, q
	a := &v.r.Attested
	a.MRTD, a.RTMR, a.ReportData = q.MRTD, q.RTMR, hex.EncodeToString(q.ReportData[:])
	a.QuoteVersion = int(q.Version)
	sum := q.MRAggregated()
	a.MRAggregated = hex.EncodeToString(sum[:])
	v.pass(CheckQuote, "")
	v.r.Checks[0].Detail = fmt.Sprintf("version %d, %d bytes", q.Version, len(q.raw))
}

// domain checks what the quote says about the TD itself.
func (v *verifier) domain() {
	if v.q == nil {
		v.blocked(CheckQuote, CheckDebug, CheckServiceTD, CheckMeasurements)
		return
	}
	// The whole first byte are the bits that let the host look inside (TUD, "TD under debug"); today only the
	// lowest one, DEBUG, is defined.
	if bits := v.q.TDAttributes[0]; bits != 0 {
		v.fail(CheckDebug, ErrDebug, "0x00", fmt.Sprintf("%#02x", bits))
	} else {
		v.pass(CheckDebug, "")
	}
	switch {
	case !v.q.TD15:
		v.notAsked(CheckServiceTD, "a TD 1.0, which has none")
	case !v.q.MRServiceTD.IsZero():
		v.fail(CheckServiceTD, ErrServiceTD, Measurement{}.String(), v.q.MRServiceTD.String())
	default:
		v.pass(CheckServiceTD, "")
	}
	v.measurements()
}

func (v *verifier) measurements() {
	actual := fmt.Sprintf("MRTD %s, RTMR0 %s, RTMR1 %s, RTMR2 %s", v.q.MRTD, v.q.RTMR[0], v.q.RTMR[1], v.q.RTMR[2])
	if len(v.p.Measurements) == 0 {
		v.notAsked(CheckMeasurements, actual)
		return
	}
	for i := range v.p.Measurements {
		if m := &v.p.Measurements[i]; m.matches(v.q) {
			v.pass(CheckMeasurements, actual)
			v.r.Checks[len(v.r.Checks)-1].Detail = m.Name
			return
		}
	}
	v.fail(CheckMeasurements, ErrMeasurement, fmt.Sprintf("one of %d known sets", len(v.p.Measurements)), actual)
}

// log replays the event log; only then are its values looked at.
func (v *verifier) log() {
	switch {
	case v.q == nil:
		v.blocked(CheckQuote, CheckEventLog, CheckBootEvents)
		return
	case len(v.e.EventLog) == 0:
		v.missing(CheckEventLog, ErrEventLog, "", "the evidence has no event log")
		v.blocked(CheckEventLog, CheckBootEvents)
		return
	}
	if err := v.replay(); err != nil {
		v.blocked(CheckEventLog, CheckBootEvents)
		return
	}
	events, err := ReadBootEvents(v.e.EventLog)
	if err != nil {
		v.fail(CheckBootEvents, err, "", "")
		return
	}
	v.events, v.r.Attested.BootEvents = events, events
	sum := v.q.MRSystem(events.keyProviderPayload)
	v.r.Attested.MRSystem = hex.EncodeToString(sum[:])
	v.pass(CheckBootEvents, "")
}

func (v *verifier) replay() error {
	size := 0
	for i := range v.e.EventLog {
		e := &v.e.EventLog[i]
		if size += 32 + 2*(len(e.Digest)+len(e.Payload)+len(e.Preimage)) + len(e.Name); size > MaxEventLog {
			err := fmt.Errorf("%w: more than %d bytes", ErrEventLog, MaxEventLog)
			v.fail(CheckEventLog, err, "", "")
			return err
		}
	}
	registers, err := Replay(v.e.EventLog)
	if err != nil {
		v.fail(CheckEventLog, err, "", "")
		return err
	}
	for i, register := range registers {
		if !equal(register[:], v.q.RTMR[i][:]) {
			err := fmt.Errorf("%w: RTMR%d", ErrReplay, i)
			v.fail(CheckEventLog, err, v.q.RTMR[i].String(), register.String())
			return err
		}
	}
	v.add(Check{Name: CheckEventLog, Outcome: Passed, Detail: fmt.Sprintf("%d events, RTMR0 to RTMR3", len(v.e.EventLog))})
	return nil
}

// app compares what was measured with what is expected.
func (v *verifier) app() {
	if v.events == nil {
		v.blocked(CheckBootEvents, CheckAppID, CheckComposeHash, CheckComposeText, CheckInstanceID,
			CheckKeyProvider, CheckOSImage, CheckMRConfigID)
		return
	}
	v.appID()
	var hashes, images []string
	for _, h := range v.p.ComposeHashes {
		hashes = append(hashes, h.String())
	}
	v.compare(CheckComposeHash, ErrComposeHash, hashes, v.events.ComposeHash.String())
	v.composeText()
	v.instance()
	v.keyProvider()
	for _, h := range v.p.OSImageHashes {
		images = append(images, hex.EncodeToString(h[:]))
	}
	v.compare(CheckOSImage, ErrOSImage, images, v.events.OSImageHash)
	v.mrConfigID()
}

// appID holds the measured id against that of the policy, and against what the messenger says it brings.
func (v *verifier) appID() {
	actual := v.events.AppID
	switch {
	case !v.p.AppID.IsZero() && !equal(actual[:], v.p.AppID[:]):
		v.fail(CheckAppID, ErrAppID, v.p.AppID.String(), actual.String())
	case !v.e.AppID.IsZero() && !equal(actual[:], v.e.AppID[:]):
		v.fail(CheckAppID, fmt.Errorf("%w than the messenger says", ErrAppID), v.e.AppID.String(), actual.String())
	case v.p.AppID.IsZero():
		v.notAsked(CheckAppID, actual.String())
	default:
		v.pass(CheckAppID, actual.String())
	}
}

func (v *verifier) composeText() {
	expected := v.events.ComposeHash
	if v.e.AppCompose == "" {
		if len(v.p.ComposeHashes) > 0 {
			v.add(Check{Name: CheckComposeText, Outcome: NotAsked, Detail: "no text came along, and the hash is expected"})
			return
		}
		v.missing(CheckComposeText, ErrComposeText, expected.String(), "the evidence has no app-compose text, and no compose hash is expected")
		return
	}
	if actual := compose.Sum([]byte(v.e.AppCompose)); !actual.Equal(expected) {
		v.fail(CheckComposeText, ErrComposeText, expected.String(), actual.String())
		return
	}
	v.pass(CheckComposeText, expected.String())
}

func (v *verifier) instance() {
	actual := v.events.InstanceID
	expected, whose := v.p.InstanceID, ErrInstanceID
	if expected == "" && v.e.InstanceID != "" {
		expected, whose = v.e.InstanceID, fmt.Errorf("%w than the messenger says", ErrInstanceID)
	}
	if expected == "" {
		v.notAsked(CheckInstanceID, actual)
		return
	}
	bare, err := parseInstanceID(expected)
	if err != nil {
		v.fail(CheckInstanceID, fmt.Errorf("%w: %w", whose, err), "", actual)
		return
	}
	v.compare(CheckInstanceID, whose, []string{bare}, actual)
}

func (v *verifier) keyProvider() {
	var actual string
	if p := v.events.KeyProvider; p != nil {
		actual = fmt.Sprintf("%s %s", p.Name, p.ID)
	}
	var accepted []string
	for _, spki := range v.p.KMSRootCAs {
		accepted = append(accepted, "kms "+hex.EncodeToString(spki))
	}
	v.compare(CheckKeyProvider, ErrKeyProvider, accepted, actual)
}

func (v *verifier) mrConfigID() {
	actual := v.q.MRConfigID
	if actual.IsZero() {
		v.missing(CheckMRConfigID, ErrMRConfigID, "", "the host set none")
		return
	}
	if len(v.e.ConfigDocument) > MaxConfigDocument {
		v.fail(CheckMRConfigID, fmt.Errorf("%w: document of %d bytes, want at most %d", ErrMRConfigID, len(v.e.ConfigDocument), MaxConfigDocument), "", "")
		return
	}
	expected, err := configOf(actual, v.events, []byte(v.e.ConfigDocument))
	if err != nil {
		v.fail(CheckMRConfigID, fmt.Errorf("%w: %w", ErrMRConfigID, err), "", actual.String())
		return
	}
	v.compare(CheckMRConfigID, ErrMRConfigID, []string{expected.String()}, actual.String())
}

func (v *verifier) reportData() {
	switch {
	case v.q == nil && v.p.ReportData == nil:
		v.notAsked(CheckReportData, "")
	case v.q == nil:
		v.blocked(CheckQuote, CheckReportData)
	case v.p.ReportData == nil:
		v.notAsked(CheckReportData, hex.EncodeToString(v.q.ReportData[:]))
	default:
		v.compare(CheckReportData, ErrReportData, []string{hex.EncodeToString(v.p.ReportData[:])}, hex.EncodeToString(v.q.ReportData[:]))
	}
}

func (v *verifier) device() {
	var accepted []string
	for _, id := range v.p.Devices {
		accepted = append(accepted, hex.EncodeToString(id[:]))
	}
	switch {
	case v.q == nil:
		v.blocked(CheckQuote, CheckDevice)
	case v.pck == nil:
		v.blocked(CheckSignature, CheckDevice)
	default:
		v.compare(CheckDevice, ErrDevice, accepted, v.r.Attested.DeviceID)
	}
}

// others asks the cloud, and the caller.
func (v *verifier) others() {
	v.cloud()
	for _, c := range v.p.Checks {
		if err := c.Check(v.ctx, v.r); err != nil {
			v.fail(c.Name, fmt.Errorf("%w: %w", ErrCustom, err), "", "")
			continue
		}
		v.pass(c.Name, "")
	}
}

func (v *verifier) cloud() {
	switch {
	case v.p.Cloud == nil:
		v.notAsked(CheckCloud, "")
		return
	case v.q == nil:
		v.blocked(CheckQuote, CheckCloud)
		return
	}
	opinion, err := v.p.Cloud(v.ctx, v.q.raw)
	switch {
	case err != nil:
		v.missing(CheckCloud, ErrCloud, "", err.Error())
	case !confirms(opinion):
		v.fail(CheckCloud, ErrCloud, "verified", "not verified")
	default:
		v.pass(CheckCloud, "verified")
	}
}

func confirms(opinion *openapi.QuoteVerification) bool {
	return opinion != nil && opinion.Success && opinion.Quote != nil && opinion.Quote.Verified != nil && *opinion.Quote.Verified
}

func (v *verifier) finish() (*Report, error) {
	for i := range v.r.Checks {
		if v.r.Checks[i].fatal() {
			return v.r, &Error{Report: v.r}
		}
	}
	v.r.Verified = true
	return v.r, nil
}
