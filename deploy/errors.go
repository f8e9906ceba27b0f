package deploy

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/attest"
)

// MismatchError says that the cloud answered something else than what was computed or pinned here. Nothing
// more is sent after it.
type MismatchError struct {
	// What was compared: "compose hash", "app id", "env key", "kms root".
	What string
	// Local is the value that this side expects.
	Local string
	// Remote is the value that the cloud gave.
	Remote string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s mismatch: computed here %s, the cloud says %s", e.What, e.Local, e.Remote)
}

// BootError says that the CVM exists but did not come to run.
type BootError struct {
	// CVM identifies it.
	CVM string
	// Status is its last state, such as "error".
	Status string
	// Progress is the last boot step that the guest reported.
	Progress string
	// Text is the guest's error text, empty where it gave none.
	Text string
	// Err is what the wait returned.
	Err error
}

func (e *BootError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cvm %s did not boot: status %s", e.CVM, e.Status)
	if e.Progress != "" {
		fmt.Fprintf(&b, ", at %q", e.Progress)
	}
	if e.Text != "" {
		fmt.Fprintf(&b, ": %s", e.Text)
	}
	return b.String()
}

func (e *BootError) Unwrap() error { return e.Err }

// VerificationError says that a CVM runs, and that the hardware does not prove that it runs what it should. By
// errors.Is it is the sentinel of each check that failed, such as [attest.ErrComposeHash]. The CVM goes on
// running: stop or delete it.
type VerificationError struct {
	// CVM identifies it.
	CVM string
	// Report is the whole report; nil where there was no evidence.
	Report *attest.Report
	// Err is what went wrong, mostly an [*attest.Error].
	Err error
}

func (e *VerificationError) Error() string {
	return fmt.Sprintf("cvm %s runs, but is not verified: %v", e.CVM, e.Err)
}

func (e *VerificationError) Unwrap() error { return e.Err }
