package attest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-tdx-guest/pcs"
)

// TCBStatus is the state of a part of a platform, as Intel names it.
type TCBStatus string

// The states, from Intel's "TCB info" format.
const (
	UpToDate                          TCBStatus = "UpToDate"
	SWHardeningNeeded                 TCBStatus = "SWHardeningNeeded"
	ConfigurationNeeded               TCBStatus = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded TCBStatus = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         TCBStatus = "OutOfDate"
	OutOfDateConfigurationNeeded      TCBStatus = "OutOfDateConfigurationNeeded"
	// Revoked is never acceptable.
	Revoked TCBStatus = "Revoked"
)

// statuses are all states, the better ones first.
func statuses() []TCBStatus {
	return []TCBStatus{
		UpToDate, SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate,
		OutOfDateConfigurationNeeded, Revoked,
	}
}

// TCB is the state of the three parts of a platform.
type TCB struct {
	Platform TCBLevel `json:"platform"`
	// Module is the TDX module; nil for modules of the first generation, which have no levels of their own.
	Module         *TCBLevel `json:"module,omitempty"`
	QuotingEnclave TCBLevel  `json:"quoting_enclave"`
	// Evaluation is Intel's number of the underlying data, higher for newer: the lower one of the TCB info and the
	// identity of the quoting enclave.
	Evaluation int `json:"evaluation"`
}

// TCBLevel is the security level of a part.
type TCBLevel struct {
	Status TCBStatus `json:"status"`
	// Date is the tcbDate of the level: the part has all fixes that were published before it.
	Date time.Time `json:"date,omitzero"`
	// Advisories are Intel's security advisories that apply at this level, such as "INTEL-SA-00837".
	Advisories []string `json:"advisories,omitempty"`
	// Wanted is the tcbDate of the level that would be UpToDate: the part is out of date since then. It is zero if
	// the part is not out of date.
	Wanted time.Time `json:"wanted,omitzero"`
	// Lags lists the components below that level, such as "PCE SVN 11, below 13".
	Lags []string `json:"lags,omitempty"`
}

func (l *TCBLevel) outdated() bool {
	return l.Status == OutOfDate || l.Status == OutOfDateConfigurationNeeded
}

// within returns the status of the level with a grace period for being out of date.
func (l *TCBLevel) within(grace time.Duration, now time.Time) TCBStatus {
	if !l.outdated() || grace <= 0 || l.Wanted.IsZero() || now.Sub(l.Wanted) > grace {
		return l.Status
	}
	if l.Status == OutOfDateConfigurationNeeded {
		return ConfigurationNeeded
	}
	return UpToDate
}

// namedLevel is a part with its name, for reports.
type namedLevel struct {
	name  string
	level *TCBLevel
}

func (t *TCB) parts() []namedLevel {
	all := []namedLevel{{"platform", &t.Platform}, {"quoting enclave", &t.QuotingEnclave}}
	if t.Module != nil {
		all = append(all, namedLevel{"TDX module", t.Module})
	}
	return all
}

// Status returns the worst state of the three parts.
func (t *TCB) Status() TCBStatus {
	worst := 0
	for _, part := range t.parts() {
		// An unknown state counts as the worst.
		i := slices.Index(statuses(), part.level.Status)
		if i < 0 {
			return part.level.Status
		}
		worst = max(worst, i)
	}
	return statuses()[worst]
}

