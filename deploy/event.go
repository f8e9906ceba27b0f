package deploy

import (
	"fmt"
	"strings"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/openapi"
)

// Event is one step of a deployment, passed to the function of [WithProgress]. It is one of the event types of this
// package; String returns it as one line of text, without any secret.
type Event interface {
	fmt.Stringer
	event()
}

// ProvisionedEvent reports that the cloud accepted the app-compose.
type ProvisionedEvent struct {
	// AppID is empty if the contract of the app is not deployed yet.
	AppID       string
	ComposeHash string
}

// ComparisonEvent reports a comparison that did not fail.
type ComparisonEvent struct{ Comparison }

// RegisteredEvent reports that the chain allows the app-compose.
type RegisteredEvent struct {
	AppID   string
	ChainID uint64
	// Transaction deployed the contract or allowed the hash; [AlreadyRegistered] if it was allowed before.
	Transaction string
}

// EncryptedEvent reports that the secrets were encrypted locally.
type EncryptedEvent struct {
	// Names of the secrets, never their values.
	Names []string
	// Bytes is the size of the ciphertext.
	Bytes int
}

// CreatedEvent reports that the CVM exists.
type CreatedEvent struct {
	CVM string
	// Adopted reports whether an earlier run of the same spec had created it.
	Adopted bool
}

// StatusEvent reports the state of the CVM.
type StatusEvent struct {
	Status       openapi.CVMStatus
	BootProgress string
}

// RunningEvent reports that the CVM runs and that no operation runs on it, according to the cloud. The verification
// follows.
type RunningEvent struct {
	CVM *openapi.CVMDetail
}

// AttestationEvent reports the verification of the CVM. If the report is not verified, an error follows, unless
// nothing in it failed and no policy was given.
type AttestationEvent struct {
	CVM    string
	Report *attest.Report
}

// RetiredEvent reports that the contract of the app does not allow something any more.
type RetiredEvent struct {
	// ComposeHash or Device was removed, the other one is empty.
	ComposeHash string
	Device      string
	// Transaction removed it; empty if it was not allowed.
	Transaction string
}

func (RetiredEvent) event()     {}
func (ProvisionedEvent) event() {}
func (ComparisonEvent) event()  {}
func (RegisteredEvent) event()  {}
func (EncryptedEvent) event()   {}
func (CreatedEvent) event()     {}
func (StatusEvent) event()      {}
func (RunningEvent) event()     {}
func (AttestationEvent) event() {}

func (e ProvisionedEvent) String() string {
	if e.AppID == "" {
		return "provisioned: compose hash " + e.ComposeHash
	}
	return fmt.Sprintf("provisioned: app %s, compose hash %s", e.AppID, e.ComposeHash)
}

func (e RegisteredEvent) String() string {
	return fmt.Sprintf("allowed on chain %d: app %s (%s)", e.ChainID, e.AppID, e.Transaction)
}

func (e RetiredEvent) String() string {
	if e.Device != "" {
		return fmt.Sprintf("retired device %s (%s)", e.Device, e.Transaction)
	}
	return fmt.Sprintf("retired compose hash %s (%s)", e.ComposeHash, e.Transaction)
}

func (e EncryptedEvent) String() string {
	return fmt.Sprintf("encrypted %d secrets (%s) into %d bytes", len(e.Names), strings.Join(e.Names, ", "), e.Bytes)
}

func (e CreatedEvent) String() string {
	if e.Adopted {
		return "found cvm " + cloudtext.Clean(e.CVM) + " of an earlier run"
	}
	return "created cvm " + cloudtext.Clean(e.CVM)
}

func (e StatusEvent) String() string {
	if e.BootProgress != "" {
		return cloudtext.Clean(string(e.Status)) + ": " + cloudtext.Clean(e.BootProgress)
	}
	return cloudtext.Clean(string(e.Status))
}

func (e RunningEvent) String() string { return "running: " + cloudtext.Clean(e.CVM.Name) }

