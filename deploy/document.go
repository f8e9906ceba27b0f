package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/compose/inspect"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/openapi"
)

// document is an app-compose with its canonical bytes, which are sent and hashed.
type document struct {
	app  *compose.App
	text []byte
	hash compose.Hash
	// predictable reports whether the platform runs these bytes unchanged.
	predictable bool
}

func newDocument(app *compose.App) (document, error) {
	text, err := app.Canonical()
	if err != nil {
		return document{}, &InputError{Field: "app-compose", Err: err}
	}
	d := document{app: app, text: text, hash: compose.Sum(text), predictable: app.Predictable()}
	if err := app.Validate(); err != nil {
		return document{}, &InputError{Field: "app-compose", Err: err}
	}
	return d, nil
}

func parseDocument(text string) (document, error) {
	app, err := compose.Parse([]byte(text))
	if err != nil {
		return document{}, &InputError{Field: "app-compose", Err: err}
	}
	return newDocument(app)
}

// documentOf returns the document of a request.
func documentOf(sent openapi.AppCompose) (document, error) {
	text, err := json.Marshal(sent)
	if err != nil {
		return document{}, err
	}
	return parseDocument(string(text))
}

// into decodes the document into a request.
func (d document) into(to any) error {
	if err := json.Unmarshal(d.text, to); err != nil {
		return &InputError{Field: "app-compose", Rule: "it does not fit the API", Err: err}
	}
	return nil
}

// withSecrets returns the document of a spec. If its allowed_envs are empty, they are the names of the secrets. app is
// not changed.
func withSecrets(app *compose.App, env []compose.EnvVar) (document, error) {
	own := *app
	if len(own.AllowedEnvs) == 0 {
		own.AllowedEnvs = envNames(env)
	}
	for _, name := range envNames(env) {
		if !slices.Contains(own.AllowedEnvs, name) {
			return document{}, &SecretsError{Names: []string{name}, Problem: "the allowed_envs of the app-compose do not have it, so the guest would drop it"}
		}
	}
	return newDocument(&own)
}

// envNames returns the names of variables, sorted.
func envNames(env []compose.EnvVar) []string {
	names := make([]string, len(env))
	for i, v := range env {
		names[i] = v.Key
	}
	slices.Sort(names)
	return names
}

// follows compares the booted text with the sent document. The platform may have added its documented defaults and a
// pre-launch script: one that package compose lists, or one whose hash is in scripts.
func (d document) follows(ran string, scripts []compose.Hash) (Comparison, error) {
	hash := compose.Sum([]byte(ran))
	if hash.Equal(d.hash) {
		return Comparison{Name: ComparedDocument, Outcome: Confirmed, Local: hash.String(), Reason: "equal to the sent document"}, nil
	}
	sent, script := d.text, ""
	if d.app.PreLaunchScript == nil {
		if with, ok := d.withAccepted(ran, scripts); ok {
			sent, script = with, ", with a pre-launch script of AcceptPreLaunchScripts"
		}
	}
	completion, err := compose.CompareCompleted(sent, []byte(ran))
	if err != nil {
		return Comparison{}, fmt.Errorf("%w: %w", &MismatchError{What: ComparedDocument, Local: d.hash.String(), Remote: hash.String()}, err)
	}
	if p := completion.PreLaunch; p != nil {
		script = fmt.Sprintf(", with the platform's pre-launch script %s (%s)", p.Version, p.SHA256)
	}
	return Comparison{Name: ComparedDocument, Outcome: Confirmed, Local: d.hash.String(), Remote: hash.String(), Reason: "completed by the platform" + script}, nil
}

// withAccepted returns the document with the pre-launch script of ran, if its hash is one of scripts.
func (d document) withAccepted(ran string, scripts []compose.Hash) ([]byte, bool) {
	app, err := compose.Parse([]byte(ran))
	if err != nil || app.PreLaunchScript == nil || !slices.Contains(scripts, compose.Sum([]byte(*app.PreLaunchScript))) {
		return nil, false
	}
	own := *d.app
	own.PreLaunchScript = app.PreLaunchScript
	text, err := own.Canonical()
	return text, err == nil
}

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

// inspect returns an error for findings that cannot work in a confidential VM, and the other findings as comparisons.
func (c *config) inspect(ctx context.Context, doc document) ([]Comparison, error) {
	report, err := inspect.App(ctx, doc.app)
	if err != nil {
		return nil, &InputError{Field: "Compose", Err: err}
	}
	var comparisons []Comparison
	var wrong FindingsError
	for _, finding := range report.Findings {
		if finding.Severity == inspect.Error && !slices.Contains(c.mayFind, finding.Rule) {
			wrong.Findings = append(wrong.Findings, finding)
			continue
		}
		comparisons = append(comparisons, Comparison{Name: ComparedInspection, Outcome: Noticed, Reason: cloudtext.Clean(finding.String())})
	}
	if len(wrong.Findings) > 0 {
		return nil, &wrong
	}
	return comparisons, nil
}

// PreLaunchStatus is the comparison of an app's pre-launch script with the platform's current one.
type PreLaunchStatus struct {
	// Hash is the SHA-256 of the script in the document of the [App]; zero if it has none.
	Hash compose.Hash
	// Running is the platform's script that the document has; nil if it has a script of its own, or none.
	Running *compose.PreLaunchScript
	// Announced is the hash that the cloud reports as the latest official one, and Latest the known script with that
	// hash in package compose. If Latest is nil, the script is unverified: do not adopt it unread.
	Announced compose.Hash
	Latest    *compose.PreLaunchScript
}

// PreLaunch compares the pre-launch script of an app with the published scripts of the platform. The hash that the
// cloud reports is only looked up among them. Only newer servers report it.
func PreLaunch(ctx context.Context, c *client.Client, app *App) (*PreLaunchStatus, error) {
	doc, err := app.Compose()
	if err != nil {
		return nil, fmt.Errorf("pre-launch script: %w", err)
	}
	cvm, err := app.find("")
	if err != nil {
		return nil, fmt.Errorf("pre-launch script: %w", err)
	}
	status := &PreLaunchStatus{}
	if doc.PreLaunchScript != nil {
		status.Hash = compose.Sum([]byte(*doc.PreLaunchScript))
		if script, ok := compose.LookupPreLaunch(*doc.PreLaunchScript); ok {
			status.Running = &script
		}
	}
	upgrade, err := c.CVMs.GetPreLaunchUpgrade(ctx, cvm.ID)
	if err != nil {
		return nil, fmt.Errorf("pre-launch script of cvm %s: %w", cvm.ID, err)
	}
	if status.Announced, err = compose.ParseHash(upgrade.LatestOfficialHash); err != nil {
		return nil, mismatch(ComparedDocument, "the hash of the latest official pre-launch script", upgrade.LatestOfficialHash)
	}
	if script, ok := compose.LookupPreLaunchHash(status.Announced.String()); ok {
		status.Latest = &script
	}
	return status, nil
}
