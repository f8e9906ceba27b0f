package inspect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/phala-go/phala/compose"
)

// maxText and manyBytes are the platform's bound on the texts of a document, and what comes near to it.
const (
	maxText   = 200 << 10
	manyBytes = 150 << 10
)

// document adds the findings about an app-compose document.
func (r *Report) document(app *compose.App) {
	size := 0
	for _, text := range []*string{app.DockerComposeFile, app.PreLaunchScript} {
		if text != nil {
			size += len(*text)
		}
	}
	switch {
	case size > maxText:
		r.add(Finding{Severity: Error, Rule: Size, Detail: fmt.Sprintf("docker-compose file and pre-launch script have %d bytes, the platform accepts %d", size, maxText)})
	case size > manyBytes:
		r.add(Finding{Severity: Warning, Rule: Size, Detail: fmt.Sprintf("docker-compose file and pre-launch script have %d bytes of the %d that the platform accepts", size, maxText)})
	}
	if app.PublicLogs == nil || *app.PublicLogs {
		r.add(Finding{Severity: Warning, Rule: PublicLogs, Detail: "everybody can read the logs of the containers; switch public_logs off"})
	}
	if app.PreLaunchScript == nil || *app.PreLaunchScript == "" {
		return
	}
	if _, platform := compose.LookupPreLaunch(*app.PreLaunchScript); platform {
		return
	}
	r.gate()
	r.platformVariables(app)
}

// gate adds a warning for services that Docker starts on its own after a reboot, beside a script of the app's own.
func (r *Report) gate() {
	var names []string
	for _, s := range r.Services {
		if s.Restart == "always" || s.Restart == "unless-stopped" || s.Restart == "any" {
			names = append(names, s.Name)
		}
	}
	if len(names) > 0 {
		r.add(Finding{Severity: Warning, Rule: Gate, Detail: fmt.Sprintf("after a reboot Docker may start %s before the pre-launch script has run; a check that must come first belongs in init_script",
			strings.Join(names, ", "))})
	}
}

// platformVariables adds a warning for variables that the platform's script would have served.
func (r *Report) platformVariables(app *compose.App) {
	names := slices.Clone(app.AllowedEnvs)
	for _, use := range r.Env {
		names = append(names, use.Name)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if effect, ok := compose.PlatformVariable(name); ok {
			r.add(Finding{Severity: Warning, Rule: PlatformVariables, Subject: "variable " + name,
				Detail: fmt.Sprintf("the platform's pre-launch script %s; the app's own script replaces it", effect)})
		}
	}
}
