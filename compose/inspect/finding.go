package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Finding is one thing that should be looked at.
type Finding struct {
	Severity Severity `json:"severity"`
	// Rule is the kind of finding.
	Rule Rule `json:"rule"`
	// Subject is what it is about, such as "service web" or "volume data"; "" for the file or the document.
	Subject string `json:"subject,omitempty"`
	// Line of the docker-compose file, from 1; 0 if it is about no line.
	Line int `json:"line,omitempty"`
	// Detail is what was found, and what to do.
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

// Severity is how bad a finding is.
type Severity string

const (
	// Error is what cannot work in a CVM.
	Error Severity = "error"
	// Warning is what weakens the app, or works otherwise than on other machines.
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
	// External is a volume, network, secret or config that must exist before, which none does in a CVM.
	External Rule = "external"
	// Bind is a mount of a path that a CVM does not have: Docker makes an empty directory of it.
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
	// Gate is a script before the app that does not run before containers after a reboot.
	Gate Rule = "gate"
	// PublicLogs is an app whose logs everybody can read.
	PublicLogs Rule = "public-logs"
	// PlatformVariables are variables that the platform's pre-launch script serves, which an own one replaces.
	PlatformVariables Rule = "platform-variables"
	// Size is a document near the bound of the platform or beyond.
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

// maxDetail bounds what a finding shows of a file, in bytes.
const maxDetail = 500

func (r *Report) add(f Finding) {
	if len(f.Detail) > maxDetail {
		f.Detail = strings.ToValidUTF8(f.Detail[:maxDetail], "") + "…"
	}
	r.Findings = append(r.Findings, f)
}
