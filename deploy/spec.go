package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Spec says what to deploy. Name and Compose are required, everything else may be left out.
type Spec struct {
	// Name of the CVM, unique in the workspace; see [compose.ValidateName] for the rule.
	Name string

	// Compose is the app-compose document. Its allowed_envs may be left empty: they are then the names of
	// Env, in that order. It is not changed.
	Compose *compose.App

	// Env are the secrets, encrypted here for the app's key. Each must be among the allowed_envs of Compose
	// where that has any.
	Env []compose.EnvVar

	// InstanceType is a size such as "tdx.small"; empty lets VCPU and Memory choose, or else the platform.
	InstanceType string
	// VCPU is a number of virtual CPUs; 0 is the instance type's.
	VCPU int
	// Memory is in MB; 0 is the instance type's.
	Memory int
	// DiskSize is in GB; 0 is the instance type's.
	DiskSize int
	// Image is the name of a guest OS image; empty is the platform's choice.
	Image string
	// Region restricts where the CVM runs; empty is anywhere.
	Region string
	// NodeID pins the CVM to one node; 0 is the platform's choice.
	NodeID int
	// Listed shows the app in the public directory. The SDK never lists an app unless asked to.
	Listed bool

	// AppID and Nonce, given together, ask for a known app id: a pair from KMS.GetNextAppIDs. A pair is a
	// prediction, not a reservation: another deployment of the workspace can use the nonce first. On a chain
	// AppID alone is the contract of an app that exists already.
	AppID *kms.AppID
	// Nonce belongs to AppID.
	Nonce *uint64

	// Contract says how the contract of a new app is deployed, with a KMS on a chain.
	Contract ContractSpec
}

// check refuses a spec that cannot be deployed, before anything is sent.
func (s Spec) check(onChain bool) error {
	if err := compose.ValidateName(s.Name); err != nil {
		return err
	}
	if s.Compose == nil {
		return errors.New("spec: Compose is required")
	}
	if err := notNegative("spec", size{"VCPU", s.VCPU}, size{"Memory", s.Memory}, size{"DiskSize", s.DiskSize}, size{"NodeID", s.NodeID}); err != nil {
		return err
	}
	switch {
	case onChain && s.Nonce != nil:
		return errors.New("spec: Nonce is for the central KMS; on a chain AppID alone names the contract of an app")
	case !onChain && s.Contract != ContractSpec{}:
		return errors.New("spec: Contract is for a KMS on a chain; give WithChain")
	case !onChain && (s.AppID == nil) != (s.Nonce == nil):
		return errors.New("spec: AppID and Nonce go together; give both or neither")
	}
	return kms.CheckEnv(s.Env)
}

type size struct {
	name  string
	value int
}

func notNegative(what string, sizes ...size) error {
	for _, s := range sizes {
		if s.value < 0 {
			return fmt.Errorf("%s: %s is %d, want 0 or more", what, s.name, s.value)
		}
	}
	return nil
}

func envNames(env []compose.EnvVar) []string {
	names := make([]string, len(env))
	for i, v := range env {
		names[i] = v.Key
	}
	return names
}

// app returns the app-compose that is deployed: Compose, with allowed_envs filled in from Env where it
// allows none. A secret that the app would not accept is an error, because the guest drops it silently.
func (s Spec) app() (*compose.App, error) {
	canonical, err := s.Compose.Canonical()
	if err != nil {
		return nil, err
	}
	app, err := compose.Parse(canonical)
	if err != nil {
		return nil, err
	}
	if len(app.AllowedEnvs) == 0 {
		app.AllowedEnvs = envNames(s.Env)
	}
	for _, name := range envNames(s.Env) {
		if !slices.Contains(app.AllowedEnvs, name) {
			return nil, fmt.Errorf("spec: the secret %s is not among the allowed_envs of the app-compose, so the guest would drop it", name)
		}
	}
	return app, app.Validate()
}

// request is the provision request for app.
func (s Spec) request(app *compose.App, chain Chain) (openapi.ProvisionRequest, error) {
	canonical, err := app.Canonical()
	if err != nil {
		return openapi.ProvisionRequest{}, err
	}
	r := openapi.ProvisionRequest{
		Name:    s.Name,
		EnvKeys: envNames(s.Env),
		KMS:     openapi.Ptr(openapi.KMSTypePhala),
		Listed:  &s.Listed,
	}
	if err := json.Unmarshal(canonical, &r.ComposeFile); err != nil {
		return openapi.ProvisionRequest{}, fmt.Errorf("the app-compose does not fit the API: %w", err)
	}
	r.InstanceType = unlessZero(s.InstanceType)
	r.VCPU = unlessZero(s.VCPU)
	r.Memory = unlessZero(s.Memory)
	r.DiskSize = unlessZero(s.DiskSize)
	r.Image = unlessZero(s.Image)
	r.Region = unlessZero(s.Region)
	r.TeepodID = unlessZero(s.NodeID)
	if s.AppID != nil {
		r.AppID = openapi.Ptr(s.AppID.String())
	}
	if s.Nonce != nil {
		r.Nonce = openapi.Ptr(int64(*s.Nonce))
	}
	if chain != nil {
		r.KMS, r.KMSContract = kmsType(chain), openapi.Ptr(chain.KMS().Hex())
	}
	return r, nil
}

func unlessZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
