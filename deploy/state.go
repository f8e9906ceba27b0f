package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Phase is the progress of a deployment.
type Phase string

// The phases of a deployment, in order.
const (
	PhaseProvisioned Phase = "provisioned" // the cloud has the app-compose; hash and app id were compared
	PhaseRegistered  Phase = "registered"  // the chain allows it; with a KMS on a chain only
	PhaseEncrypted   Phase = "encrypted"   // the env key was checked and the secrets are encrypted
	PhaseCreated     Phase = "created"     // the CVM exists
	PhaseRunning     Phase = "running"     // the CVM runs
)

// State is a deployment between two phases. It is plain JSON, contains everything that the next phase needs and no
// plaintext secret. The ciphertext and the commit token still need a private file, see [SaveFile].
type State struct {
	Phase Phase  `json:"phase"`
	Name  string `json:"name"`
	// Spec is a summary of the spec that the state belongs to, without a value of a secret.
	Spec map[string]string `json:"spec"`

	// AppID is zero until it is known; Comparisons contains its basis.
	AppID kms.AppID `json:"app_id,omitzero"`
	// Document is the sent text, and ComposeHash the hash of the document to run: that of Document, unless the
	// platform completes it. Predicted reports whether the hash was computed locally.
	Document    string       `json:"document"`
	ComposeHash compose.Hash `json:"compose_hash"`
	Predicted   bool         `json:"predicted"`
	// EnvKeys are the names of the secrets, sorted.
	EnvKeys []string `json:"env_keys,omitempty"`
	// OS is the requested image, with the hash that the cloud reported.
	OS Image `json:"os,omitzero"`

	// KMS is the key service of the app's key: its slug or id.
	KMS string `json:"kms,omitempty"`
	// KMSRoot is the root key that signed the app's key, after it was checked.
	KMSRoot       kms.RootKey `json:"kms_root,omitzero"`
	RootFromCloud bool        `json:"kms_root_from_cloud,omitempty"`
	// ProvisionKey is the env key in the cloud's provision, in hex.
	ProvisionKey string `json:"provision_key,omitempty"`
	// CloudRoot is the KMS root key in the cloud's provision, in hex.
	CloudRoot string `json:"cloud_root,omitempty"`
	// EncryptedEnv is the ciphertext of the secrets.
	EncryptedEnv openapi.Secret `json:"encrypted_env,omitempty"`
	// Token authorises the commit if the cloud issued one.
	Token openapi.Secret `json:"token,omitempty"`

	// ChainID, KMSContract and Device are where the KMS is governed and the machine that the contract is to allow;
	// zero with the central KMS, and Device if any machine may run the app.
	ChainID     uint64         `json:"chain_id,omitempty"`
	KMSContract common.Address `json:"kms_contract,omitzero"`
	Device      kms.DeviceID   `json:"device,omitzero"`
	// Contract contains the requirements for the contract of the app; Owner is its owner, after it was read.
	Contract ContractSpec   `json:"contract,omitzero"`
	Owner    common.Address `json:"owner,omitzero"`
	// Deployer is the account that deployed the contract of the app; zero if it existed before.
	Deployer common.Address `json:"deployer,omitzero"`
	// Transactions are the sent and prepared transactions, by their purpose.
	Transactions map[string]json.RawMessage `json:"transactions,omitempty"`

	// CVM identifies the CVM once it exists: its vm_uuid, or its id if it has none.
	CVM string `json:"cvm,omitempty"`
	// Adopted reports whether the CVM existed already, created by an earlier run of the same spec.
	Adopted bool `json:"adopted,omitempty"`

	// Comparisons are those made so far.
	Comparisons []Comparison `json:"comparisons,omitempty"`
}

// MarshalJSON writes the complete state, with its ciphertext and its commit token.
func (s State) MarshalJSON() ([]byte, error) {
	type plain State
	return openapi.Marshal(plain(s))
}

