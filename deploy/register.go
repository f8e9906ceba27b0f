package deploy

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/kms"
)

// Register lets the chain allow what was provisioned: it deploys the contract of a new app, or completes the
// one that the spec names. It needs [WithChain]. What the chain allows is read back before the state moves
// on.
func Register(ctx context.Context, st *State, opts ...Option) error {
	cfg, err := configure(opts)
	if err != nil {
		return err
	}
	return register(ctx, st, cfg)
}

func register(ctx context.Context, st *State, cfg *config) error {
	if err := st.in(PhaseProvisioned); err != nil {
		return err
	}
	if cfg.chain == nil {
		return fmt.Errorf("deploy %s: its KMS is on chain %d, which needs WithChain", st.Name, st.ChainID)
	}
	if err := sameChain(cfg.chain, st.ChainID, st.KMSContract); err != nil {
		return err
	}
	dev, err := device(st.DeviceID)
	if err != nil {
		return err
	}
	log := &intents{all: &st.Intents, save: func() error { return cfg.checkpoint(st) }}
	var transaction string
	if st.AppID.IsZero() {
		app, tx, err := cfg.chain.DeployApp(ctx, kms.AppContract{
			Owner: st.Contract.Owner, ComposeHash: st.ComposeHash, Device: dev,
			AllowAnyDevice: st.Contract.AllowAnyDevice, RequireTCBUpToDate: st.Contract.RequireTCBUpToDate,
		}, log.journal("deploy"))
		if err != nil {
			return fmt.Errorf("contract of %s: %w", st.Name, err)
		}
		st.AppID, st.Deployer, transaction = app, cfg.chain.Sender(), tx.Hex()
		st.Checks = append(st.Checks, Check{
			Name: CheckAppID, Outcome: Passed, Local: app.String(),
			Reason: "the address of the contract that the KMS deployed for this account",
		})
		cfg.report(st.Checks[len(st.Checks)-1:])
		// The id is the answer that must not get lost.
		if err := cfg.checkpoint(st); err != nil {
			return err
		}
	}
	allowed, err := allow(ctx, cfg.chain, st.AppID, st.ComposeHash, dev, log)
	if err != nil {
		return err
	}
	if transaction == "" {
		transaction = allowed
	}
	is, err := cfg.chain.Allowance(ctx, st.AppID, st.ComposeHash, dev)
	switch {
	case err != nil:
		return fmt.Errorf("contract of app %s: %w", st.AppID, err)
	case !is.ComposeHash:
		return fmt.Errorf("contract of app %s: it does not allow compose hash %s though it was told to", st.AppID, st.ComposeHash)
	case !is.Device && !is.AnyDevice && st.DeviceID != "":
		return fmt.Errorf("contract of app %s: it does not allow device %s though it was told to", st.AppID, st.DeviceID)
	}
	st.Phase = PhaseRegistered
	cfg.progress(RegisteredEvent{AppID: st.AppID.String(), ChainID: cfg.chain.ChainID(), Transaction: transaction})
	return cfg.checkpoint(st)
}
