package deploy

import "fmt"

// Outcome is the outcome of a check.
type Outcome string

// The outcomes of a check. A check that fails ends the flow with an error instead.
const (
	Passed      Outcome = "passed"
	Waived      Outcome = "waived"       // turned off by an option
	NotPossible Outcome = "not possible" // nothing to compare with
	NotNeeded   Outcome = "not needed"   // there is nothing that it would protect
	Noticed     Outcome = "noticed"      // no error, but worth a look
)

// Check is one comparison of a local value with the cloud's.
type Check struct {
	Name    string  `json:"name"`
	Outcome Outcome `json:"outcome"`
	// Local is the local value, Remote the cloud's.
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
	// Reason is the reason why a check was not made, or the basis of one that passed.
	Reason string `json:"reason,omitempty"`
}

// String returns the check as one line.
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
	// CheckComposeHash compares the hash computed here with the cloud's.
	CheckComposeHash = "compose hash"
	// CheckDocument compares the text that booted with the text that was sent, if the platform completed it.
	CheckDocument = "document"
	// CheckAppID compares the known app id with the cloud's.
	CheckAppID = "app id"
	// CheckCVM compares the requested CVM with the CVM in the cloud's response.
	CheckCVM = "cvm"
	// CheckInstance compares the instance that the hardware measured with those of the other CVMs.
	CheckInstance = "instance"
	// CheckEnvKey compares the key of the provision with the app's key.
	CheckEnvKey = "env key"
	// CheckKMSRoot checks that the KMS root signed the app's key for this app.
	CheckKMSRoot = "kms root"
	// CheckOS compares the operating system image with the requested one.
	CheckOS = "operating system"
	// CheckSecrets compares the names of secrets with the variables of the docker-compose file.
	CheckSecrets = "secrets"
	// CheckInspection has the findings of package compose/inspect in the docker-compose file.
	CheckInspection = "docker-compose file"
	// CheckChain, CheckKMSContract, CheckContract and CheckDevice belong to a KMS on a chain: the chain id, the
	// address of the KMS's contract, the requirements of the app's contract, and the machine that it allows.
	CheckChain       = "chain id"
	CheckKMSContract = "kms contract"
	CheckContract    = "app contract"
	CheckDevice      = "device"
	// CheckAttestation checks that the hardware proves the running app. The report has the details.
	CheckAttestation = "attestation"
)

// compare returns a passed check if both values are equal, else a mismatch.
func compare(name, local, remote string) (Check, error) {
	if local != remote {
		return Check{}, mismatch(name, local, remote)
	}
	return Check{Name: name, Outcome: Passed, Local: local, Remote: remote}, nil
}
