package deploy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Change says what to change of a CVM, all of it in one step. CVM is required; what is zero stays.
type Change struct {
	// CVM identifies it, in every form that the API takes: name, vm_uuid, cvm_… id, app_….
	CVM string

	// DockerCompose is a new docker-compose file, YAML text.
	DockerCompose string
	// PreLaunchScript is a new pre-launch script, shell text.
	PreLaunchScript string
	// AllowedEnvs are the names that the guest accepts from now on. nil means those of Env where Env is
	// given, else the ones it has. A change of the set needs Env, so that secrets and names never drift apart.
	AllowedEnvs []string
	// PublicLogs, PublicSysInfo and PublicTCBInfo say what everybody may read.
	PublicLogs, PublicSysInfo, PublicTCBInfo *bool

	// Env replaces all secrets; nil keeps them, an empty list removes them.
	Env []compose.EnvVar

	// VCPU is a number of virtual CPUs.
	VCPU int
	// Memory is in MB.
	Memory int
	// DiskSize is in GB; it can only grow.
	DiskSize int
	// Image is the name of a guest OS image.
	Image string
}

// check refuses a change that makes no sense by itself.
func (ch Change) check() error {
	if ch.CVM == "" {
		return errors.New("change: CVM is required")
	}
	if err := notNegative("change", size{"VCPU", ch.VCPU}, size{"Memory", ch.Memory}, size{"DiskSize", ch.DiskSize}); err != nil {
		return err
	}
	if !ch.changesCompose() && ch.Env == nil && ch.VCPU == 0 && ch.Memory == 0 && ch.DiskSize == 0 && ch.Image == "" {
		return fmt.Errorf("change of %s: nothing to change", ch.CVM)
	}
	for i, name := range ch.AllowedEnvs {
		if err := compose.ValidateEnvName(name); err != nil {
			return fmt.Errorf("change of %s: AllowedEnvs: %w", ch.CVM, err)
		}
		if slices.Contains(ch.AllowedEnvs[:i], name) {
			return fmt.Errorf("change of %s: AllowedEnvs: %s is there twice", ch.CVM, name)
		}
	}
	return kms.CheckEnv(ch.Env)
}

// changesCompose tells whether the app-compose is touched by more than the names of secrets.
func (ch Change) changesCompose() bool {
	return ch.DockerCompose != "" || ch.PreLaunchScript != "" || ch.AllowedEnvs != nil ||
		ch.PublicLogs != nil || ch.PublicSysInfo != nil || ch.PublicTCBInfo != nil
}

// names are the allowed_envs after the change. current are those before it.
func (ch Change) names(current []string) ([]string, error) {
	names := current
	switch {
	case ch.AllowedEnvs != nil:
		names = ch.AllowedEnvs
	case ch.Env != nil && !sameSet(envNames(ch.Env), current):
		names = envNames(ch.Env)
	}
	if ch.Env == nil && !sameSet(names, current) {
		return nil, fmt.Errorf("change of %s: other allowed_envs (%v, before %v) need the secrets: give Env", ch.CVM, names, current)
	}
	for _, name := range envNames(ch.Env) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("change of %s: the secret %s is not among the allowed_envs, so the guest would drop it", ch.CVM, name)
		}
	}
	return names, nil
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// apply gives the app-compose after the change, and leaves before as it is.
func (ch Change) apply(before *compose.App) (*compose.App, error) {
	names, err := ch.names(before.AllowedEnvs)
	if err != nil {
		return nil, err
	}
	app := *before
	app.AllowedEnvs = names
	app.DockerComposeFile = orElse(ch.DockerCompose, before.DockerComposeFile)
	app.PreLaunchScript = orElse(ch.PreLaunchScript, before.PreLaunchScript)
	for _, flag := range []struct{ to, from **bool }{
		{&app.PublicLogs, &ch.PublicLogs}, {&app.PublicSysInfo, &ch.PublicSysInfo}, {&app.PublicTCBInfo, &ch.PublicTCBInfo},
	} {
		if *flag.from != nil {
			*flag.to = *flag.from
		}
	}
	return &app, app.Validate()
}

func orElse[T comparable](v T, otherwise *T) *T {
	var zero T
	if v == zero {
		return otherwise
	}
	return &v
}

// request is the change as the API takes it. before and after are the app-compose, encrypted the secrets.
func (ch Change) request(before, after *compose.App, encrypted openapi.Secret) openapi.UpdateCVMRequest {
	r := openapi.UpdateCVMRequest{
		DockerComposeFile: unlessZero(ch.DockerCompose),
		PreLaunchScript:   unlessZero(ch.PreLaunchScript),
		PublicLogs:        ch.PublicLogs,
		PublicSysInfo:     ch.PublicSysInfo,
		PublicTCBInfo:     ch.PublicTCBInfo,
		EncryptedEnv:      unlessZero(encrypted),
		VCPU:              unlessZero(ch.VCPU),
		Memory:            unlessZero(ch.Memory),
		DiskSize:          unlessZero(ch.DiskSize),
		Image:             unlessZero(ch.Image),
	}
	if !slices.Equal(before.AllowedEnvs, after.AllowedEnvs) {
		r.AllowedEnvs = append([]string{}, after.AllowedEnvs...)
	}
	return r
}
