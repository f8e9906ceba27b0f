package main

import (
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/phala-go/phala/deploy"
)

func line(out io.Writer, name, value string) { fmt.Fprintf(out, "  %-18s %s\n", name, value) }

// show prints an event of a flow.
func (j *job) show(event deploy.Event) {
	switch e := event.(type) {
	case deploy.ComparisonEvent:
		mark := map[deploy.ComparisonOutcome]string{deploy.Confirmed: "✓", deploy.Consistent: "=", deploy.Waived: "!"}[e.Outcome]
		if mark == "" {
			mark = "–"
		}
		value := e.Local
		if value == "" {
			value = string(e.Outcome)
		}
		line(j.out, mark+" "+e.Name, value)
	case deploy.RegisteredEvent:
		line(j.out, "→ on chain", "app "+e.AppID)
		line(j.out, "", "by  "+e.Transaction)
	case deploy.AttestationEvent:
		line(j.out, "→ attested", fmt.Sprintf("%d checks of the hardware's evidence", len(e.Report.Checks)))
	case deploy.RetiredEvent:
		line(j.out, "→ retired", e.ComposeHash)
	case deploy.RunningEvent:
		line(j.out, "→ running", printable(e.CVM.Name))
	default:
		line(j.out, "→", event.String())
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
