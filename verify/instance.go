package verify

import (
	"encoding/json"
	"fmt"

	"github.com/phala-go/phala/attest"
)

// Instance is the verification of one CVM.
type Instance struct {
	// CVM is its vm_uuid, and Status its state such as "running", both as the cloud reports them.
	CVM    string `json:"cvm,omitempty"`
	Name   string `json:"name"`
	Status string `json:"status,omitempty"`
	// Report is nil if the evidence could not be read.
	Report *attest.Report `json:"report,omitempty"`
	// Bundle has the evidence with everything that its verification used, to verify it offline later; nil if the
	// evidence could not be read.
	Bundle *attest.Bundle `json:"-"`
	// Err is nil if the instance is verified, else an [*Error].
	Err error `json:"-"`
}

// counts reports whether the instance is part of the verdict: it runs, or it has evidence whatever the cloud reports
// about its state. Otherwise the cloud could report an instance as stopped whose evidence fails.
func (i *Instance) counts() bool {
	return i.Status == "" || i.Status == "running" || i.Bundle != nil && len(i.Bundle.Evidence.Quote) > 0
}

// fail sets the error of the instance, if there is one.
func (i *Instance) fail(err error) {
	if err == nil {
		return
	}
	name := i.CVM
	if name == "" {
		name = i.Name
	}
	i.Err = &Error{CVM: name, Report: i.Report, Err: err}
}

// MarshalJSON adds the text of the error as "error".
func (i Instance) MarshalJSON() ([]byte, error) {
	type plain Instance
	text := ""
	if i.Err != nil {
		text = i.Err.Error()
	}
	return json.Marshal(struct {
		plain
		Error string `json:"error,omitempty"`
	}{plain(i), text})
}

// Error is returned if the hardware does not prove that a CVM runs what it should. errors.Is matches it with the
// sentinel of each check that failed, such as [attest.ErrComposeHash].
type Error struct {
	// CVM is the identifier of the CVM.
	CVM string
	// Report is nil if there was no evidence.
	Report *attest.Report
	// Err is the cause, mostly an [*attest.Error].
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("cvm %.200q is not verified: %v", e.CVM, e.Err) }

func (e *Error) Unwrap() error { return e.Err }
