package verify

import (
	"encoding/xml"
	"fmt"
	"time"

	"github.com/phala-go/phala/attest"
)

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