// LogValue returns the deployment and its phase: the JSON of a state must not be logged.
func (s State) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", s.Name), slog.String("phase", string(s.Phase)), slog.String("cvm", s.CVM))
}

// ParseState parses a state in JSON.
func ParseState(data []byte) (*State, error) {
	var s State
	if err := strictjson.Unmarshal(data, &s); err != nil {
		return nil, &InputError{Field: "deployment state", Rule: "it must be what SaveFile wrote", Err: err}
	}
	switch s.Phase {
	case PhaseProvisioned, PhaseRegistered, PhaseEncrypted:
	case PhaseCreated, PhaseRunning:
		if s.CVM == "" {
			return nil, &InputError{Field: "deployment state", Rule: fmt.Sprintf("phase %q without a cvm", s.Phase)}
		}
	default:
		return nil, &InputError{Field: "deployment state", Rule: fmt.Sprintf("unknown phase %.100q", s.Phase)}
	}
	if sum := compose.Sum([]byte(s.Document)); s.Predicted && !sum.Equal(s.ComposeHash) {
		return nil, &InputError{Field: "deployment state", Rule: fmt.Sprintf("the document has compose hash %s, not %s", sum, s.ComposeHash)}
	}
	return &s, nil
}

// onChain reports whether the KMS of the deployment is on a chain.
func (s *State) onChain() bool { return s.ChainID != 0 }

// checkPhase returns an error unless the state is in one of the phases.
func (s *State) checkPhase(phases ...Phase) error {
	if slices.Contains(phases, s.Phase) {
		return nil
	}
	return &InputError{Field: "the deployment of " + s.Name, Value: string(s.Phase), Rule: "want " + string(phases[0])}
}

// checkSpec returns [ErrOtherSpec] unless the state began with a spec of this summary.
func (s *State) checkSpec(spec map[string]string) error {
	var differ []string
	all := maps.Clone(spec)
	maps.Copy(all, s.Spec)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s.Spec[name] != spec[name] {
			differ = append(differ, fmt.Sprintf("%s is %.100q, was %.100q", name, spec[name], s.Spec[name]))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("deploy %s: %w: %s", s.Name, ErrOtherSpec, strings.Join(differ, "; "))
}

// anchor returns the anchor of the app so far.
func (s *State) anchor() *App {
	a := &App{
		ID: s.AppID, Secrets: append([]string{}, s.EnvKeys...), KMS: s.KMS, KMSRoot: s.KMSRoot, RootFromCloud: s.RootFromCloud,
		ChainID: s.ChainID, KMSContract: s.KMSContract, Owner: s.Owner, OS: s.OS, Devices: slices.Clone(s.Contract.Devices), AnyDevice: s.Contract.AllowAnyDevice,
		CVMs: []CVM{{ID: s.CVM, Name: s.Name, ComposeHash: s.ComposeHash}},
	}
	if !s.Device.IsZero() && !slices.Contains(a.Devices, s.Device) {
		a.Devices = append(a.Devices, s.Device)
	}
	if s.Predicted {
		a.Document, a.ComposeHash = s.Document, s.ComposeHash
	}
	return a
}

// maxFile bounds what [LoadFile] reads: documents of 200 KiB, each with its revisions.
const maxFile = 16 << 20

// SaveFile writes v, an [App], [State], [Pending] or [Approval], as JSON to a file that only its owner can read (mode
// 0600). The file is replaced as a whole: a crash leaves the old content or the new one, never a part.
func SaveFile(path string, v any) (err error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("save %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save %s: %w", path, err), os.Remove(file.Name()))
		}
	}()
	_, writeErr := file.Write(append(data, '\n'))
	if err := errors.Join(writeErr, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

// LoadFile reads a file of [SaveFile], with [ParseApp], [ParseState], [ParsePending] or [ParseApproval] as parse.
func LoadFile[T any](path string, parse func([]byte) (*T, error)) (*T, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("load %s: more than %d bytes", path, maxFile)
	}
	v, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return v, nil
}
