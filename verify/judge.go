package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
)

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
