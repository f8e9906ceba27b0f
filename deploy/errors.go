package deploy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

var (
	// ErrNoKMSRoot is returned if secrets are given but no way to check the key they are encrypted for.
	ErrNoKMSRoot = errors.New("secrets need a checked key: pin the KMS root with WithKMSRoot, or give the check up with TrustKMSRootFromCloud or SkipKMSKeyCheck")
	// ErrNoAppID is returned if a new app with secrets has an app id that only the cloud knows.
	ErrNoAppID = errors.New("secrets need an app id that the cloud did not choose: give Spec.AppID with Spec.Nonce, or WithTeamWallet, or deploy with WithChain; or accept the cloud's choice with TrustAppIDFromCloud")
	// ErrUnpredictable is returned if a compose hash would go on chain that cannot be computed here. Give the
	// document a pre-launch script, or give the check up by [TrustComposeHashFromCloud].
	ErrUnpredictable = errors.New("the compose hash cannot be computed here, so it must not go on chain")
	// ErrNotAllowed is returned if the contract of the app does not allow what a flow needs and may not add.
	ErrNotAllowed = errors.New("the contract of the app does not allow it")
	// ErrDeviceNotAccepted is returned if the cloud names a machine that the caller did not accept.
	ErrDeviceNotAccepted = errors.New("the machine was not accepted: name it in the spec, allow any device, or accept the cloud's choice with TrustDeviceFromCloud")
	// ErrNotApproved is returned if a commit comes before its approval.
	ErrNotApproved = errors.New("not approved yet: allow the compose hash and the device on chain first")
	// ErrExpired is returned if the cloud has forgotten what was prepared, and it could not be prepared anew.
	ErrExpired = errors.New("what was prepared has expired")
	// ErrOtherSpec is returned if a state is resumed with another spec than the one it began with.
	ErrOtherSpec = errors.New("the state belongs to another spec")
	// ErrUnknownDocument is returned if a flow needs the document of an app and the [App] does not have it.
	ErrUnknownDocument = errors.New("the document of the app is not known; prove it with Attach, or hand in a whole one")
)

// MismatchError is returned if a value of the cloud, of the chain or of a file is not the one that this side knows.
// Nothing more is sent after it.
type MismatchError struct {
	// What was compared: the name of a [Check].
	What string
	// Local is the value that this side expects.
	Local string
	// Remote is the value that was answered.
	Remote string
	// Hint is what can be done about it; empty if nothing in particular.
	Hint string
}

func (e *MismatchError) Error() string {
	text := fmt.Sprintf("%s mismatch: expected %s, got %.200q", e.What, cloudtext.Clean(e.Local), e.Remote)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// InputError is returned if a value that the caller handed in breaks a rule, before anything is sent.
type InputError struct {
	// Field names the value, such as "Spec.Compose" or "WithChain".
	Field string
	// Value is the value as text; empty if it is missing or too long to show.
	Value string
	// Rule is what it must be.
	Rule string
	// Err is the cause; nil if there is none.
	Err error
}

func (e *InputError) Error() string {
	text := e.Field
	if e.Value != "" {
		text += " is " + cloudtext.Clean(e.Value)
	}
	if e.Rule != "" {
		text += ": " + e.Rule
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *InputError) Unwrap() error { return e.Err }

// AmbiguousError is returned if the answer to a call that makes a CVM was lost, and nobody can tell which CVM of the
// app it made. Find the CVM, name it with [Pending.Resolve], and go on with [Finish].
type AmbiguousError struct {
	// App is the app id, Kind what was made.
	App  kms.AppID
	Kind PendingKind
	// CVMs are the vm_uuids of those that can be it.
	CVMs []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("app %s has new CVMs (%.200q) and the answer that named the %s is lost; name it with Pending.Resolve", e.App, e.CVMs, e.Kind)
}

// OnChainError is returned if the chain or its endpoint fails. Err is one of the errors of package kms/onchain, if the
// chain is of that package.
type OnChainError struct {
	// What was read or sent.
	What string
	// Err is what the chain returned.
	Err error
}

func (e *OnChainError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *OnChainError) Unwrap() error { return e.Err }

func onChainError(what string, err error) error { return &OnChainError{What: what, Err: err} }

// mismatch is a difference from a value of the cloud, which may be malformed.
func mismatch(check, local, remote string) error {
	return &MismatchError{What: check, Local: cloudtext.Clean(local), Remote: cloudtext.Clean(remote)}
}

// BootError is returned if the CVM exists but did not come to run.
type BootError struct {
	// CVM identifies it.
	CVM string
	// Status is its last state, such as "error".
	Status openapi.CVMStatus
	// Progress is the last boot step that the guest reported.
	Progress string
	// Text is the guest's error text, empty if it reported none.
	Text string
	// Err is what the wait returned.
	Err error
}

func (e *BootError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cvm %s did not boot: status %.100q", cloudtext.Clean(e.CVM), e.Status)
	if e.Progress != "" {
		fmt.Fprintf(&b, ", at %.200q", e.Progress)
	}
	if e.Text != "" {
		fmt.Fprintf(&b, ": %.1000q", e.Text)
	}
	return b.String()
}

func (e *BootError) Unwrap() error { return e.Err }

// TimeoutError is returned if a wait of a flow reached its own bound.
type TimeoutError struct {
	// What was waited for.
	What string
	// After is the bound.
	After time.Duration
}

func (e *TimeoutError) Error() string { return fmt.Sprintf("%s took more than %s", e.What, e.After) }

// VerificationError is returned if a CVM runs and the hardware does not prove that it runs what it should. By
// errors.Is it is the sentinel of each check that failed, such as [attest.ErrComposeHash]. The CVM goes on
// running: stop or delete it.
type VerificationError struct {
	// CVM identifies it.
	CVM string
	// Report is the whole report; nil if there was no evidence.
	Report *attest.Report
	// Bundle has the evidence with everything that its verification used; nil if there was no evidence.
	Bundle *attest.Bundle
	// Err is what went wrong, mostly an [*attest.Error].
	Err error
}

func (e *VerificationError) Error() string {
	return fmt.Sprintf("cvm %s runs, but is not verified: %v", cloudtext.Clean(e.CVM), e.Err)
}

func (e *VerificationError) Unwrap() error { return e.Err }

// SecretsError is returned if the secrets, the names that the app allows and the docker-compose file do not fit
// together. It names variables, never values.
type SecretsError struct {
	// Names are the variables.
	Names []string
	// Problem is the rule that they break.
	Problem string
}

func (e *SecretsError) Error() string {
	return fmt.Sprintf("secrets: %s: %s", strings.Join(e.Names, ", "), e.Problem)
}
