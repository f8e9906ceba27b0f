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

// Register makes the chain allow the provisioned hash: it deploys the contract of a new app, or completes that of the
// spec. It needs [WithChain]. It then reads the contract and compares it before the state advances.
func Register(ctx context.Context, st *State, opts ...Option) error {
	cfg, err := configure(inRun, opts)
	if err != nil {
		return err
	}
	return (&flow{cfg: cfg}).register(ctx, st)
}

func (f *flow) register(ctx context.Context, st *State) error {
	if err := st.checkPhase(PhaseProvisioned); err != nil {
		return err
	}
	chain := f.cfg.chain
	if chain == nil {
		return &InputError{Field: "deploy " + st.Name, Rule: fmt.Sprintf("its KMS is on chain %d, which needs WithChain", st.ChainID)}
	}
	if err := sameChain(chain, st.ChainID, st.KMSContract); err != nil {
		return err
	}
	log := journals{all: &st.Transactions, save: func() error { return f.cfg.checkpoint(st) }}
	transaction := ""
	if st.AppID.IsZero() {
		contract := kms.AppContract{
			Owner: st.Contract.Owner, ComposeHash: st.ComposeHash, Device: st.Device,
			AllowAnyDevice: st.Contract.AllowAnyDevice, RequireTCBUpToDate: st.Contract.RequireTCBUpToDate,
		}
		app, tx, err := chain.DeployApp(ctx, contract, log.of("deploy"))
		if err != nil {
			return onChainError("contract of "+st.Name, err)
		}
		st.AppID, st.Deployer, transaction = app, chain.Sender(), tx.Hex()
		f.report(&st.Comparisons, Comparison{
			Name: ComparedAppID, Outcome: Confirmed, Local: app.String(),
			Reason: "the address of the contract that the KMS deployed for this account",
		})
		// The id is the answer that must not get lost.
		if err := f.cfg.checkpoint(st); err != nil {
			return err
		}
	}
	before, err := chain.Allowance(ctx, st.AppID, st.ComposeHash, st.Device)
	if err != nil {
		return onChainError("contract of app "+st.AppID.String(), err)
	}
	comparison, err := st.Contract.demands(st.AppID, before)
	if err != nil {
		return err
	}
	allowed, err := allow(ctx, chain, &Approval{App: st.AppID, ComposeHash: st.ComposeHash, Device: st.Device}, log)
	if err != nil {
		return err
	}
	if transaction == "" {
		transaction = allowed
	}
	after, err := chain.Allowance(ctx, st.AppID, st.ComposeHash, st.Device)
	switch {
	case err != nil:
		return onChainError("contract of app "+st.AppID.String(), err)
	case !after.ComposeHash:
		return fmt.Errorf("contract of app %s: compose hash %s was added, but: %w", st.AppID, st.ComposeHash, ErrNotAllowed)
	case !st.Device.IsZero() && !after.Device && !after.AnyDevice:
		return fmt.Errorf("contract of app %s: device %s was added, but: %w", st.AppID, st.Device, ErrNotAllowed)
	}
	if st.KMSRoot, err = chain.RootKey(ctx); err != nil {
		return onChainError("root key in the contract of the KMS", err)
	}
	st.Owner, st.Phase = after.Owner, PhaseRegistered
	f.report(&st.Comparisons, comparison)
	f.cfg.progress(RegisteredEvent{AppID: st.AppID.String(), ChainID: chain.ChainID(), Transaction: transaction})
	return f.cfg.checkpoint(st)
}

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
			return "", mismatch(ComparedAppID, app.String(), vm.AppID)
		}
		if _, err := compare(ComparedAppID, app.String(), answered.String()); err != nil {
			return "", err
		}
	}
	id := vm.VMUUID
	if id == "" {
		id = string(vm.ID)
	}
	if id == "" {
		return "", mismatch(ComparedCVM, "a vm_uuid", "")
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
