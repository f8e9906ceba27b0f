package proof

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/verify"
)

// view is what the page shows.
type view struct {
	Style     template.CSS
	Verified  bool
	Error     string
	App, Time string
	Instances []instance
}

// instance is one CVM of the app.
type instance struct {
	Name, Status string
	Error        string
	Links        []link
	Height       int // of the drawing
	Pinned       []pin
	Document     string // the app-compose text, written for people
	Hash         string // of the exact text
}

// link is a step of the chain of trust: some checks that rest on the step before.
type link struct {
	Title, Rests string
	state
	Checks []check
	Y      int // in the drawing
	First  bool
}

type check struct {
	Name string
	state
	Word   string
	Values []value
}

type value struct{ Label, Text string }

type pin struct{ What, Value string }

// state is a mark, and the class that colors it.
type state struct{ Mark, Class string }

var (
	passed   = state{"✓", "good"}
	failed   = state{"✗", "bad"}
	notAsked = state{"–", "none"}
)

// steps are the links of the chain, from the hardware to the docker-compose file.
var steps = []struct {
	title, rests string
	checks       []attest.CheckName
}{
	{"Intel's root", "signs the machine's certificate and the collateral", []attest.CheckName{
		attest.CheckQuote, attest.CheckSignature, attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation}},
	{"The machine", "its quoting enclave signs the quote", []attest.CheckName{
		attest.CheckTDXModule, attest.CheckQEIdentity, attest.CheckTCBEvaluation, attest.CheckTCBStatus, attest.CheckAdvisories,
		attest.CheckSecondOpinion, attest.CheckDevice}},
	{"The confidential VM", "its host can neither read nor move it", []attest.CheckName{
		attest.CheckDebug, attest.CheckSEPTVE, attest.CheckMigratable, attest.CheckReservedAttributes, attest.CheckServiceTD}},
	{"Firmware and operating system", "measured before they start", []attest.CheckName{
		attest.CheckMeasurements, attest.CheckOSImage, attest.CheckProductionOS}},
	{"The event log", "replays to the registers of the quote", []attest.CheckName{
		attest.CheckEventLog, attest.CheckBootEvents, attest.CheckMRConfigID}},
	{"The app", "its document and its keys are in the log", []attest.CheckName{
		attest.CheckAppID, attest.CheckComposeHash, attest.CheckComposeText, attest.CheckInstanceID, attest.CheckKeyProvider}},
	{"Freshness and other checks", "what the guest let the hardware sign", []attest.CheckName{attest.CheckReportData, attest.CheckCloud}},
}

// stepHeight is the distance of two boxes in the drawing.
const stepHeight = 84

func newView(result *verify.Result, err error) view {
	v := view{Style: template.CSS(style), Verified: err == nil} //nolint:gosec // the style is a constant of this package
	if err != nil {
		v.Error = err.Error()
	}
	if result == nil {
		return v
	}
	v.App, v.Time = result.App.String(), result.Time.UTC().Format("2006-01-02 15:04:05 UTC")
	for _, i := range result.Instances {
		v.Instances = append(v.Instances, newInstance(i))
		if i.Err != nil {
			v.Error = "" // it is shown with the instance
		}
	}
	return v
}

func newInstance(i verify.Instance) instance {
	shown := instance{Name: i.Name, Status: i.Status}
	if i.Err != nil {
		shown.Error = i.Err.Error()
	}
	if i.Report != nil {
		shown.Links = links(i.Report)
		shown.Height = len(shown.Links)*stepHeight - 20
	}
	if i.Bundle != nil {
		shown.Pinned = pins(i.Bundle.Policy)
		shown.Document = readable(i.Bundle.Evidence.AppCompose)
	}
	if i.Report != nil && i.Report.Attested.BootEvents != nil {
		shown.Hash = i.Report.Attested.ComposeHash.String()
	}
	return shown
}

// links sorts the checks of a report into the steps. A check that no step names is in the last one.
func links(report *attest.Report) []link {
	all := make([]link, len(steps))
	step := map[attest.CheckName]int{}
	for i, s := range steps {
		all[i] = link{Title: s.title, Rests: s.rests, Y: i * stepHeight, First: i == 0}
		for _, name := range s.checks {
			step[name] = i
		}
	}
	for _, c := range report.Checks {
		i, known := step[c.Name]
		if !known {
			i = len(steps) - 1
		}
		all[i].Checks = append(all[i].Checks, newCheck(c))
	}
	for i := range all {
		all[i].state = notAsked
		for _, c := range all[i].Checks {
			if c.state == failed || c.state == passed && all[i].state != failed {
				all[i].state = c.state
			}
		}
	}
	return all
}

func newCheck(c attest.Check) check {
	shown := check{Name: string(c.Name), Word: string(c.Outcome), state: notAsked}
	switch {
	case c.Waived:
		shown.Word += ", waived"
	case c.Outcome == attest.Passed:
		shown.state = passed
	case c.Outcome == attest.Failed, c.Outcome == attest.NotPossible:
		shown.state = failed
	}
	values := []value{{"", c.Detail}, {"", c.Actual}}
	if c.Outcome == attest.Failed {
		values = []value{{"", c.Detail}, {"expected", c.Expected}, {"actual", c.Actual}}
	}
	for _, v := range values {
		if v.Text != "" {
			shown.Values = append(shown.Values, v)
		}
	}
	return shown
}

// pins are what the policy expects beyond its defaults.
func pins(p attest.Policy) []pin {
	var all []pin
	add := func(what, value string) { all = append(all, pin{what, value}) }
	if !p.AppID.IsZero() {
		add("app id", p.AppID.String())
	}
	for _, hash := range p.ComposeHashes {
		add("compose hash", hash.String())
	}
	for _, key := range p.KMSRootCAs {
		add("root CA of the KMS", hex.EncodeToString(key))
	}
	for _, image := range p.Images {
		add("operating system image", image.String())
	}
	for _, m := range p.Measurements {
		add("measurements", m.Name)
	}
	for _, device := range p.Devices {
		add("machine", device.String())
	}
	if p.ReportData != nil {
		add("report data", hex.EncodeToString(p.ReportData[:]))
	}
	if p.OutOfDateGrace > 0 {
		add("may be out of date for", p.OutOfDateGrace.String())
	}
	for _, status := range p.TCBStatuses {
		add("accepted state of the platform", string(status))
	}
	for _, name := range p.Waive {
		add("waived check", string(name))
	}
	return all
}

// readable writes an app-compose document with its docker-compose file as lines. It is for people: the hash is over the
// exact text, which is in the bundle.
func readable(document string) string {
	var members map[string]any
	if json.Unmarshal([]byte(document), &members) != nil {
		return document
	}
	var out strings.Builder
	for _, name := range []string{"docker_compose_file", "pre_launch_script", "init_script"} {
		if text, ok := members[name].(string); ok && text != "" {
			fmt.Fprintf(&out, "# %s\n%s\n", name, strings.TrimRight(text, "\n")+"\n")
			delete(members, name)
		}
	}
	rest, err := json.MarshalIndent(members, "", "  ")
	if err != nil {
		return document
	}
	fmt.Fprintf(&out, "# everything else\n%s\n", rest)
	return out.String()
}

// short is the beginning and the end of a long value.
func short(text string) string {
	const most = 72
	if r := []rune(text); len(r) > most {
		return string(r[:most/2]) + "…" + string(r[len(r)-16:])
	}
	return text
}
