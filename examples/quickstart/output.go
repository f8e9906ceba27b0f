package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
)

// output prints the sections and lines of the program.
type output struct{ out io.Writer }

func (o output) section(title string) { fmt.Fprintf(o.out, "\n%s\n", title) }

func (o output) line(name, value string) { fmt.Fprintf(o.out, "  %-18s %s\n", name, value) }

func (o output) event(event deploy.Event) {
	switch e := event.(type) {
	case deploy.ProvisionedEvent:
		o.line("→ provisioned", "app "+e.AppID)
	case deploy.ComparisonEvent:
		o.comparison(e.Comparison)
	case deploy.EncryptedEvent:
		o.line("→ encrypted", fmt.Sprintf("%s into %d bytes", strings.Join(e.Names, ", "), e.Bytes))
	case deploy.CreatedEvent:
		o.line("→ created", "cvm "+printable(e.CVM))
	case deploy.StatusEvent:
		o.line("→ state", e.String())
	}
}

func (o output) comparison(c deploy.Comparison) {
	mark := map[deploy.ComparisonOutcome]string{
		deploy.Confirmed: "✓", deploy.Consistent: "=", deploy.Waived: "!", deploy.Undecided: "–", deploy.NotNeeded: "–", deploy.Noticed: "!",
	}[c.Outcome]
	switch {
	case c.Local != "" && c.Remote != "":
		o.line(mark+" "+c.Name, "here  "+c.Local)
		o.line("", "cloud "+printable(c.Remote))
	default:
		o.line(mark+" "+c.Name, string(c.Outcome))
	}
	if c.Reason != "" {
		o.line("", printable(c.Reason))
	}
}

// app prints what runs.
func (o output) app(app *deploy.App) {
	compared := make([]string, len(app.Last.Comparisons))
	for i, c := range app.Last.Comparisons {
		compared[i] = fmt.Sprintf("%s %s", c.Name, c.Outcome)
	}
	o.line("compared", strings.Join(compared, ", "))
	o.line("cvm", fmt.Sprintf("%s (%s)", printable(app.CVMs[0].Name), printable(app.CVMs[0].ID)))
	for _, url := range app.Last.URLs {
		o.line("url", printable(url))
	}
}

// report has a line for every check, also for what was not asked.
func (o output) report(report *attest.Report) {
	for _, check := range report.Checks {
		mark := map[attest.Outcome]string{attest.Passed: "✓", attest.Failed: "✗", attest.NotPossible: "?", attest.NotAsked: "–"}[check.Outcome]
		what := check.Detail
		if what == "" {
			what = check.Actual
		}
		switch {
		case what == "":
			what = string(check.Outcome)
		case check.Outcome == attest.NotAsked:
			what = "not asked, " + what
		}
		o.line(mark+" "+string(check.Name), shorten(what))
		if check.Outcome == attest.Failed && check.Expected != "" {
			o.line("", "expected "+printable(check.Expected))
			o.line("", "actual   "+printable(check.Actual))
		}
	}
}

// printable replaces characters that could control the terminal, in text of the cloud.
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
	const most = 90
	r := []rune(printable(text))
	if len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return string(r)
}
