package deploy

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/secret"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// NodeID is the number of a node: Node.id of the API, "node_id" of a request.
type NodeID int

// TeepodID is the older number of a node: Teepod.id of the API, "teepod_id" of a request. It is another number
// than the [NodeID] of the same node.
type TeepodID int

// Spec describes a deployment. Name and Compose are required, everything else is optional.
type Spec struct {
	// Name is the name of the CVM, unique in the workspace; see [compose.ValidateName] for the rule.
	Name string

	// Compose is the app-compose document. Its allowed_envs may be left empty: they are then the names of
	// Env, sorted. It is not changed.
	Compose *compose.App

	// Env are the secrets, encrypted locally for the app's key. Each must be among the allowed_envs of Compose, if
	// that has any.
	Env []compose.EnvVar

	// OS is the kind of operating system image; the zero value is a production image.
	OS OS
	// Image is the name of a guest OS image; if it is empty, the platform chooses among those of OS.
	Image string

	// InstanceType is a size such as "tdx.small"; if it is empty, VCPU and Memory determine the size, or else the
	// platform.
	InstanceType string
	// VCPU is a number of virtual CPUs; 0 is the instance type's.
	VCPU int
	// Memory is in MB; 0 is the instance type's.
	Memory int
	// DiskSize is in GB; 0 is the instance type's.
	DiskSize int
	// GPUs are the GPUs to attach; nil is none.
	GPUs *openapi.GPUConfig
	// Hugepages and PinNUMA set how the memory of the CVM is laid out on its node.
	Hugepages, PinNUMA bool

	// Region restricts where the CVM runs; empty means anywhere.
	Region string
	// NodeID or TeepodID pins the CVM to one node; the platform chooses if they are zero. Set at most one of them.
	NodeID   NodeID
	TeepodID TeepodID

	// Listed lists the app in the public directory. The default is not to list it.
	Listed bool
	// SkipGateway disables the gateway, so that the app has no public URL.
	SkipGateway bool
	// KeyProviderMode is the source of the app's keys: "kms" or "local"; the platform chooses if it is empty.
	KeyProviderMode string
	// KMSContractID selects a KMS by the platform's id of its contract (kc_…). With [WithChain] the contract's
	// address is sent as well, and compared.
	KMSContractID string
	// UserConfig is text for the guest, which is not measured.
	UserConfig string
	// Ports are host ports to map.
	Ports []openapi.ProvisionPort

	// AppID and Nonce, set together, request a known app id: a pair from KMS.GetNextAppIDs. A pair is a prediction,
	// not a reservation: another deployment of the workspace can use the nonce first. On a chain AppID alone is the
	// contract of an existing app.
	AppID *kms.AppID
	// Nonce belongs to AppID.
	Nonce *uint64

	// Contract contains the requirements for the contract of the app, with a KMS on a chain.
	Contract ContractSpec

	// Amend changes the request before it is sent, for members that this SDK does not know yet. It must leave
	// alone the document, the app id and the KMS; a change of them is an error.
	Amend func(*openapi.ProvisionRequest)
}

// OS is a kind of operating system image.
type OS string

const (
	// Production images do not allow anybody to log in.
	Production OS = ""
	// Development images allow everybody to log in who reaches their SSH port, and so expose the secrets of the app.
	Development OS = "development"
)

// ContractSpec contains the requirements for the contract of an app. A new one is deployed with them; in an existing
// one each value that is not zero is compared.
type ContractSpec struct {
	// Owner is the owner of the contract; zero is the account of the [Chain] for a new app.
	Owner common.Address
	// Devices are the machines on which the app may run. The cloud chooses one of them.
	Devices []kms.DeviceID
	// AllowAnyDevice allows every machine.
	AllowAnyDevice bool
	// RequireTCBUpToDate requires a platform whose TCB is up to date. Contracts before dstack 0.5.9 do not support it.
	RequireTCBUpToDate bool
}

