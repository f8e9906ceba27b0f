package attest

import (
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/google/go-tdx-guest/pcs"
)

// TCBStatus is Intel's word for the state of a platform's trusted computing base.
type TCBStatus string

// The states, from Intel's "TCB info" format.
const (
	UpToDate                          TCBStatus = "UpToDate"
	SWHardeningNeeded                 TCBStatus = "SWHardeningNeeded"
	ConfigurationNeeded               TCBStatus = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded TCBStatus = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         TCBStatus = "OutOfDate"
	OutOfDateConfigurationNeeded      TCBStatus = "OutOfDateConfigurationNeeded"
	// Revoked can be accepted by no policy.
	Revoked TCBStatus = "Revoked"
)

// TCB is the state of the three parts that a quote depends on, with the advisories that apply to any of them.
type TCB struct {
	Platform TCBStatus `json:"platform"`
	// Module is the TDX module's; empty for modules of the first generation, which have none of their own.
	Module         TCBStatus `json:"module,omitempty"`
	QuotingEnclave TCBStatus `json:"quoting_enclave"`
	Advisories     []string  `json:"advisories,omitempty"`
	// Evaluation is Intel's number of the data that this rests on, higher for newer.
	Evaluation int `json:"evaluation"`
}

func (t *TCB) statuses() []TCBStatus {
	all := []TCBStatus{t.Platform, t.QuotingEnclave}
	if t.Module != "" {
		all = append(all, t.Module)
	}
	return all
}

func (t *TCB) String() string {
	text := fmt.Sprintf("platform %s, quoting enclave %s", t.Platform, t.QuotingEnclave)
	if t.Module != "" {
		text += fmt.Sprintf(", TDX module %s", t.Module)
	}
	return text
}

// judge finds the levels that a platform is at. go-tdx-guest does the same inside, but answers with an error
// for every state except UpToDate and without saying which, so that a policy could not choose.
func (c *Collateral) judge(q *Quote, pck *pcs.PckExtensions) (*TCB, error) {
	t := &TCB{Evaluation: c.tcb.TcbEvaluationDataNumber}
	platform, err := c.platformLevel(q, pck)
	if err != nil {
		return nil, err
	}
	t.add(&t.Platform, platform)
	// The second byte of TEE_TCB_SVN is the generation of the module; the first has no levels of its own.
	if generation := q.TEETCBSVN[1]; generation > 0 {
		module, err := c.moduleLevel(generation, uint32(q.TEETCBSVN[0]))
		if err != nil {
			return nil, err
		}
		t.add(&t.Module, module)
	}
	qe, err := isvLevel(c.qe.TcbLevels, uint32(q.qe().isvSVN))
	if err != nil {
		return nil, fmt.Errorf("quoting enclave: %w", err)
	}
	t.add(&t.QuotingEnclave, qe)
	return t, nil
}

func (t *TCB) add(status *TCBStatus, level *pcs.TcbLevel) {
	*status = TCBStatus(level.TcbStatus)
	for _, id := range level.AdvisoryIDs {
		if !slices.Contains(t.Advisories, id) {
			t.Advisories = append(t.Advisories, id)
		}
	}
}

func (c *Collateral) platformLevel(q *Quote, pck *pcs.PckExtensions) (*pcs.TcbLevel, error) {
	first := 0
	if q.TEETCBSVN[1] > 0 {
		first = 2 // the first two bytes are judged by the module's own levels
	}
	for i := range c.tcb.TcbLevels {
		level := &c.tcb.TcbLevels[i].Tcb
		if reaches(pck.TCB.CPUSvnComponents, level.SgxTcbcomponents, 0) && pck.TCB.PCESvn >= level.Pcesvn &&
			reaches(q.TEETCBSVN[:], level.TdxTcbcomponents, first) {
			return &c.tcb.TcbLevels[i], nil
		}
	}
	return nil, fmt.Errorf("no TCB level is as low as this platform's")
}

func (c *Collateral) moduleLevel(generation byte, svn uint32) (*pcs.TcbLevel, error) {
	id := "TDX_" + hex.EncodeToString([]byte{generation})
	for i := range c.tcb.TdxModuleIdentities {
		if c.tcb.TdxModuleIdentities[i].ID == id {
			level, err := isvLevel(c.tcb.TdxModuleIdentities[i].TcbLevels, svn)
			if err != nil {
				return nil, fmt.Errorf("TDX module %s: %w", id, err)
			}
			return level, nil
		}
	}
	return nil, fmt.Errorf("TDX module %s: no identity", id)
}

func isvLevel(levels []pcs.TcbLevel, svn uint32) (*pcs.TcbLevel, error) {
	for i := range levels {
		if svn >= levels[i].Tcb.Isvsvn {
			return &levels[i], nil
		}
	}
	return nil, fmt.Errorf("no TCB level is as low as %d", svn)
}

func reaches(have []byte, want []pcs.TcbComponent, first int) bool {
	if len(have) != len(want) {
		return false
	}
	for i := first; i < len(have); i++ {
		if have[i] < want[i].Svn {
			return false
		}
	}
	return true
}