func (e AttestationEvent) String() string {
	counts := map[attest.Outcome]int{}
	for _, c := range e.Report.Checks {
		counts[c.Outcome]++
	}
	verdict := "not verified"
	if e.Report.Verified {
		verdict = "verified"
	}
	return fmt.Sprintf("%s by hardware: %d checks passed, %d failed, %d not possible, %d not asked",
		verdict, counts[attest.Passed], counts[attest.Failed], counts[attest.NotPossible], counts[attest.NotAsked])
}

// ComparisonOutcome is the outcome of a comparison.
type ComparisonOutcome string

// The outcomes of a comparison. One that fails ends the flow with an error instead.
const (
	Confirmed  ComparisonOutcome = "confirmed"
	Consistent ComparisonOutcome = "consistent" // the cloud reports what was expected, and nothing else proves it
	Waived     ComparisonOutcome = "waived"     // turned off by an option
	Undecided  ComparisonOutcome = "undecided"  // nothing to compare with
	NotNeeded  ComparisonOutcome = "not needed" // nothing depends on it
	Noticed    ComparisonOutcome = "noticed"    // not wrong, but unusual
)

// Comparison compares a local value with the cloud's.
type Comparison struct {
	Name    string            `json:"name"`
	Outcome ComparisonOutcome `json:"outcome"`
	// Local is the local value, Remote the cloud's.
	Local  string `json:"local,omitempty"`
	Remote string `json:"remote,omitempty"`
	// Reason is the basis of the outcome.
	Reason string `json:"reason,omitempty"`
}

// String returns the comparison as one line.
func (c Comparison) String() string {
	switch {
	case c.Reason != "":
		return fmt.Sprintf("%s %s: %s", c.Name, c.Outcome, c.Reason)
	case c.Local != "":
		return fmt.Sprintf("%s %s: %s", c.Name, c.Outcome, c.Local)
	}
	return fmt.Sprintf("%s %s", c.Name, c.Outcome)
}

// The names of the comparisons.
const (
	// ComparedComposeHash compares the hash computed here with the cloud's.
	ComparedComposeHash = "compose hash"
	// ComparedDocument compares the text that booted with the text that was sent, if the platform completed it.
	ComparedDocument = "document"
	// ComparedAppID compares the known app id with the cloud's.
	ComparedAppID = "app id"
	// ComparedCVM compares the requested CVM with the CVM in the cloud's response.
	ComparedCVM = "cvm"
	// ComparedInstance compares the instance that the hardware measured with those of the other CVMs.
	ComparedInstance = "instance"
	// ComparedEnvKey compares the env key in the provision with the one of the KMS. Both come from the cloud.
	ComparedEnvKey = "env key"
	// ComparedKMSRoot compares the root key that signed the env key, for this app id, with the trusted one.
	ComparedKMSRoot = "kms root"
	// ComparedOS compares the operating system image with the requested one.
	ComparedOS = "operating system"
	// ComparedSecrets compares the names of secrets with the variables of the docker-compose file.
	ComparedSecrets = "secrets"
	// ComparedInspection is a finding of package compose/inspect in the docker-compose file.
	ComparedInspection = "docker-compose file"
	// ComparedChain, ComparedKMSContract, ComparedContract and ComparedDevice belong to a KMS on a chain: the chain id, the
	// address of the KMS's contract, the requirements of the app's contract, and the machine that it allows.
	ComparedChain       = "chain id"
	ComparedKMSContract = "kms contract"
	ComparedContract    = "app contract"
	ComparedDevice      = "device"
	// ComparedAttestation compares the hardware's evidence with the app. The report has the details.
	ComparedAttestation = "attestation"
)

// compare returns a confirmed comparison if both values are equal, else a mismatch.
func compare(name, local, remote string) (Comparison, error) {
	if local != remote {
		return Comparison{}, mismatch(name, local, remote)
	}
	return Comparison{Name: name, Outcome: Confirmed, Local: local, Remote: remote}, nil
}