func (s ContractSpec) isZero() bool {
	return s.Owner == (common.Address{}) && len(s.Devices) == 0 && !s.AllowAnyDevice && !s.RequireTCBUpToDate
}

// check returns an error if a required field is missing, or if fields contradict each other or are out of range.
func (s Spec) check(onChain bool) error {
	if err := compose.ValidateName(s.Name); err != nil {
		return &InputError{Field: "Spec.Name", Err: err}
	}
	if s.Compose == nil {
		return &InputError{Field: "Spec", Rule: "Compose is required"}
	}
	if err := checkNode("spec", s.NodeID, s.TeepodID); err != nil {
		return err
	}
	if err := notNegative("spec", size{"VCPU", s.VCPU}, size{"Memory", s.Memory}, size{"DiskSize", s.DiskSize}); err != nil {
		return err
	}
	switch {
	case s.OS != Production && s.OS != Development:
		return &InputError{Field: "Spec.OS", Value: string(s.OS), Rule: "want Production or Development"}
	case onChain && s.Nonce != nil:
		return &InputError{Field: "Spec.Nonce", Rule: "Nonce is for the central KMS; on a chain AppID alone names the contract of an app"}
	case !onChain && !s.Contract.isZero():
		return &InputError{Field: "Spec.Contract", Rule: "Contract is for a KMS on a chain; give WithChain"}
	case !onChain && (s.AppID == nil) != (s.Nonce == nil):
		return &InputError{Field: "Spec", Rule: "AppID and Nonce go together; give both or neither"}
	}
	for _, device := range s.Contract.Devices {
		if device.IsZero() {
			return &InputError{Field: "Spec.Contract", Rule: "Contract.Devices has a device id that is zero"}
		}
	}
	return nil
}

// checkNode returns an error if a node is set in two ways.
func checkNode(what string, node NodeID, teepod TeepodID) error {
	if node != 0 && teepod != 0 {
		return &InputError{Field: what, Rule: fmt.Sprintf("NodeID %d and TeepodID %d both select a node; set one", node, teepod)}
	}
	return notNegative(what, size{"NodeID", int(node)}, size{"TeepodID", int(teepod)})
}

type size struct {
	name  string
	value int
}

func notNegative(what string, sizes ...size) error {
	for _, s := range sizes {
		if s.value < 0 {
			return &InputError{Field: what + ": " + s.name, Value: strconv.Itoa(s.value), Rule: "want 0 or more"}
		}
	}
	return nil
}

// fingerprint returns the summary of a spec for its state, without values of secrets.
func (s Spec) fingerprint(doc document) map[string]string {
	f := map[string]string{
		"Name": s.Name, "Compose": doc.hash.String(), "names of Env": fmt.Sprint(envNames(s.Env)), "OS": string(s.OS), "Image": s.Image,
		"InstanceType": s.InstanceType, "VCPU": strconv.Itoa(s.VCPU), "Memory": strconv.Itoa(s.Memory), "DiskSize": strconv.Itoa(s.DiskSize),
		"Region": s.Region, "NodeID": strconv.Itoa(int(s.NodeID)), "TeepodID": strconv.Itoa(int(s.TeepodID)),
		"Listed": strconv.FormatBool(s.Listed), "SkipGateway": strconv.FormatBool(s.SkipGateway), "KMSContractID": s.KMSContractID,
		"KeyProviderMode": s.KeyProviderMode, "Contract": fmt.Sprintf("%v", s.Contract),
	}
	if s.AppID != nil {
		f["AppID"] = s.AppID.String()
	}
	if s.Nonce != nil {
		f["Nonce"] = strconv.FormatUint(*s.Nonce, 10)
	}
	return f
}

