package deploy

import (
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Phase names how far a deployment has come.
type Phase string

// The phases of a deployment, in order.
const (
	PhaseProvisioned Phase = "provisioned" // the cloud knows the app-compose; hash and app id were compared
	PhaseRegistered  Phase = "registered"  // the chain allows it; with a KMS on a chain only
	PhaseEncrypted   Phase = "encrypted"   // the env key was checked and the secrets are encrypted
	PhaseCreated     Phase = "created"     // the CVM exists
	PhaseRunning     Phase = "running"     // the CVM runs
)

// State is a deployment between two phases. It is plain JSON, holds all that the next phase needs and no
// plaintext secret; what it holds encrypted, and the commit token, still deserve a private file.
type State struct {
	Phase Phase  `json:"phase"`
	Name  string `json:"name"`

	ComposeHash compose.Hash `json:"compose_hash"`
	AppID       kms.AppID    `json:"app_id"`
	// EnvKeys are the names of the secrets, in order.
	EnvKeys []string `json:"env_keys,omitempty"`
	// KMS names the key service to ask for the app's key: its slug or id.
	KMS string `json:"kms,omitempty"`
	// ProvisionKey is the env key that the cloud named while provisioning, hexadecimal.
	ProvisionKey string `json:"provision_key,omitempty"`
	// CloudRoot is the KMS root key that the cloud named while provisioning, hexadecimal.
	CloudRoot string `json:"cloud_root,omitempty"`
	// EncryptedEnv is the ciphertext of the secrets.
	EncryptedEnv openapi.Secret `json:"encrypted_env,omitempty"`
	// Token authorises the commit where the cloud handed one out.
	Token openapi.Secret `json:"token,omitempty"`

	// ChainID, KMSContract and DeviceID are where the KMS is governed and the device that it is to run on;
	// zero with the central KMS.
	ChainID     uint64         `json:"chain_id,omitempty"`
	KMSContract common.Address `json:"kms_contract,omitzero"`
	DeviceID    string         `json:"device_id,omitempty"`
	// Contract says how the contract of a new app is deployed.
	Contract ContractSpec `json:"contract,omitzero"`
	// Deployer is the account that deployed the contract of the app; zero where it existed before.
	Deployer common.Address `json:"deployer,omitzero"`
	// Intents are the transactions that were sent or are about to be, by what they do.
	Intents map[string]json.RawMessage `json:"intents,omitempty"`

	// CVM identifies the CVM once it exists: its vm_uuid, or its id where there is none.
	CVM string `json:"cvm,omitempty"`
	// Adopted says that the CVM had existed already, made by an earlier run of the same spec.
	Adopted bool `json:"adopted,omitempty"`

	// Checks are the comparisons made so far.
	Checks []Check `json:"checks,omitempty"`
}

// ParseState reads a state that was written as JSON.
func ParseState(data []byte) (*State, error) {
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("deployment state: %w", err)
	}
	switch s.Phase {
	case PhaseProvisioned, PhaseRegistered, PhaseEncrypted:
	case PhaseCreated, PhaseRunning:
		if s.CVM == "" {
			return nil, fmt.Errorf("deployment state: phase %q without a cvm", s.Phase)
		}
	default:
		return nil, fmt.Errorf("deployment state: unknown phase %q", s.Phase)
	}
	return &s, nil
}

// onChain tells whether the KMS of the deployment is on a chain.
func (s *State) onChain() bool { return s.ChainID != 0 }

// in is an error where the state is not in the phase that a call takes it from.
func (s *State) in(phases ...Phase) error {
	for _, p := range phases {
		if s.Phase == p {
			return nil
		}
	}
	return fmt.Errorf("the deployment of %s is %s, want %s", s.Name, s.Phase, phases[0])
}
