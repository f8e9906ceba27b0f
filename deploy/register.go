package deploy

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/kms"
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
		f.report(&st.Checks, Check{
			Name: CheckAppID, Outcome: Passed, Local: app.String(),
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
	check, err := st.Contract.demands(st.AppID, before)
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
	f.report(&st.Checks, check)
	f.cfg.progress(RegisteredEvent{AppID: st.AppID.String(), ChainID: chain.ChainID(), Transaction: transaction})
	return f.cfg.checkpoint(st)
}
