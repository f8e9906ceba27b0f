package verify_test

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// forged verifies what the authority signs under the policy that expects the app.
func forged(t *testing.T, a *quotetest.Authority, spec quotetest.Spec, changes ...quotetest.Change) verify.Instance {
	t.Helper()
	_, evidence, err := a.Certificate(spec, changes...)
	require.NoError(t, err)
	return verified(t, a, evidence)
}

func verified(t *testing.T, a *quotetest.Authority, evidence attest.Evidence) verify.Instance {
	t.Helper()
	policy := expecting(t, a)
	policy.AppID = app().AppID
	policy.KMSRootCAs = [][]byte{quotetest.KMSRootCA()}
	report, err := attest.Verify(t.Context(), evidence, policy)
	require.NotNil(t, report)
	i := verify.Instance{CVM: "c1", Name: "web", Status: "running", Report: report}
	if err != nil {
		i.Err = &verify.Error{CVM: "c1", Report: report, Err: err}
	}
	return i
}

func result(instances ...verify.Instance) *verify.Result {
	return &verify.Result{App: app().AppID, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Instances: instances}
}

func TestResult_ExitCode(t *testing.T) {
	t.Parallel()
	a := authority(t)
	with := func(change func(*quotetest.Spec)) verify.Instance {
		spec := app()
		change(&spec)
		return forged(t, a, spec)
	}
	quote := func(change func(*attest.Quote)) verify.Instance {
		return forged(t, a, app(), quotetest.ChangeQuote(change))
	}
	good := forged(t, a, app())
	_, torn, err := a.Certificate(app())
	require.NoError(t, err)
	torn.Quote = torn.Quote[:700]
	_, silent, err := a.Certificate(app())
	require.NoError(t, err)
	silent.Quote = nil
	stopped := verify.Instance{Name: "old", Status: "stopped", Err: errors.New("nothing to show")}
	unread := verify.Instance{Name: "unread", Err: &verify.Error{Err: errors.New("not hexadecimal")}}
	another, debug := with(func(s *quotetest.Spec) { s.AppID = kms.AppID{9} }), quote(func(q *attest.Quote) { q.TDAttributes[0] = 1 })
	edited := with(func(s *quotetest.Spec) { s.AppCompose = "{}" })

	for name, tt := range map[string]struct {
		code int
		of   *verify.Result
	}{
		"verified":                     {0, result(good)},
		"verified, and one stopped":    {0, result(good, stopped)},
		"a torn quote":                 {10, result(verified(t, a, torn))},
		"revoked":                      {10, result(forged(t, authority(t, quotetest.WithRevokedPCK()), app()))},
		"out of date":                  {11, result(forged(t, authority(t, quotetest.WithTCBStatus(attest.OutOfDate)), app()))},
		"under debug":                  {12, result(debug)},
		"another firmware":             {13, result(quote(func(q *attest.Quote) { q.MRTD[0] ^= 1 }))},
		"another compose":              {14, result(edited)},
		"another app":                  {14, result(another)},
		"another KMS":                  {15, result(with(func(s *quotetest.Spec) { s.KeyProvider = attest.KeyProvider{Name: "kms", ID: "3059"} }))},
		"no quote":                     {20, result(verified(t, a, silent))},
		"unreadable":                   {20, result(unread)},
		"nothing runs":                 {20, result(stopped)},
		"nothing":                      {20, result()},
		"the most basic failure":       {12, result(good, another, debug, unread)},
		"a failure before a mere lack": {14, result(unread, another)},
	} {
		assert.Equal(t, tt.code, tt.of.ExitCode(), name)
	}
}

