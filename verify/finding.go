package verify

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/internal/cloudtext"
)

// evidenceFinding is the name of the finding of an instance without a report.
const evidenceFinding = "evidence"

// finding is one line of a machine-readable report. A check that is waived, and one of an instance that does not run,
// has the outcome [attest.NotAsked]: it is no failure.
type finding struct {
	name    string
	outcome attest.Outcome
	waived  bool
	text    string
}

// asked returns the instances, and the nodes that are part of the verification.
func (r *Result) asked() []*Instance {
	return slices.DeleteFunc(r.all(), func(i *Instance) bool {
		return i == r.KMS && !r.kmsAsked || i == r.Gateway && !r.gatewayAsked
	})
}

// label returns a readable name of the instance. Names are not unique, and come from the cloud, as ids do.
func (i *Instance) label() string {
	label := i.Name
	if i.CVM != "" {
		label = strings.TrimSpace(label + " (" + i.CVM + ")")
	}
	return cloudtext.Escape(label)
}

func (i *Instance) findings() []finding {
	if !i.counts() {
		return []finding{{name: evidenceFinding, outcome: attest.NotAsked, text: cloudtext.Escape(fmt.Sprintf("the cloud reports the status %.80q", i.Status))}}
	}
	if i.Report == nil {
		f := finding{name: evidenceFinding, outcome: attest.NotPossible, text: "there is no report"}
		if i.Err != nil {
			f.text = cloudtext.Escape(i.Err.Error())
		}
		return []finding{f}
	}
	var all []finding
	if i.Err != nil && i.Report.Verified { // such as evidence that stands for two instances
		all = append(all, finding{name: evidenceFinding, outcome: attest.Failed, text: cloudtext.Escape(i.Err.Error())})
	}
	for _, c := range i.Report.Checks {
		f := finding{name: cloudtext.Escape(string(c.Name)), outcome: c.Outcome, waived: c.Waived}
		parts := []string{}
		if c.Waived {
			f.outcome = attest.NotAsked
			parts = append(parts, "waived; "+string(c.Outcome))
		}
		if c.Detail != "" {
			parts = append(parts, c.Detail)
		}
		if c.Expected != "" {
			parts = append(parts, "expected "+c.Expected)
		}
		if c.Actual != "" {
			parts = append(parts, "actual "+c.Actual)
		}
		f.text = cloudtext.Escape(strings.Join(parts, "; "))
		all = append(all, f)
	}
	return all
}
