package deploy

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Create creates the CVM. It may be repeated: the cloud returns the same CVM for the same app id and compose hash.
func Create(ctx context.Context, c *client.Client, st *State, opts ...Option) error {
	cfg, err := configure(inRun, opts)
	if err != nil {
		return err
	}
	return (&flow{c: c, cfg: cfg}).create(ctx, st)
}

func (f *flow) create(ctx context.Context, st *State) error {
	if err := st.checkPhase(PhaseEncrypted); err != nil {
		return err
	}
	if st.Adopted {
		return f.createAdopted(ctx, st)
	}
	body := openapi.CreateCVMRequest{
		AppID:        st.AppID.String(),
		ComposeHash:  st.ComposeHash.String(),
		EnvKeys:      st.EnvKeys,
		EncryptedEnv: unlessZero(st.EncryptedEnv),
		Token:        unlessZero(st.Token),
	}
	if st.onChain() {
		body.KMSID = unlessZero(st.KMS)
		body.ContractAddress = openapi.Ptr(st.AppID.Address().Hex())
		if st.Deployer != (common.Address{}) {
			body.DeployerAddress = openapi.Ptr(st.Deployer.Hex())
		}
	}
	var vm *openapi.VM
	err := untilSeen(ctx, func() (err error) {
		vm, err = f.c.CVMs.Create(ctx, body)
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s: %w", st.Name, explain(err))
	}
	if st.CVM, err = created(vm, st.AppID); err != nil {
		return fmt.Errorf("create %s: %w", st.Name, err)
	}
	st.Phase = PhaseCreated
	f.cfg.progress(CreatedEvent{CVM: st.CVM})
	return f.cfg.checkpoint(st)
}

// created identifies a CVM that was made, by its vm_uuid or else its id, and compares its app id.
func created(vm *openapi.VM, app kms.AppID) (string, error) {
	if vm.AppID != "" {
		answered, err := kms.ParseAppID(vm.AppID)
		if err != nil {
			return "", mismatch(CheckAppID, app.String(), vm.AppID)
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
		return "", mismatch(CheckCVM, "a vm_uuid", "")
	}
	return cloudtext.Clean(id), nil
}

// createAdopted replaces the secrets of a CVM that an earlier run had made. It names no keys: a list of them that is
// shorter than allowed_envs would change the document.
func (f *flow) createAdopted(ctx context.Context, st *State) error {
	if st.EncryptedEnv != "" {
		_, err := f.c.CVMs.Update(ctx, st.CVM, openapi.UpdateCVMRequest{EncryptedEnv: &st.EncryptedEnv}, nil, client.WithConflictWait(conflictWait))
		if err != nil {
			return fmt.Errorf("secrets of cvm %s: %w", st.CVM, err)
		}
	}
	st.Phase = PhaseCreated
	return f.cfg.checkpoint(st)
}
