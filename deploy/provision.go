package deploy

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Provision announces the app-compose of spec to the cloud and compares the compose hash and the app id
// that it answers. Nothing runs yet and no secret is sent. A provision is kept for 14 days.
//
// It returns a [*MismatchError] where the cloud's compose hash is not the one computed here, or its app id
// not the one asked for. Where the hash cannot be predicted (the app-compose has no pre-launch script of
// its own, so the platform adds one) the check is recorded as not possible.
func Provision(ctx context.Context, c *client.Client, spec Spec, opts ...Option) (*State, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	return provision(ctx, c, spec, cfg)
}

func provision(ctx context.Context, c *client.Client, spec Spec, cfg *config) (*State, error) {
	if err := spec.check(cfg.chain != nil); err != nil {
		return nil, err
	}
	if len(spec.Env) > 0 {
		if err := cfg.canCheckKey(spec.Name); err != nil {
			return nil, err
		}
	}
	app, err := spec.app()
	if err != nil {
		return nil, err
	}
	wallet, err := cfg.derive(spec)
	if err != nil {
		return nil, err
	}
	if cfg.chain != nil && !app.Predictable() && !cfg.trustHash {
		return nil, fmt.Errorf("deploy %s: %w", spec.Name, ErrUnpredictable)
	}
	request, err := spec.request(app, cfg.chain)
	if err != nil {
		return nil, err
	}
	answer, err := c.CVMs.Provision(ctx, request)
	if nameTaken(err) {
		return adopt(ctx, c, spec, app, cfg, err)
	}
	if err != nil {
		return nil, fmt.Errorf("provision %s: %w", spec.Name, err)
	}
	st := &State{
		Phase:        PhaseProvisioned,
		Name:         spec.Name,
		EnvKeys:      envNames(spec.Env),
		ProvisionKey: answer.AppEnvEncryptPublicKey,
		Token:        answer.Token,
	}
	if k := answer.KMSInfo; k != nil {
		st.KMS, st.CloudRoot = slugOrID(k.Slug, k.ID), k.K256PublicKey
	}
	if err := st.takeHash(app, answer.ComposeHash); err != nil {
		return nil, err
	}
	if cfg.chain != nil {
		st.Contract = spec.Contract
		if err := st.takeChain(cfg.chain, answer); err != nil {
			return nil, err
		}
	}
	if err := st.takeAppID(spec, answer, wallet); err != nil {
		return nil, err
	}
	provisioned := ProvisionedEvent{ComposeHash: st.ComposeHash.String()}
	if !st.AppID.IsZero() {
		provisioned.AppID = st.AppID.String()
	}
	cfg.progress(provisioned)
	cfg.report(st.Checks)
	return st, cfg.checkpoint(st)
}

// takeHash compares the cloud's compose hash with the one computed here, and keeps it.
func (s *State) takeHash(app *compose.App, answered string) error {
	remote, err := compose.ParseHash(answered)
	if err != nil {
		return fmt.Errorf("the cloud's compose hash: %w", err)
	}
	s.ComposeHash = remote
	if !app.Predictable() {
		s.Checks = append(s.Checks, Check{
			Name: CheckComposeHash, Outcome: NotPossible, Remote: remote.String(),
			Reason: "without a pre-launch script of its own the platform completes the app-compose",
		})
		return nil
	}
	local, err := app.Hash()
	if err != nil {
		return err
	}
	check, err := compare(CheckComposeHash, local.String(), remote.String())
	if err != nil {
		return err
	}
	s.Checks = append(s.Checks, check)
	return nil
}

// takeChain compares the KMS that the cloud chose with the one on the chain of this side, and keeps it.
func (s *State) takeChain(chain Chain, answer *openapi.Provision) error {
	id, contract := chainOf(answer.KMSInfo)
	if id == 0 || contract == (common.Address{}) {
		return fmt.Errorf("provision %s: the cloud did not name a KMS on a chain", s.Name)
	}
	if err := sameChain(chain, id, contract); err != nil {
		return err
	}
	var err error
	if s.DeviceID, err = bareDevice(answer.DeviceID); err != nil {
		return fmt.Errorf("provision %s: %w", s.Name, err)
	}
	s.ChainID, s.KMSContract = id, contract
	return nil
}

// takeAppID compares the cloud's app id with the one asked for, and keeps it.
func (s *State) takeAppID(spec Spec, answer *openapi.Provision, wallet bool) error {
	if answer.AppID == "" && s.onChain() {
		if spec.AppID != nil {
			s.AppID = *spec.AppID
		}
		return nil // the id is the address of a contract, which is yet to be deployed
	}
	if answer.AppID == "" {
		return fmt.Errorf("provision %s: the cloud gave no app id; a KMS on a chain needs its contract first", spec.Name)
	}
	remote, err := kms.ParseAppID(answer.AppID)
	if err != nil {
		return fmt.Errorf("the cloud's app id: %w", err)
	}
	s.AppID = remote
	if spec.AppID == nil {
		s.Checks = append(s.Checks, Check{
			Name: CheckAppID, Outcome: NotPossible, Remote: remote.String(),
			Reason: "no app id was asked for, so the cloud chose one",
		})
		return nil
	}
	check, err := compare(CheckAppID, spec.AppID.String(), remote.String())
	if err != nil {
		return err
	}
	if !wallet {
		check.Reason = "as asked for; not derived here, since the team wallet is not known"
	}
	s.Checks = append(s.Checks, check)
	return nil
}

// derive checks that the app id asked for follows from the team wallet and the nonce, where the wallet is
// known, and says whether it is.
func (c *config) derive(spec Spec) (bool, error) {
	if c.teamWallet == nil || spec.AppID == nil || spec.Nonce == nil {
		return false, nil
	}
	_, err := compare(CheckAppID, kms.DeriveAppID(*c.teamWallet, *spec.Nonce).String(), spec.AppID.String())
	return true, err
}

func (c *config) report(checks []Check) {
	for _, check := range checks {
		c.progress(CheckEvent{check})
	}
}
