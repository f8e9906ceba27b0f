package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Finding is one problem of a file or document.
type Finding struct {
	Severity Severity `json:"severity"`
	// Rule is the kind of finding.
	Rule Rule `json:"rule"`
	// Subject is the part with the problem, such as "service web" or "volume data"; "" is the whole file or document.
	Subject string `json:"subject,omitempty"`
	// Line of the docker-compose file, from 1; 0 if there is none.
	Line int `json:"line,omitempty"`
	// Detail describes the problem and its remedy.
	Detail string `json:"detail"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", f.Severity)
	if f.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", f.Line)
	}
	if f.Subject != "" {
		fmt.Fprintf(&b, "%s: ", f.Subject)
	}
	fmt.Fprintf(&b, "%s: %s", f.Rule, f.Detail)
	return b.String()
}

// Severity is the severity of a finding.
type Severity string

const (
	// Error means that the app cannot work in a CVM.
	Error Severity = "error"
	// Warning means that the app is less secure, or works differently than on other machines.
	Warning Severity = "warning"
)

// Rule is a kind of finding.
type Rule string

// The kinds of findings.
const (
	// Build is an image that is built from files, which a CVM does not have.
	Build Rule = "build"
	// EnvFile is a file of variables, which a CVM does not have.
	EnvFile Rule = "env-file"
	// NullVariable is a key of an environment without a value, which the platform refuses (ERR-01-003), though Docker
	// Compose passes the variable through.
	NullVariable Rule = "null-variable"
	// LocalFile is another file that is read: an include, an extension, the file of a secret or config.
	LocalFile Rule = "local-file"
	// External is a volume, network, secret or config that must exist before the app starts. A CVM has none.
	External Rule = "external"
	// Bind is a mount of a path that a CVM does not have. Docker creates an empty directory.
	Bind Rule = "bind"
	// Device is a device of the CVM that a container gets.
	Device Rule = "device"
	// NoDigest is an image without a digest: the registry can put another one in its place, and the compose
	// hash stays the same.
	NoDigest Rule = "no-digest"
	// IndexDigest is an image whose digest is of an index with attestations; see [Manifest].
	IndexDigest Rule = "index-digest"
	// Privileged is a container that can do what the guest can.
	Privileged Rule = "privileged"
	// Gate is a pre-launch script of the app and a container that Docker may start before the script after a reboot.
	Gate Rule = "gate"
	// PublicLogs is an app whose logs everybody can read.
	PublicLogs Rule = "public-logs"
	// PlatformVariables are variables of the platform's pre-launch script in an app with another script.
	PlatformVariables Rule = "platform-variables"
	// Size is a document near or above the limit of the platform.
	Size Rule = "size"
)

// Err returns an error that lists the findings of severity [Error], nil if there is none.
func (r *Report) Err() error {
	var all []error
	for _, f := range r.Findings {
		if f.Severity == Error {
			all = append(all, errors.New(f.String()))
		}
	}
	return errors.Join(all...)
}

func (r *Report) sort() {
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Subject, b.Subject))
	})
}

// maxDetail is the maximum size of a detail, in bytes.
const maxDetail = 500

func (r *Report) add(f Finding) {
	if len(f.Detail) > maxDetail {
		f.Detail = strings.ToValidUTF8(f.Detail[:maxDetail], "") + "…"
	}
	r.Findings = append(r.Findings, f)
}