// Advisories returns the advisories that apply to any of the parts.
func (t *TCB) Advisories() []string {
	var all []string
	for _, part := range t.parts() {
		for _, id := range part.level.Advisories {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	return all
}

func (t *TCB) String() string {
	var all []string
	for _, part := range t.parts() {
		all = append(all, fmt.Sprintf("%s %s", part.name, part.level.Status))
	}
	return strings.Join(all, ", ")
}

// checkTCBEvaluation compares the evaluation number of the collateral with the minimum of the policy.
func (v *verifier) checkTCBEvaluation() Check {
	have, want := v.collateral.evaluation(), v.p.MinTCBEvaluation
	if have < want {
		return failed(ErrTCBEvaluation, fmt.Sprintf("evaluation %d or newer", want), fmt.Sprintf("evaluation %d", have))
	}
	return passed(fmt.Sprintf("evaluation %d", have), "")
}

// checkTCBStatus compares the state of each part with the accepted ones.
func (v *verifier) checkTCBStatus() Check {
	t, err := v.collateral.levels(v.q, v.pck.extensions)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", ErrTCBStatus, err), "", "")
	}
	v.r.Attested.TCB = t
	accepted := v.p.TCBStatuses
	if len(accepted) == 0 {
		accepted = []TCBStatus{UpToDate}
	}
	var refused, forgiven []string
	for _, part := range t.parts() {
		status := part.level.within(v.p.OutOfDateGrace, v.now)
		switch {
		case !slices.Contains(accepted, status):
			refused = append(refused, part.explain(v.now))
		case status != part.level.Status && !slices.Contains(accepted, part.level.Status):
			forgiven = append(forgiven, fmt.Sprintf("%s, which the grace period of %s accepts", part.explain(v.now), days(v.p.OutOfDateGrace)))
		}
	}
	if len(refused) == 0 {
		return passed(t.String(), strings.Join(forgiven, "; "))
	}
	c := failed(ErrTCBStatus, fmt.Sprint(accepted), t.String())
	c.err = fmt.Errorf("%w: %s", ErrTCBStatus, strings.Join(refused, "; "))
	c.Detail = c.err.Error()
	return c
}

// explain describes why a part is not up to date, and how a policy accepts it.
func (p namedLevel) explain(now time.Time) string {
	l := p.level
	text := fmt.Sprintf("%s %s", p.name, l.Status)
	if !l.Wanted.IsZero() {
		text += fmt.Sprintf(" since %s", l.Wanted.Format(time.DateOnly))
	}
	if len(l.Lags) > 0 {
		text += fmt.Sprintf(" (%s)", strings.Join(l.Lags, "; "))
	}
	if !l.Date.IsZero() {
		text += fmt.Sprintf(", at the level of %s", l.Date.Format(time.DateOnly))
	}
	text += ", advisories " + orNone(strings.Join(l.Advisories, " "))
	switch {
	case l.Status == Revoked:
		return text + "; no policy accepts that"
	case !l.Wanted.IsZero():
		return text + fmt.Sprintf("; Policy.OutOfDateGrace of more than %s accepts it, or Policy.TCBStatuses with %s", days(now.Sub(l.Wanted)), l.Status)
	}
	return text + fmt.Sprintf("; Policy.TCBStatuses with %s accepts it", l.Status)
}

// days formats a duration in days, the unit of Intel's dates.
func days(d time.Duration) string { return fmt.Sprintf("%d days", int(d/(24*time.Hour))) }

// checkAdvisories compares the advisories that apply with the accepted ones.
func (v *verifier) checkAdvisories() Check {
	applying := v.r.Attested.TCB.Advisories()
	actual := orNone(strings.Join(applying, ", "))
	if v.p.Advisories != nil && slices.ContainsFunc(applying, func(id string) bool { return !slices.Contains(v.p.Advisories, id) }) {
		return failed(ErrAdvisory, orNone(strings.Join(v.p.Advisories, ", ")), actual)
	}
	return passed(actual, "")
}

// evaluation is the lower one of the two evaluation numbers.
func (c *Collateral) evaluation() int {
	return min(c.tcb.TcbEvaluationDataNumber, c.qe.TcbEvaluationDataNumber)
}

// levels returns the levels of a platform. go-tdx-guest evaluates them as well, but returns the same error for every
// state except UpToDate.
func (c *Collateral) levels(q *Quote, pck *pcs.PckExtensions) (*TCB, error) {
	t := &TCB{Evaluation: c.evaluation()}
	var err error
	if t.Platform, err = c.platformLevel(q, pck); err != nil {
		return nil, fmt.Errorf("platform: %w", err)
	}
	// The second byte of TEE_TCB_SVN is the generation of the module; the first has no levels of its own.
	if generation := q.TEETCBSVN[1]; generation > 0 {
		module, err := c.moduleLevel(generation, uint32(q.TEETCBSVN[0]))
		if err != nil {
			return nil, fmt.Errorf("TDX module: %w", err)
		}
		t.Module = &module
	}
	if t.QuotingEnclave, err = isvLevel(c.qe.TcbLevels, uint32(q.qe().isvSVN)); err != nil {
		return nil, fmt.Errorf("quoting enclave: %w", err)
	}
	return t, nil
}

// levelAt returns the level of a part from a list, the newest first. lags returns what of the part is below a level.
func levelAt(levels []pcs.TcbLevel, lags func(*pcs.Tcb) []string) (TCBLevel, error) {
	if len(levels) == 0 {
		return TCBLevel{}, errors.New("no level is listed")
	}
	for i := range levels {
		if len(lags(&levels[i].Tcb)) > 0 {
			continue
		}
		l := TCBLevel{Status: TCBStatus(levels[i].TcbStatus), Advisories: levels[i].AdvisoryIDs}
		var err error
		if l.Date, err = tcbDate(&levels[i]); err != nil {
			return TCBLevel{}, err
		}
		if !l.outdated() {
			return l, nil
		}
		// The part is out of date since the oldest level above it that is still up to date.
		for above := i - 1; above >= 0; above-- {
			if TCBStatus(levels[above].TcbStatus) == UpToDate {
				l.Lags = lags(&levels[above].Tcb)
				l.Wanted, err = tcbDate(&levels[above])
				return l, err
			}
		}
		return l, nil
	}
	return TCBLevel{}, fmt.Errorf("below the lowest level that Intel lists: %s",
		strings.Join(lags(&levels[len(levels)-1].Tcb), "; "))
}

// tcbDate reads the date of a level; zero if it has none.
func tcbDate(level *pcs.TcbLevel) (time.Time, error) {
	if level.TcbDate == "" {
		return time.Time{}, nil
	}
	date, err := time.Parse(time.RFC3339, level.TcbDate)
	if err != nil {
		return time.Time{}, fmt.Errorf("tcbDate %.40q of a level: want a time of RFC 3339", level.TcbDate)
	}
	return date, nil
}

func (c *Collateral) platformLevel(q *Quote, pck *pcs.PckExtensions) (TCBLevel, error) {
	first := 0
	if q.TEETCBSVN[1] > 0 {
		first = 2 // the module has levels of its own for the first two bytes
	}
	return levelAt(c.tcb.TcbLevels, func(want *pcs.Tcb) []string {
		lags := components("SGX", pck.TCB.CPUSvnComponents, want.SgxTcbcomponents, 0)
		if pck.TCB.PCESvn < want.Pcesvn {
			lags = append(lags, fmt.Sprintf("PCE SVN %d, below %d", pck.TCB.PCESvn, want.Pcesvn))
		}
		return append(lags, components("TDX", q.TEETCBSVN[:], want.TdxTcbcomponents, first)...)
	})
}

// components returns the components of a kind that are below those of a level.
func components(kind string, have []byte, want []pcs.TcbComponent, first int) []string {
	if len(have) != len(want) {
		return []string{fmt.Sprintf("%d %s components, not %d", len(have), kind, len(want))}
	}
	var lags []string
	for i := first; i < len(have); i++ {
		if have[i] >= want[i].Svn {
			continue
		}
		name := strings.TrimSuffix(strings.TrimPrefix(want[i].Category+", "+want[i].Type, ", "), ", ")
		if name != "" {
			name = fmt.Sprintf(" (%.80s)", name)
		}
		lags = append(lags, fmt.Sprintf("%s component %d%s SVN %d, below %d", kind, i+1, name, have[i], want[i].Svn))
	}
	return lags
}

func (c *Collateral) moduleLevel(generation byte, svn uint32) (TCBLevel, error) {
	id := "TDX_" + hex.EncodeToString([]byte{generation})
	for i := range c.tcb.TdxModuleIdentities {
		// Like the FMSPC, the id may be spelled in either case.
		if strings.EqualFold(c.tcb.TdxModuleIdentities[i].ID, id) {
			level, err := isvLevel(c.tcb.TdxModuleIdentities[i].TcbLevels, svn)
			if err != nil {
				return TCBLevel{}, fmt.Errorf("%s: %w", id, err)
			}
			return level, nil
		}
	}
	return TCBLevel{}, fmt.Errorf("%s: Intel lists no such module", id)
}

func isvLevel(levels []pcs.TcbLevel, svn uint32) (TCBLevel, error) {
	return levelAt(levels, func(want *pcs.Tcb) []string {
		if svn < want.Isvsvn {
			return []string{fmt.Sprintf("ISV SVN %d, below %d", svn, want.Isvsvn)}
		}
		return nil
	})
}