func TestResult_JUnit(t *testing.T) {
	t.Parallel()
	a := authority(t)
	spec := app()
	spec.AppCompose = "{}"
	wrong := forged(t, a, spec)
	wrong.Name = "evil\x00\x1b[31m<&\"]]>\xff"
	stopped := verify.Instance{Name: "old", Status: "stopped", Err: errors.New("nothing to show")}
	unread := verify.Instance{CVM: "c2", Err: &verify.Error{CVM: "c2", Err: errors.New("neither hexadecimal nor base64")}}
	text, err := result(forged(t, a, app()), wrong, stopped, unread).JUnit()
	require.NoError(t, err)

	var suites struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Suites   []struct {
			Name      string `xml:"name,attr"`
			Timestamp string `xml:"timestamp,attr"`
			Failures  int    `xml:"failures,attr"`
			Errors    int    `xml:"errors,attr"`
			Cases     []struct {
				Name    string `xml:"name,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
				} `xml:"failure"`
				Error *struct {
					Message string `xml:"message,attr"`
				} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	require.NoError(t, xml.Unmarshal(text, &suites))
	require.Len(t, suites.Suites, 4)
	assert.Contains(t, suites.Name, app().AppID.String())
	assert.Equal(t, "2026-03-01T12:00:00Z", suites.Suites[0].Timestamp)
	assert.Zero(t, suites.Suites[0].Failures+suites.Suites[0].Errors)
	assert.Equal(t, `evil\x00\x1b[31m<&"]]>\xff (c1)`, suites.Suites[1].Name)
	assert.Equal(t, 1, suites.Failures)
	failed := 0
	for _, c := range suites.Suites[1].Cases {
		if c.Failure != nil {
			failed++
			assert.Equal(t, "compose-hash", c.Name)
			assert.Contains(t, c.Failure.Message, "expected "+compose.Sum([]byte(app().AppCompose)).String())
			assert.Contains(t, c.Failure.Message, "actual "+compose.Sum([]byte("{}")).String())
		}
	}
	assert.Equal(t, 1, failed)
	assert.NotNil(t, suites.Suites[2].Cases[0].Skipped, "what does not run fails nothing")
	assert.Equal(t, 1, suites.Errors)
	assert.Contains(t, suites.Suites[3].Cases[0].Error.Message, "neither hexadecimal")
	total := 0
	for _, s := range suites.Suites {
		total += len(s.Cases)
	}
	assert.Equal(t, total, suites.Tests)
}

func TestResult_SARIF(t *testing.T) {
	t.Parallel()
	a := authority(t)
	spec := app()
	spec.AppCompose = "{}"
	_, evidence, err := a.Certificate(spec)
	require.NoError(t, err)
	policy := expecting(t, a)
	policy.Devices = []kms.DeviceID{{1}}
	policy.Waive = []attest.CheckName{attest.CheckDevice}
	report, err := attest.Verify(t.Context(), evidence, policy)
	require.Error(t, err)
	wrong := verify.Instance{CVM: "C-1", Name: "web", Report: report, Err: err}
	text, err := result(wrong, forged(t, a, app()), verify.Instance{Name: "unread", Err: errors.New("torn")}).SARIF("deploy/docker compose.yml")
	require.NoError(t, err)

	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string
					Rules []struct{ ID string }
				}
			}
			Results []struct {
				RuleID    string
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					PhysicalLocation struct {
						ArtifactLocation struct{ URI string }
						Region           struct{ StartLine int }
					}
				}
				PartialFingerprints map[string]string
				Suppressions        []struct{ Kind string }
			}
		}
	}
	require.NoError(t, json.Unmarshal(text, &log))
	assert.Equal(t, "2.1.0", log.Version)
	require.Len(t, log.Runs, 1)
	rules := map[string]bool{}
	for _, rule := range log.Runs[0].Tool.Driver.Rules {
		assert.False(t, rules[rule.ID], "each rule once")
		rules[rule.ID] = true
	}
	levels := map[string]string{}
	for _, r := range log.Runs[0].Results {
		assert.True(t, rules[r.RuleID], r.RuleID)
		levels[r.RuleID] = r.Level
		require.Len(t, r.Locations, 1)
		assert.Equal(t, "deploy/docker%20compose.yml", r.Locations[0].PhysicalLocation.ArtifactLocation.URI)
		assert.Equal(t, 1, r.Locations[0].PhysicalLocation.Region.StartLine)
		assert.NotEmpty(t, r.PartialFingerprints)
		assert.Equal(t, r.Level == "note", len(r.Suppressions) == 1)
	}
	assert.Equal(t, map[string]string{"compose-hash": "error", "device": "note", "evidence": "error"}, levels)
	assert.Contains(t, log.Runs[0].Results[0].Message.Text, "web (C-1): compose-hash failed: ")

	empty, err := result(forged(t, a, app())).SARIF("docker-compose.yml")
	require.NoError(t, err)
	assert.Contains(t, string(empty), `"results": []`, "an empty list closes the findings of before; null is no SARIF")
	_, err = result().SARIF("")
	require.Error(t, err)
}
