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
	// ErrNoKMSRoot is returned if secrets are given but there is no way to check the key that they are encrypted for.
	ErrNoKMSRoot = errors.New("secrets need a checked key: pin the KMS root with WithKMSRoot, or give the check up with TrustKMSRootFromCloud or SkipKMSKeyCheck")
	// ErrNoAppID is returned if the cloud would choose the app id of a new app with secrets.
	ErrNoAppID = errors.New("secrets need an app id that the cloud did not choose: give Spec.AppID with Spec.Nonce, or WithTeamWallet, or deploy with WithChain; or accept the cloud's choice with TrustAppIDFromCloud")
	// ErrUnpredictable is returned if a compose hash would be allowed on chain that cannot be computed locally. Add a
	// pre-launch script to the document, or use [TrustComposeHashFromCloud].
	ErrUnpredictable = errors.New("the compose hash cannot be computed here, so it must not go on chain")
	// ErrNotAllowed is returned if the contract of the app does not allow what a flow needs, and the flow may not
	// change it.
	ErrNotAllowed = errors.New("the contract of the app does not allow it")
	// ErrDeviceNotAccepted is returned if the cloud chooses a machine that the caller did not accept.
	ErrDeviceNotAccepted = errors.New("the machine was not accepted: name it in the spec, allow any device, or accept the cloud's choice with TrustDeviceFromCloud")
	// ErrNotApproved is returned if a commit comes before its approval.
	ErrNotApproved = errors.New("not approved yet: allow the compose hash and the device on chain first")
	// ErrExpired is returned if a prepared change has expired, and could not be prepared again.
	ErrExpired = errors.New("the prepared change has expired")
	// ErrOtherSpec is returned if a state is resumed with another spec than its own.
	ErrOtherSpec = errors.New("the state belongs to another spec")
	// ErrUnknownDocument is returned if a flow needs the document of an app and the [App] does not contain it.
	ErrUnknownDocument = errors.New("the document of the app is not known; prove it with Attach, or pass a whole document")
)

// MismatchError is returned if a value of the cloud, of the chain or of a file is not the expected one. Nothing more
// is sent after it.
type MismatchError struct {
	// What is the name of a [Comparison].
	What string
	// Local is the expected value.
	Local string
	// Remote is the received value.
	Remote string
	// Hint is the suggested reaction; empty if there is none.
	Hint string
}

func (e *MismatchError) Error() string {
	text := fmt.Sprintf("%s mismatch: expected %s, got %.200q", e.What, cloudtext.Clean(e.Local), e.Remote)
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	return text
}

// InputError is returned if an argument of the caller breaks a rule, before anything is sent.
type InputError struct {
	// Field is the name of the value, such as "Spec.Compose" or "WithChain".
	Field string
	// Value is the value as text; empty if it is missing or too long.
	Value string
	// Rule is the rule for the value.
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

// AmbiguousError is returned if the response to the creation of a CVM was lost, and it is unknown which CVM of the
// app was created. Find the CVM, set it with [Pending.Resolve], and continue with [Finish].
type AmbiguousError struct {
	// App is the app id, Kind the kind of change.
	App  kms.AppID
	Kind PendingKind
	// CVMs are the vm_uuids of the candidates.
	CVMs []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("app %s has new CVMs (%.200q) and the response with the %s is lost; set it with Pending.Resolve", e.App, e.CVMs, e.Kind)
}

// OnChainError is returned if the chain or its endpoint fails. Err is one of the errors of package kms/onchain, if the
// chain is of that package.
type OnChainError struct {
	// What is the read or the transaction.
	What string
	// Err is the error of the chain.
	Err error
}

func (e *OnChainError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *OnChainError) Unwrap() error { return e.Err }

func onChainError(what string, err error) error { return &OnChainError{What: what, Err: err} }

// mismatch returns the error for a value of the cloud, which may be malformed.
func mismatch(what, local, remote string) error {
	return &MismatchError{What: what, Local: cloudtext.Clean(local), Remote: cloudtext.Clean(remote)}
}

// BootError is returned if the CVM exists and failed to boot.
type BootError struct {
	// CVM is the identifier of the CVM.
	CVM string
	// Status is its last state, such as "error".
	Status openapi.CVMStatus
	// Progress is the last boot step that the guest reported.
	Progress string
	// Text is the guest's error text, empty if it reported none.
	Text string
	// Err is the error of the wait.
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

// TimeoutError is returned if a wait of a flow reached its own limit.
type TimeoutError struct {
	// What is the event that was waited for.
	What string
	// After is the limit.
	After time.Duration
}

func (e *TimeoutError) Error() string { return fmt.Sprintf("%s took more than %s", e.What, e.After) }

// VerificationError is returned if the evidence of a CVM does not prove what it should run. errors.Is matches it with the
// sentinel of each check that failed, such as [attest.ErrComposeHash]. The CVM continues to run: stop or delete it.
type VerificationError struct {
	// CVM is the identifier of the CVM.
	CVM string
	// Report is the whole report; nil if there was no evidence.
	Report *attest.Report
	// Bundle has the evidence with everything that its verification used; nil if there was no evidence.
	Bundle *attest.Bundle
	// Err is the cause, mostly an [*attest.Error].
	Err error
}

func (e *VerificationError) Error() string {
	return fmt.Sprintf("cvm %s is not verified: %v", cloudtext.Clean(e.CVM), e.Err)
}

func (e *VerificationError) Unwrap() error { return e.Err }

// SecretsError is returned if the secrets, the names that the app allows and the docker-compose file contradict each
// other. It contains names of variables, never values.
type SecretsError struct {
	// Names are the variables.
	Names []string
	// Problem is the rule that they break.
	Problem string
}

func (e *SecretsError) Error() string {
	return fmt.Sprintf("secrets: %s: %s", strings.Join(e.Names, ", "), e.Problem)
}
