package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// App is the anchor of an app, which its owner keeps for every later flow. Each of its values came from the caller,
// from the chain, or from evidence that the hardware signed, unless the field is documented otherwise. Flows compare
// the cloud's responses with it. It is plain JSON without a plaintext secret; [SaveFile] writes it.
type App struct {
	// ID is the app id.
	ID kms.AppID `json:"app_id"`
	// Document is the exact text of the app-compose that the app runs, and ComposeHash is its SHA-256. Document is
	// empty if it could not be proven; Unproven has the reason.
	Document    string       `json:"document,omitempty"`
	ComposeHash compose.Hash `json:"compose_hash,omitzero"`
	Unproven    string       `json:"unproven,omitempty"`
	// Secrets are the names of the current secrets, sorted. They are unknown after [Attach], if the app allows names:
	// then Secrets are all names that the app allows.
	Secrets []string `json:"secrets"`

	// KMS is the key service of the app's key: a slug or an id. It proves nothing.
	KMS string `json:"kms,omitempty"`
	// KMSRoot is the root key that signed the app's key; zero if it was not checked. RootFromCloud reports whether it
	// came from the cloud itself ([TrustKMSRootFromCloud]): it is pinned since then.
	KMSRoot       kms.RootKey `json:"kms_root,omitzero"`
	RootFromCloud bool        `json:"kms_root_from_cloud,omitempty"`
	// KeyProvider is the public key of the KMS's root CA (DER SubjectPublicKeyInfo, in hex) that the hardware
	// measured; empty if no evidence was verified.
	KeyProvider string `json:"key_provider,omitempty"`

	// ChainID and KMSContract are the chain and the contract that govern the KMS; zero with the central KMS. Owner is
	// the owner of the app's contract when it was last read.
	ChainID     uint64         `json:"chain_id,omitempty"`
	KMSContract common.Address `json:"kms_contract,omitzero"`
	Owner       common.Address `json:"owner,omitzero"`
	// Devices are the machines that the caller accepted for the contract of the app.
	Devices []kms.DeviceID `json:"devices,omitempty"`
	// AnyDevice reports whether the contract should allow every machine.
	AnyDevice bool `json:"any_device,omitempty"`

	// OS is the accepted operating system image.
	OS Image `json:"os,omitzero"`
	// CVMs are the instances of the app that the flows created or found, oldest first.
	CVMs []CVM `json:"cvms"`
	// Revisions are the documents that ran before, newest first, at most [MaxRevisions].
	Revisions []Revision `json:"revisions,omitempty"`

	// Last is the result of the flow that returned this value. It is not part of the JSON.
	Last *Result `json:"-"`
}

// MaxRevisions is the number of earlier documents that an [App] keeps.
const MaxRevisions = 10

// CVM is one instance of an app.
type CVM struct {
	// ID is its vm_uuid, or its id if it has no vm_uuid.
	ID string `json:"id"`
	// Name is its name in the workspace.
	Name string `json:"name"`
	// ComposeHash is the compose hash that it runs.
	ComposeHash compose.Hash `json:"compose_hash,omitzero"`
	// InstanceID is the measured instance id, 40 hex digits; empty if no evidence was verified, or if the app has no
	// instance ids.
	InstanceID string `json:"instance_id,omitempty"`
}

// Revision is an earlier document of an app.
type Revision struct {
	ComposeHash compose.Hash `json:"compose_hash"`
	Document    string       `json:"document"`
	// Secrets are the names of its secrets, sorted.
	Secrets []string `json:"secrets"`
}

// Image is an operating system image.
type Image struct {
	// Name and Version are the platform's, such as "dstack-0.5.5" and "0.5.5".
	Name    string `json:"name,omitempty"`
	Version string `json:"version,omitempty"`
	// Development reports whether the caller requested a development image.
	Development bool `json:"development,omitempty"`
	// Hash identifies the image, in hex: the measured hash if Measured, otherwise the one that the cloud reported.
	Hash     string `json:"hash,omitempty"`
	Measured bool   `json:"measured,omitempty"`
}

// Result is the result of a flow.
type Result struct {
	// CVM is the CVM that was created or changed, as the cloud describes it.
	CVM *openapi.CVMDetail
	// URLs are the public addresses of the app, as the cloud reports them.
	URLs []string
	// Comparisons are those of the flow, in order.
	Comparisons []Comparison
	// Report is the verification of the CVM, check by check; nil if there was no evidence, or with
	// [SkipVerification].
	Report *attest.Report
	// Bundle has the evidence with everything that its verification used, so that it can be verified offline years
	// later; nil if there was no evidence.
	Bundle *attest.Bundle
	// Pending is the change that the flow carried out; nil for a deployment. Its JSON may hold a commit token, so it
	// is left out of the JSON of a result.
	Pending *Pending `json:"-"`
}

