package deploy

import "fmt"

// Outcome tells what became of a check.
type Outcome string

// The outcomes of a check. A check that fails ends the deployment with an error instead.
const (
	Passed      Outcome = "passed"
	Waived      Outcome = "waived"       // turned off by an option
	NotPossible Outcome = "not possible" // nothing to compare with
	NotNeeded   Outcome = "not needed"   // there is nothing that it would protect
)

// Check is one comparison between what was computed here and what the cloud said.
type Check struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	Local   string  `json:"local,omitempty"`
	Remote  string  `json:"remote,omitempty"`
	// Reason says why a check did not happen.
	Reason string `json:"reason,omitempty"`
}

// String gives the check as one line.
func (c Check) String() string {
	switch {
	case c.Reason != "":
		return fmt.Sprintf("%s %s: %s", c.Name, c.Outcome, c.Reason)
	case c.Local != "":
		return fmt.Sprintf("%s %s: %s", c.Name, c.Outcome, c.Local)
	}
	return fmt.Sprintf("%s %s", c.Name, c.Outcome)
}

// The names of the checks.
const (
	CheckComposeHash = "compose hash"
	CheckAppID       = "app id"
	CheckEnvKey      = "env key"
	CheckKMSRoot     = "kms root"
	// CheckAttestation: the hardware proves what runs. What exactly is in the report beside it.
	CheckAttestation = "attestation"
)

// compare is a passed check where both values are equal, else a mismatch.
func compare(name, local, remote string) (Check, error) {
	if local != remote {
		return Check{}, &MismatchError{What: name, Local: local, Remote: remote}
	}
	return Check{Name: name, Outcome: Passed, Local: local, Remote: remote}, nil
}
