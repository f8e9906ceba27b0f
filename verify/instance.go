package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
)

// Instance is the verification of one CVM.
type Instance struct {
	// CVM is its vm_uuid, and Status its state such as "running", both as the cloud reports them.
	CVM    string `json:"cvm,omitempty"`
	Name   string `json:"name"`
	Status string `json:"status,omitempty"`
	// Report is nil if the evidence could not be read.
	Report *attest.Report `json:"report,omitempty"`
	// Bundle has the evidence with everything that its verification used, to verify it offline later; nil if the
	// evidence could not be read.
	Bundle *attest.Bundle `json:"-"`
	// Err is nil if the instance is verified, else an [*Error].
	Err error `json:"-"`
}

// counts reports whether the instance is part of the verdict: it runs, or it has evidence in any state. Otherwise the
// cloud could hide a failure by reporting the instance as stopped.
func (i *Instance) counts() bool {
	return i.Status == "" || i.Status == "running" || i.Bundle != nil && len(i.Bundle.Evidence.Quote) > 0
}

// fail sets the error of the instance, if there is one.
func (i *Instance) fail(err error) {
	if err == nil {
		return
	}
	name := i.CVM
	if name == "" {
		name = i.Name
	}
	i.Err = &Error{CVM: name, Report: i.Report, Err: err}
}

// MarshalJSON adds the text of the error as "error".
func (i Instance) MarshalJSON() ([]byte, error) {
	type plain Instance
	text := ""
	if i.Err != nil {
		text = i.Err.Error()
	}
	return json.Marshal(struct {
		plain
		Error string `json:"error,omitempty"`
	}{plain(i), text})
}

// Error is returned if a CVM is not verified. errors.Is matches it with the
// sentinel of each check that failed, such as [attest.ErrComposeHash].
type Error struct {
	// CVM is the identifier of the CVM.
	CVM string
	// Report is nil if there was no evidence.
	Report *attest.Report
	// Err is the cause, mostly an [*attest.Error].
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("cvm %.200q is not verified: %v", e.CVM, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// checkDocument is the name of the check that [WithDocument] adds.
const checkDocument attest.CheckName = "document"

// Evidence verifies given evidence, from files or from a bundle, as [CVM] does with fetched evidence. The error is
// that of the instance, an [*Error]; the instance is nil only if the policy or an option is invalid.
func Evidence(ctx context.Context, evidence attest.Evidence, policy attest.Policy, opts ...Option) (*Instance, error) {
	cfg, err := configure(opts, forEvidence)
	if err == nil {
		err = policy.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("verify %.200q: %w", evidence.Name, err)
	}
	instance := &Instance{Name: cloudtext.Clean(evidence.Name)}
	instance.fail(cfg.judge(ctx, instance, evidence, policy))
	return instance, instance.Err
}

// judge verifies the evidence of an instance and sets its report and bundle.
func (c *config) judge(ctx context.Context, instance *Instance, evidence attest.Evidence, policy attest.Policy) error {
	if c.document != nil {
		policy.Checks = append(slices.Clone(policy.Checks), attest.CustomCheck{
			Name: checkDocument,
			Check: func(_ context.Context, report *attest.Report) error {
				if report.Check(attest.CheckComposeText).Outcome != attest.Passed {
					return fmt.Errorf("it rests on %s", attest.CheckComposeText)
				}
				_, err := compose.CompareCompleted(c.document, []byte(evidence.AppCompose))
				return err
			},
		})
	}
	var err error
	instance.Report, instance.Bundle, err = attest.Record(ctx, evidence, policy)
	return err
}
