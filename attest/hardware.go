package attest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// hardware checks who signed the quote, and in what state that platform is.
func (v *verifier) hardware() {
	rest := []CheckName{CheckCollateral, CheckCollateralTime, CheckRevocation, CheckTDXModule, CheckQEIdentity, CheckTCBStatus, CheckAdvisories}
	if v.q == nil {
		v.blocked(CheckQuote, append([]CheckName{CheckSignature}, rest...)...)
		return
	}
	var err error
	if v.pck, err = parsePCK(v.q.pckChain); err != nil {
		v.fail(CheckSignature, fmt.Errorf("%w: %w", ErrSignature, err), "", "")
		v.blocked(CheckSignature, rest...)
		return
	}
	v.r.Attested.FMSPC = v.pck.extensions.FMSPC
	v.r.Attested.DeviceID = v.pck.deviceID()
	// The signature comes first in the report, but is judged last: with collateral that is in order
	// go-tdx-guest judges that as well, and must come to the same result.
	place := len(v.r.Checks)
	v.r.Checks = append(v.r.Checks, Check{Name: CheckSignature})
	second := v.collateral()
	done := v.r.Checks
	v.r.Checks = v.r.Checks[:place:place]
	v.signature(second)
	v.r.Checks = append(v.r.Checks, done[place+1:]...)
}

func (v *verifier) signature(second *Collateral) {
	if v.q.Version != 4 {
		v.missing(CheckSignature, ErrSignature, "", fmt.Sprintf("go-tdx-guest cannot judge quotes of version %d", v.q.Version))
		return
	}
	if err := checkSignature(v.q, v.p.Roots, v.now, second); err != nil {
		v.fail(CheckSignature, fmt.Errorf("%w: %w", ErrSignature, err), "", "")
		return
	}
	detail := "quote, quoting enclave and PCK chain"
	if second != nil {
		detail += "; collateral and revocation a second time"
	}
	v.add(Check{Name: CheckSignature, Outcome: Passed, Detail: detail})
}

// collateral makes the checks that need collateral. It gives back the collateral where all of them passed and
// every status is UpToDate.
func (v *verifier) collateral() *Collateral {
	rest := []CheckName{CheckCollateralTime, CheckRevocation, CheckTDXModule, CheckQEIdentity, CheckTCBStatus, CheckAdvisories}
	c, err := v.fetch()
	if errors.Is(err, ErrSignature) {
		v.blocked(CheckSignature, append([]CheckName{CheckCollateral}, rest...)...)
		return nil
	}
	if err != nil {
		// An expired one has a check of its own, whoever noticed.
		name, others := CheckCollateral, rest
		if errors.Is(err, ErrCollateralExpired) || errors.Is(err, ErrClock) {
			v.add(Check{Name: CheckCollateral, Outcome: Passed, Detail: "there, but not to be used"})
			name, others = CheckCollateralTime, rest[1:]
		} else if !errors.Is(err, ErrCollateral) {
			err = fmt.Errorf("%w: %w", ErrCollateral, err)
		}
		outcome := Failed
		if errors.Is(err, ErrNotPossible) {
			outcome = NotPossible
		}
		v.add(Check{Name: name, Outcome: outcome, Detail: err.Error(), err: err})
		v.blocked(name, others...)
		return nil
	}
	v.pass(CheckCollateral, fmt.Sprintf("FMSPC %s, evaluation %d", v.pck.extensions.FMSPC, c.tcb.TcbEvaluationDataNumber))
	before := len(v.r.Checks)
	v.collateralTime(c)
	if err := v.pck.revokedBy(c); err != nil {
		v.fail(CheckRevocation, err, "", "")
	} else {
		v.pass(CheckRevocation, "")
	}
	v.tdxModule(c)
	if err := v.q.qe().matches(&c.qe); err != nil {
		v.fail(CheckQEIdentity, fmt.Errorf("%w: %w", ErrQEIdentity, err), "", "")
	} else {
		v.pass(CheckQEIdentity, "")
	}
	v.tcb(c)
	for _, check := range v.r.Checks[before:] {
		if check.Outcome == Failed || check.Outcome == NotPossible {
			return nil
		}
	}
	for _, status := range v.r.Attested.TCB.statuses() {
		if status != UpToDate {
			return nil
		}
	}
	return c
}

