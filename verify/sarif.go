package verify

import (
	"encoding/json"
	"fmt"
	"net/url"

	"github.com/phala-go/phala/attest"
)

// The objects of SARIF 2.1.0, as far as GitHub code scanning reads them.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	}
	sarifLocation struct {
		Physical sarifPhysical `json:"physicalLocation"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
)

// SARIF returns the failed and the impossible checks as a log in SARIF 2.1.0. Code scanning displays each finding at
// a file of the repository: path is that file, relative to its root, such as "docker-compose.yml". Waived checks are
// in the log as suppressed.
func (r *Result) SARIF(path string) ([]byte, error) {
	if path == "" {
		return nil, fmt.Errorf("verify: %w: SARIF needs the path of a file", ErrInput)
	}
	location := []sarifLocation{{sarifPhysical{sarifArtifact{(&url.URL{Path: path}).EscapedPath()}, sarifRegion{1}}}}
	run := sarifRun{Results: []sarifResult{}, Tool: sarifTool{sarifDriver{
		Name: "phala attestation", InformationURI: "https://github.com/phala-go/phala", Rules: []sarifRule{},
	}}}
	rules := map[string]bool{}
	for _, instance := range r.asked() {
		for _, f := range instance.findings() {
			if f.outcome != attest.Failed && f.outcome != attest.NotPossible && !f.waived {
				continue
			}
			if !rules[f.name] {
				rules[f.name] = true
				run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{f.name, sarifText{"attestation check " + f.name}})
			}
			result := sarifResult{
				RuleID: f.name, Level: "error", Locations: location,
				Message:      sarifText{fmt.Sprintf("%s: %s %s: %s", instance.label(), f.name, f.outcome, f.text)},
				Fingerprints: map[string]string{"instance/check": instance.key() + "/" + f.name},
			}
			if f.waived {
				result.Level = "note"
				result.Suppressions = []sarifSuppression{{"external", "waived by the policy"}}
				result.Message.Text = fmt.Sprintf("%s: %s: %s", instance.label(), f.name, f.text)
			}
			run.Results = append(run.Results, result)
		}
	}
	text, err := json.MarshalIndent(&sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("verify: SARIF: %w", err)
	}
	return append(text, '\n'), nil
}
