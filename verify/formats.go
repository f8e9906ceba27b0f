package verify

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/internal/cloudtext"
)

// Exit codes by kind of failure, the most basic first.
const (
	exitVerified    = 0
	exitHardware    = 10
	exitPlatform    = 11
	exitDomain      = 12
	exitSystem      = 13
	exitApp         = 14
	exitKeys        = 15
	exitOther       = 16
	exitNotPossible = 20
)

// ExitCode returns an exit code for programs, by the most basic kind of failure:
//
//	 0  every running instance is verified
//	10  the evidence is not of genuine hardware: quote, signatures, collateral, revocation
//	11  the platform is not in an accepted state: TCB status, advisories, expired collateral
//	12  the host can read the CVM: debug mode and other attributes
//	13  another operating system, or a development image
//	14  another app: event log, app id, compose hash, document, instance
//	15  the keys of the app have another source, or its KMS is not verified ([WithKMS])
//	16  another check failed: report data, device, checks of the caller, the gateway ([WithGateway])
//	20  nothing failed, but something could not be checked: no evidence, no collateral, nothing runs
//
// The codes in between are free for the program.
func (r *Result) ExitCode() int {
	code, running := exitVerified, 0
	worse := func(found int) {
		if code == exitVerified || found < code {
			code = found
		}
	}
	for i := range r.Instances {
		instance := &r.Instances[i]
		if !instance.counts() {
			continue
		}
		running++
		if instance.Err != nil {
			worse(instance.exitCode())
		}
	}
	if running == 0 {
		worse(exitNotPossible)
	}
	if r.kmsAsked && r.KMS.Err != nil {
		worse(exitKeys)
	}
	if r.gatewayAsked && r.Gateway.Err != nil {
		worse(exitOther)
	}
	return code
}

func (i *Instance) exitCode() int {
	code := exitNotPossible
	if errors.Is(i.Err, attest.ErrInstanceID) {
		code = exitApp
	}
	if i.Report == nil {
		return code
	}
	for _, c := range i.Report.Checks {
		if c.Outcome == attest.Failed && !c.Waived {
			code = min(code, exitCodeOf(c.Name))
		}
	}
	return code
}

func exitCodeOf(name attest.CheckName) int {
	switch name {
	case attest.CheckQuote, attest.CheckSignature, attest.CheckCollateral, attest.CheckRevocation, attest.CheckTDXModule,
		attest.CheckQEIdentity, attest.CheckSecondOpinion:
		return exitHardware
	case attest.CheckCollateralTime, attest.CheckTCBEvaluation, attest.CheckTCBStatus, attest.CheckAdvisories:
		return exitPlatform
	case attest.CheckDebug, attest.CheckSEPTVE, attest.CheckMigratable, attest.CheckReservedAttributes, attest.CheckServiceTD:
		return exitDomain
	case attest.CheckMeasurements, attest.CheckOSImage, attest.CheckProductionOS:
		return exitSystem
	case attest.CheckEventLog, attest.CheckBootEvents, attest.CheckAppID, attest.CheckComposeHash, attest.CheckComposeText,
		attest.CheckInstanceID, attest.CheckMRConfigID, checkDocument:
		return exitApp
	case attest.CheckKeyProvider:
		return exitKeys
	}
	return exitOther
}

// evidenceFinding is the name of the finding of an instance without a report.
const evidenceFinding = "evidence"

// finding is one line of a machine-readable report. A check that is waived, or of an instance that does not run, has the
// outcome [attest.NotAsked], which is no failure.
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
	if i.Err != nil && i.Report.Verified { // such as the same evidence of two instances
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

// The elements of JUnit's XML, in the form that Jenkins, GitLab and GitHub actions read.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Time  string      `xml:"timestamp,attr"`
		Cases []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	junitCase struct {
		Class   string      `xml:"classname,attr"`
		Name    string      `xml:"name,attr"`
		Failure *junitNote  `xml:"failure"`
		Error   *junitNote  `xml:"error"`
		Skipped *junitNote  `xml:"skipped"`
		Output  *junitPlain `xml:"system-out"`
	}
	junitNote struct {
		Type    string `xml:"type,attr,omitempty"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	junitPlain struct {
		Text string `xml:",chardata"`
	}
)

// JUnit returns the result as JUnit XML: a test suite for each instance, a test case for each check. A check that
// failed is a failure, one that was not possible an error; what was not asked or was waived is skipped.
func (r *Result) JUnit() ([]byte, error) {
	all := junitSuites{Name: "attestation of app " + r.App.String()}
	for _, instance := range r.asked() {
		suite := instance.suite()
		suite.Time = r.Time.UTC().Format(time.RFC3339)
		all.Tests += suite.Tests
		all.Failures += suite.Failures
		all.Errors += suite.Errors
		all.Skipped += suite.Skipped
		all.Suites = append(all.Suites, suite)
	}
	text, err := xml.MarshalIndent(&all, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("verify: JUnit: %w", err)
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

func (i *Instance) suite() junitSuite {
	s := junitSuite{Name: i.label()}
	for _, f := range i.findings() {
		c := junitCase{Class: s.Name, Name: f.name}
		note := &junitNote{Type: string(f.outcome), Message: f.text}
		switch f.outcome {
		case attest.Failed:
			c.Failure = note
			s.Failures++
		case attest.NotPossible:
			c.Error = note
			s.Errors++
		case attest.NotAsked:
			note.Type = ""
			c.Skipped = note
			s.Skipped++
		default:
			if f.text != "" {
				c.Output = &junitPlain{f.text}
			}
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
	return s
}

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