// fetch gets collateral for this platform, under the roots.
func (v *verifier) fetch() (*Collateral, error) {
	if v.p.Collateral == nil {
		return nil, fmt.Errorf("%w: %w: the policy names no source", ErrCollateral, ErrNotPossible)
	}
	request := CollateralRequest{
		FMSPC: v.pck.extensions.FMSPC, CA: v.pck.ca(), Quote: v.q.raw, Now: v.now, Roots: v.p.Roots,
		platform: v.pck,
	}
	c, err := v.p.Collateral(v.ctx, request)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, fmt.Errorf("%w: the source gave none", ErrCollateral)
	case !c.serves(request):
		return nil, fmt.Errorf("%w: it is for FMSPC %.20q, want %s", ErrCollateral, c.tcb.Fmspc, request.FMSPC)
	case !strings.EqualFold(c.tcb.PceID, v.pck.extensions.PCEID):
		return nil, fmt.Errorf("%w: it is for PCE %.20q, want %s", ErrCollateral, c.tcb.PceID, v.pck.extensions.PCEID)
	}
	return c, c.trusted(v.p.Roots)
}

func (v *verifier) collateralTime(c *Collateral) {
	if err := c.holds(v.now); err != nil {
		v.fail(CheckCollateralTime, err, "", "")
		return
	}
	v.pass(CheckCollateralTime, "until "+c.NextUpdate().UTC().Format("2006-01-02 15:04:05Z"))
}

// tdxModule: MRSIGNERSEAM is zero for modules that Intel signed, and collateral must say the same.
func (v *verifier) tdxModule(c *Collateral) {
	want := c.tcb.TdxModule.Mrsigner.Bytes
	switch {
	case !v.q.MRSignerSEAM.IsZero() || !equal(want, v.q.MRSignerSEAM[:]):
		v.fail(CheckTDXModule, ErrTDXModule, Measurement{}.String(), v.q.MRSignerSEAM.String())
	case !masked(v.q.SEAMAttributes[:], c.tcb.TdxModule.AttributesMask.Bytes, c.tcb.TdxModule.Attributes.Bytes):
		v.fail(CheckTDXModule, fmt.Errorf("%w: attributes", ErrTDXModule),
			fmt.Sprintf("%x under %x", c.tcb.TdxModule.Attributes.Bytes, c.tcb.TdxModule.AttributesMask.Bytes),
			fmt.Sprintf("%x", v.q.SEAMAttributes))
	default:
		v.pass(CheckTDXModule, "")
	}
}

func (v *verifier) tcb(c *Collateral) {
	t, err := c.judge(v.q, v.pck.extensions)
	if err != nil {
		v.fail(CheckTCBStatus, fmt.Errorf("%w: %w", ErrTCBStatus, err), "", "")
		v.blocked(CheckTCBStatus, CheckAdvisories)
		return
	}
	v.r.Attested.TCB = t
	accepted := v.p.TCBStatuses
	if len(accepted) == 0 {
		accepted = []TCBStatus{UpToDate}
	}
	refused := slices.ContainsFunc(t.statuses(), func(s TCBStatus) bool { return !slices.Contains(accepted, s) })
	if refused {
		v.fail(CheckTCBStatus, ErrTCBStatus, fmt.Sprint(accepted), t.String())
	} else {
		v.pass(CheckTCBStatus, t.String())
	}
	switch applying := strings.Join(t.Advisories, ", "); {
	case v.p.Advisories == nil:
		v.notAsked(CheckAdvisories, orNone(applying))
	case slices.ContainsFunc(t.Advisories, func(id string) bool { return !slices.Contains(v.p.Advisories, id) }):
		v.fail(CheckAdvisories, ErrAdvisory, orNone(strings.Join(v.p.Advisories, ", ")), applying)
	default:
		v.pass(CheckAdvisories, orNone(applying))
	}
}

// trusted checks the chain up to the roots. go-tdx-guest does so as well, with the rest.
func (p *pck) trusted(roots *x509.CertPool, now time.Time) error {
	intermediates := x509.NewCertPool()
	intermediates.AddCert(p.intermediate)
	_, err := p.leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now})
	return err
}
