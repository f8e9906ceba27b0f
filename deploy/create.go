package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Create creates the CVM. It may be repeated: the cloud answers the same app id and compose hash with the
// same CVM.
func Create(ctx context.Context, c *client.Client, st *State, opts ...Option) error {
	cfg, err := configure(opts)
	if err != nil {
		return err
	}
	return create(ctx, c, st, cfg)
}

func create(ctx context.Context, c *client.Client, st *State, cfg *config) error {
	if err := st.in(PhaseEncrypted); err != nil {
		return err
	}
	if st.Adopted {
		return createAdopted(ctx, c, st, cfg)
	}
	body := openapi.CreateCVMRequest{
		AppID:       st.AppID.String(),
		ComposeHash: st.ComposeHash.String(),
		EnvKeys:     st.EnvKeys,
	}
	body.EncryptedEnv = unlessZero(st.EncryptedEnv)
	body.Token = unlessZero(st.Token)
	if st.onChain() {
		body.KMSID = unlessZero(st.KMS)
		body.ContractAddress = openapi.Ptr(st.AppID.Address().Hex())
		if st.Deployer != (common.Address{}) {
			body.DeployerAddress = openapi.Ptr(st.Deployer.Hex())
		}
	}
	var vm *openapi.VM
	err := untilSeen(ctx, func() (err error) {
		vm, err = c.CVMs.Create(ctx, body)
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", st.Name, explain(err))
	}
	if st.CVM, err = made(vm, st.AppID); err != nil {
		return fmt.Errorf("create %s: %w", st.Name, err)
	}
	st.Phase = PhaseCreated
	cfg.progress(CreatedEvent{CVM: st.CVM})
	return cfg.checkpoint(st)
}

// made identifies a CVM that was made, by its vm_uuid or else its id, and compares its app id.
func made(vm *openapi.VM, app kms.AppID) (string, error) {
	if vm.AppID != "" {
		answered, err := kms.ParseAppID(vm.AppID)
		if err != nil {
			return "", fmt.Errorf("the app id of the new CVM: %w", err)
		}
		if _, err := compare(CheckAppID, app.String(), answered.String()); err != nil {
			return "", err
		}
	}
	id := vm.VMUUID
	if id == "" {
		id = string(vm.ID)
	}
	if id == "" {
		return "", errors.New("the cloud named no CVM")
	}
	return id, nil
}

// nameTaken tells whether err says that the workspace has a CVM of that name.
func nameTaken(err error) bool {
	var api *client.APIError
	return errors.As(err, &api) && api.Code == client.CodeDuplicateCVMName
}

// adopt takes over the CVM that has the name of spec, where it runs the same app-compose: a run whose last
// answer was lost has made it. The secrets are sent again, so that it ends with those of spec. Where the
// compose hash is another or cannot be predicted, or another app id was asked for, the error is taken: the
// name belongs to something else.
func adopt(ctx context.Context, c *client.Client, spec Spec, app *compose.App, cfg *config, taken error) (*State, error) {
	taken = fmt.Errorf("provision %s: %w", spec.Name, taken)
	if !app.Predictable() {
		return nil, taken
	}
	cvm, err := c.CVMs.Get(ctx, spec.Name)
	if err != nil {
		return nil, errors.Join(taken, err)
	}
	local, err := app.Hash()
	if err != nil {
		return nil, err
	}
	if remote, err := compose.ParseHash(cvm.ComposeHash); err != nil || remote != local {
		return nil, fmt.Errorf("%w; the CVM of that name runs compose hash %s, not %s", taken, cvm.ComposeHash, local)
	}
	id, err := kms.ParseAppID(cvm.AppID)
	if err != nil {
		return nil, fmt.Errorf("%w; the CVM of that name has no usable app id: %w", taken, err)
	}
	if spec.AppID != nil && id != *spec.AppID {
		return nil, fmt.Errorf("%w; the CVM of that name belongs to app %s, not %s", taken, id, spec.AppID)
	}
	st := &State{Phase: PhaseProvisioned, Name: spec.Name, EnvKeys: envNames(spec.Env), Adopted: true, CVM: handle(cvm)}
	st.takeKMS(cvm.KMSInfo)
	if err := st.takeHash(app, cvm.ComposeHash); err != nil {
		return nil, err
	}
	wallet, err := cfg.derive(spec)
	if err != nil {
		return nil, err
	}
	if err := st.takeAppID(spec, &openapi.Provision{AppID: cvm.AppID}, wallet); err != nil {
		return nil, err
	}
	cfg.progress(CreatedEvent{CVM: st.CVM, Adopted: true})
	cfg.report(st.Checks)
	return st, cfg.checkpoint(st)
}

// createAdopted replaces the secrets of a CVM that an earlier run had made.
func createAdopted(ctx context.Context, c *client.Client, st *State, cfg *config) error {
	if st.EncryptedEnv != "" {
		_, err := c.CVMs.UpdateEnvs(ctx, st.CVM, openapi.UpdateEnvsRequest{EncryptedEnv: st.EncryptedEnv, EnvKeys: st.EnvKeys},
			client.WithConflictWait(conflictWait))
		if err != nil {
			return fmt.Errorf("secrets of cvm %s: %w", st.CVM, err)
		}
	}
	st.Phase = PhaseCreated
	return cfg.checkpoint(st)
}

// takeKMS keeps what the cloud says of the KMS of an existing CVM.
func (s *State) takeKMS(k *openapi.CVMKMS) {
	if k != nil {
		s.KMS, s.CloudRoot, s.ProvisionKey = slugOrID(k.Slug, k.ID), k.K256PublicKey, k.EncryptedEnvPublicKey
	}
}

func slugOrID(slug string, id openapi.ID) string {
	if slug != "" {
		return slug
	}
	return string(id)
}