// request returns the provision request for doc.
func (s Spec) request(doc document, chain Chain) (*openapi.ProvisionRequest, error) {
	r := &openapi.ProvisionRequest{
		Name:            s.Name,
		EnvKeys:         envNames(s.Env),
		KMS:             openapi.Ptr(openapi.KMSTypePhala),
		Listed:          &s.Listed,
		PreferDev:       openapi.Ptr(s.OS == Development),
		InstanceType:    unlessZero(s.InstanceType),
		VCPU:            unlessZero(s.VCPU),
		Memory:          unlessZero(s.Memory),
		DiskSize:        unlessZero(s.DiskSize),
		GPUs:            s.GPUs,
		Image:           unlessZero(s.Image),
		Region:          unlessZero(s.Region),
		NodeID:          unlessZero(int(s.NodeID)),
		TeepodID:        unlessZero(int(s.TeepodID)),
		Hugepages:       unlessZero(s.Hugepages),
		PinNUMA:         unlessZero(s.PinNUMA),
		SkipGateway:     unlessZero(s.SkipGateway),
		KeyProviderMode: unlessZero(openapi.ProvisionRequestKeyProviderMode(s.KeyProviderMode)),
		KMSContractID:   unlessZero(s.KMSContractID),
		UserConfig:      unlessZero(s.UserConfig),
		Ports:           s.Ports,
	}
	if s.AppID != nil {
		r.AppID = openapi.Ptr(s.AppID.String())
	}
	if s.Nonce != nil {
		r.Nonce = openapi.Ptr(int64(*s.Nonce))
	}
	if chain != nil {
		r.KMS, r.KMSContract = kmsType(chain), openapi.Ptr(chain.KMS().Hex())
	}
	return r, s.amend(r, doc)
}

// amend calls Amend, and returns an error if Amend changed a member that a flow compares.
func (s Spec) amend(r *openapi.ProvisionRequest, doc document) error {
	if s.Amend == nil {
		return nil
	}
	if err := doc.into(&r.ComposeFile); err != nil {
		return err
	}
	before := *r
	s.Amend(r)
	after, err := documentOf(r.ComposeFile)
	if err != nil {
		return &InputError{Field: "Spec.Amend", Rule: "Amend changed the document", Err: err}
	}
	switch {
	case !after.hash.Equal(doc.hash):
		return &InputError{Field: "Spec.Amend", Rule: fmt.Sprintf("Amend changed the document: compose hash %s, want %s", after.hash, doc.hash)}
	case r.Name != before.Name || !slices.Equal(r.EnvKeys, before.EnvKeys):
		return &InputError{Field: "Spec.Amend", Rule: "Amend changed the name or the names of the secrets"}
	case !equal(r.AppID, before.AppID) || !equal(r.Nonce, before.Nonce):
		return &InputError{Field: "Spec.Amend", Rule: "Amend changed the app id"}
	case !equal(r.KMS, before.KMS) || !equal(r.KMSContract, before.KMSContract) || !equal(r.KMSContractID, before.KMSContractID) ||
		!equal(r.KMSID, before.KMSID) || !slices.Equal(r.KMSURLs, before.KMSURLs):
		return &InputError{Field: "Spec.Amend", Rule: "Amend changed the KMS"}
	case r.EncryptedEnv != nil:
		return &InputError{Field: "Spec.Amend", Rule: "Amend set encrypted_env; secrets go into Spec.Env"}
	}
	return nil
}

func equal[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// The specs hold secrets, so each has a Format: without one fmt prints the values of a nested pointer to a spec under a
// verb that does not fit it.

// Format writes the spec without the values of its secrets, whatever the verb.
func (s Spec) Format(f fmt.State, _ rune) {
	type plain Spec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s UpdateSpec) Format(f fmt.State, _ rune) {
	type plain UpdateSpec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s ReplicaSpec) Format(f fmt.State, _ rune) {
	type plain ReplicaSpec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s InstanceSpec) Format(f fmt.State, _ rune) {
	type plain InstanceSpec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s RollbackSpec) Format(f fmt.State, _ rune) {
	type plain RollbackSpec
	secret.Format(f, plain(s))
}

// Format writes the state without its ciphertext and its commit token, whatever the verb.
func (s State) Format(f fmt.State, _ rune) {
	type plain State
	secret.Format(f, plain(s))
}
