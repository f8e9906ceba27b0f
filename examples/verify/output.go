package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/verify"
)

// formats are the values of -format.
func formats() []string { return []string{"text", "json", "junit", "sarif"} }

func (s *settings) write(out io.Writer, result *verify.Result) error {
	var text []byte
	var err error
	switch s.format {
	case "json":
		if text, err = json.MarshalIndent(result, "", "  "); err == nil {
			text = append(text, '\n')
		}
	case "junit":
		text, err = result.JUnit()
	case "sarif":
		text, err = result.SARIF(s.artifact)
	default:
		for i := range result.Instances {
			table(out, &result.Instances[i])
		}
	}
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// table has a line for every check, also for what was not asked.
func table(out io.Writer, instance *verify.Instance) {
	report := instance.Report
	if report == nil {
		fmt.Fprintf(out, "\n✗ NO EVIDENCE  %s  %s\n", printable(instance.Name), printable(instance.Status))
		return
	}
	verdict := "✗ NOT VERIFIED"
	if report.Verified {
		verdict = "✓ verified"
	}
	fmt.Fprintf(out, "\n%s  %s\n\n", verdict, printable(report.Name))
	marks := map[attest.Outcome]string{attest.Passed: "✓", attest.Failed: "✗", attest.NotPossible: "?", attest.NotAsked: "–"}
	for _, check := range report.Checks {
		what := check.Detail
		if what == "" {
			what = check.Actual
		}
		line := fmt.Sprintf("  %s %-20s %-12s %s", marks[check.Outcome], printable(string(check.Name)), check.Outcome, shorten(what))
		fmt.Fprintln(out, strings.TrimRight(line, " "))
		if check.Pin != "" {
			fmt.Fprintf(out, "  %-35s to expect it: %s\n", "", printable(check.Pin))
		}
		if check.Outcome == attest.Failed && check.Expected != "" {
			fmt.Fprintf(out, "  %-35s expected %s\n  %-35s actual   %s\n", "", printable(check.Expected), "", printable(check.Actual))
		}
	}
}

// printable replaces the characters that could control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// shorten keeps a value on one line.
func shorten(text string) string {
	const most = 80
	r := []rune(printable(text))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}
