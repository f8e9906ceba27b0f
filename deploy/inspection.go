package deploy

import (
	"context"
	"slices"
	"strings"

	"github.com/phala-go/phala/compose/inspect"
	"github.com/phala-go/phala/internal/cloudtext"
)

// FindingsError is returned if a docker-compose file has findings that cannot work in a confidential VM.
type FindingsError struct {
	// Findings are those of severity error; [inspect.App] has the others.
	Findings []inspect.Finding
}

func (e *FindingsError) Error() string {
	lines := make([]string, len(e.Findings))
	for i, finding := range e.Findings {
		lines[i] = cloudtext.Clean(finding.String())
	}
	return "docker-compose file: " + strings.Join(lines, "; ")
}

// inspect returns an error for findings that cannot work in a confidential VM, and the other findings as checks.
func (c *config) inspect(ctx context.Context, doc document) ([]Check, error) {
	report, err := inspect.App(ctx, doc.app)
	if err != nil {
		return nil, &InputError{Field: "docker-compose file", Err: err}
	}
	var checks []Check
	var wrong FindingsError
	for _, finding := range report.Findings {
		if finding.Severity == inspect.Error && !slices.Contains(c.mayFind, finding.Rule) {
			wrong.Findings = append(wrong.Findings, finding)
			continue
		}
		checks = append(checks, Check{Name: CheckInspection, Outcome: Noticed, Reason: cloudtext.Clean(finding.String())})
	}
	if len(wrong.Findings) > 0 {
		return nil, &wrong
	}
	return checks, nil
}