// ParseApp parses an [App] in JSON. It returns an error if the document does not have the compose hash.
func ParseApp(data []byte) (*App, error) {
	var a App
	if err := strictjson.Unmarshal(data, &a); err != nil {
		return nil, &InputError{Field: "app", Rule: "want what SaveFile wrote", Err: err}
	}
	return &a, a.check()
}

// check refuses an anchor that contradicts itself.
func (a *App) check() error {
	if a == nil || a.ID.IsZero() {
		return &InputError{Field: "app", Rule: "it has no app id"}
	}
	if a.Document == "" {
		return nil
	}
	if sum := compose.Sum([]byte(a.Document)); !sum.Equal(a.ComposeHash) {
		return &InputError{Field: "app " + a.ID.String(), Rule: fmt.Sprintf("its document has the compose hash %s, not %s", sum, a.ComposeHash)}
	}
	if _, err := compose.Parse([]byte(a.Document)); err != nil {
		return &InputError{Field: "app " + a.ID.String(), Rule: "its document", Err: err}
	}
	return nil
}

// Compose returns the document as a value that can be changed and passed to [UpdateSpec].
func (a *App) Compose() (*compose.App, error) {
	if a.Document == "" {
		return nil, fmt.Errorf("app %s: %w: %s", a.ID, ErrUnknownDocument, cloudtext.Clean(a.Unproven))
	}
	return compose.Parse([]byte(a.Document))
}

// clone returns a copy that can be changed without changing a.
func (a *App) clone() *App {
	b := *a
	b.Secrets, b.Devices = slices.Clone(a.Secrets), slices.Clone(a.Devices)
	b.CVMs, b.Revisions, b.Last = slices.Clone(a.CVMs), slices.Clone(a.Revisions), nil
	return &b
}

// onChain reports whether a contract governs the KMS.
func (a *App) onChain() bool { return a.ChainID != 0 }

// find returns the CVM that a caller named: by vm_uuid, id, name, or the app id. An empty name is the first CVM. A
// name that the anchor does not know is returned as it is: the cloud resolves it, and its answer is compared.
func (a *App) find(name string) (CVM, error) {
	if id, err := kms.ParseAppID(name); err == nil {
		if id != a.ID {
			return CVM{}, &MismatchError{What: ComparedAppID, Local: a.ID.String(), Remote: id.String()}
		}
		name = ""
	}
	if name == "" {
		if len(a.CVMs) == 0 {
			return CVM{}, &InputError{Field: "app " + a.ID.String(), Rule: "it has no CVM; name one"}
		}
		return a.CVMs[0], nil
	}
	for _, cvm := range a.CVMs {
		if uuid.Bare(cvm.ID) == uuid.Bare(name) || cvm.Name == name {
			return cvm, nil
		}
	}
	return CVM{ID: name, Name: name, ComposeHash: a.ComposeHash}, nil
}

// put keeps a CVM, and replaces what was known of it.
func (a *App) put(cvm CVM) {
	for i := range a.CVMs {
		if uuid.Bare(a.CVMs[i].ID) == uuid.Bare(cvm.ID) {
			a.CVMs[i] = cvm
			return
		}
	}
	a.CVMs = append(a.CVMs, cvm)
}

// revise makes document the one that the app runs, and keeps the one before as a revision.
func (a *App) revise(document string, hash compose.Hash) {
	if a.Document != "" && !a.ComposeHash.Equal(hash) {
		before := Revision{ComposeHash: a.ComposeHash, Document: a.Document, Secrets: a.Secrets}
		kept := slices.DeleteFunc(slices.Clone(a.Revisions), func(r Revision) bool { return r.ComposeHash == before.ComposeHash || r.ComposeHash == hash })
		a.Revisions = append([]Revision{before}, kept[:min(len(kept), MaxRevisions-1)]...)
	}
	a.Document, a.ComposeHash, a.Unproven = document, hash, ""
}

// revision returns an earlier document by its hash, or the present one.
func (a *App) revision(hash compose.Hash) (Revision, bool) {
	if a.Document != "" && a.ComposeHash.Equal(hash) {
		return Revision{ComposeHash: hash, Document: a.Document, Secrets: a.Secrets}, true
	}
	i := slices.IndexFunc(a.Revisions, func(r Revision) bool { return r.ComposeHash.Equal(hash) })
	if i < 0 {
		return Revision{}, false
	}
	return a.Revisions[i], true
}

// handle identifies a CVM to the API: its vm_uuid, or its id if it has none.
func handle(cvm *openapi.CVMDetail) string {
	if cvm.VMUUID != "" {
		return cloudtext.Clean(cvm.VMUUID)
	}
	return cloudtext.Clean(string(cvm.ID))
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
