package deploy

import (
	"errors"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
)

// Option changes how a deployment is done.
type Option func(*config) error

type config struct {
	progress      func(Event)
	checkpoint    func(*State) error
	roots         []kms.Signer
	rootFromCloud bool
	skipKeyCheck  bool
	teamWallet    *common.Address
	chain         Chain
	trustHash     bool
	keep          func(*Pending) error
	policy        attest.Policy
	strict        bool // what cannot be verified is an error
	skipVerify    bool
}

func configure(opts []Option) (*config, error) {
	cfg := &config{progress: func(Event) {}, checkpoint: func(*State) error { return nil }, keep: func(*Pending) error { return nil }}
	for _, o := range opts {
		if err := o(cfg); err != nil {
			return nil, err
		}
	}
	ways := 0
	for _, chosen := range []bool{len(cfg.roots) > 0, cfg.rootFromCloud, cfg.skipKeyCheck} {
		if chosen {
			ways++
		}
	}
	if ways > 1 {
		return nil, errors.New("deploy: WithKMSRoot, TrustKMSRootFromCloud and SkipKMSKeyCheck exclude one another")
	}
	if cfg.strict && cfg.skipVerify {
		return nil, errors.New("deploy: WithVerification and SkipVerification exclude one another")
	}
	return cfg, nil
}

// WithProgress calls fn with each step, in order, from the goroutine of the deployment.
func WithProgress(fn func(Event)) Option {
	return func(c *config) error {
		if fn == nil {
			return errors.New("deploy: WithProgress needs a function")
		}
		c.progress = fn
		return nil
	}
}

// WithCheckpoint calls save with the state after each phase, so that [Resume] can go on from it. An error
// of save ends the deployment.
func WithCheckpoint(save func(*State) error) Option {
	return func(c *config) error {
		if save == nil {
			return errors.New("deploy: WithCheckpoint needs a function")
		}
		c.checkpoint = save
		return nil
	}
}

// WithKMSRoot pins the root key of the KMS: the key that secrets are encrypted for must be signed by one of
// roots. Get it from a place that the cloud does not control.
func WithKMSRoot(roots ...kms.Signer) Option {
	return func(c *config) error {
		if len(roots) == 0 {
			return errors.New("deploy: WithKMSRoot needs a key")
		}
		c.roots = append(c.roots, roots...)
		return nil
	}
}

// TrustKMSRootFromCloud takes the KMS root key from the cloud itself. It loses the protection against a
// cloud that lies about the root and about the app's key together: such a cloud could read the secrets. What
// remains is that the key is consistent with the root that the cloud shows to everybody.
func TrustKMSRootFromCloud() Option {
	return func(c *config) error {
		c.rootFromCloud = true
		return nil
	}
}

// SkipKMSKeyCheck encrypts for whatever key the cloud names. It loses all protection of the secrets
// against the cloud.
func SkipKMSKeyCheck() Option {
	return func(c *config) error {
		c.skipKeyCheck = true
		return nil
	}
}

// WithTeamWallet gives the address of the workspace's server-side wallet, so that a known app id
// (Spec.AppID with Spec.Nonce) is derived here and compared before anything is sent.
func WithTeamWallet(address common.Address) Option {
	return func(c *config) error {
		c.teamWallet = &address
		return nil
	}
}

// WithChain deploys and updates with the KMS that chain is, and acts on the chain for it. The key that
// secrets are encrypted for is checked against the root key in the KMS's contract, unless [WithKMSRoot] pins
// another.
func WithChain(chain Chain) Option {
	return func(c *config) error {
		if chain == nil {
			return errNoChain
		}
		c.chain = chain
		return nil
	}
}

// WithPending calls save with what waits for an approval, as soon as it is known and whenever it changes, so
// that another run can go on from it. An error of save ends the flow.
func WithPending(save func(*Pending) error) Option {
	return func(c *config) error {
		if save == nil {
			return errors.New("deploy: WithPending needs a function")
		}
		c.keep = save
		return nil
	}
}

// TrustComposeHashFromCloud lets a compose hash go on chain that could not be computed here. It loses the
// protection against a cloud that has something else allowed than was asked for.
func TrustComposeHashFromCloud() Option {
	return func(c *config) error {
		c.trustHash = true
		return nil
	}
}
