package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/compose/inspect"
	"github.com/phala-go/phala/kms"
)

// Option configures a flow. An option without an effect in a flow is an error there, so that no option is ignored. The
// error names the flows that the option is for.
type Option struct {
	name  string
	flows flows
	set   func(*config) error
}

// flows is a set of flows.
type flows uint16

const (
	inRun       flows = 1 << iota // Run, Resume and the phases of a deployment
	inChange                      // Update, Rollback, Replicate, AddInstance, Finish
	inPrepare                     // Prepare, PrepareReplica
	inCommit                      // Commit
	inApprove                     // Approve
	inAttach                      // Attach
	inRetire                      // Retire
	inDeploying = inRun | inChange | inPrepare
	inAll       = inDeploying | inCommit | inApprove | inAttach | inRetire
)

func (f flows) String() string {
	names := map[flows]string{
		inRun: "a deployment", inChange: "a change", inPrepare: "a preparation", inCommit: "Commit", inApprove: "Approve",
		inAttach: "Attach", inRetire: "Retire",
	}
	var of []string
	for _, one := range slices.Sorted(maps.Keys(names)) {
		if f&one != 0 {
			of = append(of, names[one])
		}
	}
	return strings.Join(of, ", ")
}

// config contains the options of one flow.
type config struct {
	progress      func(Event)
	checkpoint    func(*State) error
	keep          func(*Pending) error
	keepApproval  func(*Approval) error
	roots         []kms.RootKey
	rootFromCloud bool
	skipKeyCheck  bool
	teamWallet    *common.Address
	idFromCloud   bool
	chain         Chain
	hashFromCloud bool
	devFromCloud  bool
	docFromCloud  bool
	mayMiss       []string
	mayAlter      []string
	mayFind       []inspect.Rule
	scripts       []compose.Hash
	policy        attest.Policy
	strict        bool // what cannot be verified is an error
	skipVerify    bool
	bootTimeout   time.Duration
}

// defaultBootTimeout bounds the wait for a CVM, which includes the download of its image and containers.
const defaultBootTimeout = 30 * time.Minute

func configure(flow flows, opts []Option) (*config, error) {
	cfg := &config{
		progress:   func(Event) {},
		checkpoint: func(*State) error { return nil }, keep: func(*Pending) error { return nil }, keepApproval: func(*Approval) error { return nil },
		bootTimeout: defaultBootTimeout,
	}
	for _, o := range opts {
		if o.set == nil {
			return nil, &InputError{Field: "option", Rule: "it is the zero Option"}
		}
		if o.flows&flow == 0 {
			return nil, &InputError{Field: "option", Rule: fmt.Sprintf("%s has no effect in %s; it is for %s", o.name, flow, o.flows)}
		}
		if err := o.set(cfg); err != nil {
			return nil, &InputError{Field: o.name, Err: err}
		}
	}
	ways := 0
	for _, chosen := range []bool{len(cfg.roots) > 0, cfg.rootFromCloud, cfg.skipKeyCheck} {
		if chosen {
			ways++
		}
	}
	switch {
	case ways > 1:
		return nil, &InputError{Field: "options", Rule: "WithKMSRoot, TrustKMSRootFromCloud and SkipKMSKeyCheck exclude one another"}
	case cfg.strict && cfg.skipVerify:
		return nil, &InputError{Field: "options", Rule: "WithVerification and SkipVerification exclude one another"}
	}
	return cfg, nil
}

func option(name string, flows flows, set func(*config) error) Option {
	return Option{name, flows, set}
}

// flag is an option without a value.
func flag(name string, flows flows, field func(*config) *bool) Option {
	return option(name, flows, func(c *config) error {
		*field(c) = true
		return nil
	})
}

var errNoFunction = errors.New("a function is required")

// WithProgress calls fn with each event, in order, in the goroutine of the flow. It is for every flow.
func WithProgress(fn func(Event)) Option {
	return option("WithProgress", inAll, func(c *config) error {
		if fn == nil {
			return errNoFunction
		}
		c.progress = fn
		return nil
	})
}

// WithCheckpoint calls save with the state after each phase of a deployment, so that [Resume] can continue from it.
// An error of save ends the deployment.
func WithCheckpoint(save func(*State) error) Option {
	return option("WithCheckpoint", inRun, func(c *config) error {
		if save == nil {
			return errNoFunction
		}
		c.checkpoint = save
		return nil
	})
}

// WithPending calls save with a running change, before anything is sent and whenever it changes, so that [Finish] can
// continue from it. An error of save ends the flow. It is for changes, preparations and [Commit].
func WithPending(save func(*Pending) error) Option {
	return option("WithPending", inChange|inPrepare|inCommit, func(c *config) error {
		if save == nil {
			return errNoFunction
		}
		c.keep = save
		return nil
	})
}

// WithApproval calls save before each transaction of [Approve] and after it, so that a run after a crash sends nothing
// twice. An error of save ends the flow.
func WithApproval(save func(*Approval) error) Option {
	return option("WithApproval", inApprove, func(c *config) error {
		if save == nil {
			return errNoFunction
		}
		c.keepApproval = save
		return nil
	})
}

// WithKMSRoot pins the root key of the KMS: the key that secrets are encrypted for must be signed by one of roots.
// Take it from a source that the cloud does not control. A change without it uses the root of the [App].
func WithKMSRoot(roots ...kms.RootKey) Option {
	return option("WithKMSRoot", inDeploying|inAttach, func(c *config) error {
		if len(roots) == 0 {
			return errors.New("a key is required")
		}
		c.roots = append(c.roots, roots...)
		return nil
	})
}

// TrustKMSRootFromCloud accepts the KMS root key that the cloud reports. There is no protection then against a cloud
// that replaces both the root and the key of the app: such a cloud can read the secrets. The key is still compared with
// that root, and the [App] pins the root for later changes.
func TrustKMSRootFromCloud() Option {
	return flag("TrustKMSRootFromCloud", inDeploying, func(c *config) *bool { return &c.rootFromCloud })
}

// SkipKMSKeyCheck encrypts for any key that the cloud returns. There is no protection of the secrets against the cloud
// then.
func SkipKMSKeyCheck() Option {
	return flag("SkipKMSKeyCheck", inDeploying, func(c *config) *bool { return &c.skipKeyCheck })
}

// WithTeamWallet sets the address of the workspace's server-side wallet. The app id of a new app with the central
// KMS must then be an address that this wallet creates: the one of Spec.Nonce, or of any nonce below 10,000.
// Without Spec.Nonce the cloud can choose the id of another app of this wallet, whose CVMs could then read the secrets.
func WithTeamWallet(address common.Address) Option {
	return option("WithTeamWallet", inRun, func(c *config) error {
		c.teamWallet = &address
		return nil
	})
}

// TrustAppIDFromCloud accepts the app id that the cloud chooses for a new app with secrets. There is no protection then
// against a cloud that returns the app id of somebody else: the secrets would be encrypted for that app.
func TrustAppIDFromCloud() Option {
	return flag("TrustAppIDFromCloud", inRun, func(c *config) *bool { return &c.idFromCloud })
}

// WithChain sets the chain of the KMS for deployments and updates, and the account that changes its contracts. The
// key that secrets are encrypted for is checked against the root key in the KMS's contract, unless [WithKMSRoot] pins
// another. It is for deployments, changes, preparations and [Attach].
func WithChain(chain Chain) Option {
	return option("WithChain", inDeploying|inAttach, func(c *config) error {
		if chain == nil {
			return errors.New("a chain is required")
		}
		c.chain = chain
		return nil
	})
}

// TrustComposeHashFromCloud allows a compose hash on chain that could not be computed locally. There is no protection
// then against a cloud that returns the hash of another document. It is for deployments, changes, preparations and
// [Approve].
func TrustComposeHashFromCloud() Option {
	return flag("TrustComposeHashFromCloud", inDeploying|inApprove, func(c *config) *bool { return &c.hashFromCloud })
}

// TrustDeviceFromCloud accepts the machine that the cloud chooses, and allows it in the contract of the app. Without the
// option the machine must be listed in the spec.
func TrustDeviceFromCloud() Option {
	return flag("TrustDeviceFromCloud", inDeploying, func(c *config) *bool { return &c.devFromCloud })
}

// TrustDocumentFromCloud makes [Attach] accept the document of an app from the cloud if neither hardware nor chain
// can prove it. There is no protection then of anything that follows from the document: an update signs and allows what
// the cloud put into it.
func TrustDocumentFromCloud() Option {
	return flag("TrustDocumentFromCloud", inAttach, func(c *config) *bool { return &c.docFromCloud })
}

// AllowMissing allows variables that the docker-compose file requires to be missing.
func AllowMissing(names ...string) Option {
	return option("AllowMissing", inDeploying, func(c *config) error {
		c.mayMiss = append(c.mayMiss, names...)
		return nil
	})
}

// AcceptAlteredSecrets allows secrets whose values the guest alters on the way to the app, see
// [compose.CheckGuestValue].
func AcceptAlteredSecrets(names ...string) Option {
	return option("AcceptAlteredSecrets", inDeploying, func(c *config) error {
		c.mayAlter = append(c.mayAlter, names...)
		return nil
	})
}

// AcceptFindings reports the findings of these rules of package compose/inspect instead of returning an error for them.
func AcceptFindings(rules ...inspect.Rule) Option {
	return option("AcceptFindings", inDeploying, func(c *config) error {
		c.mayFind = append(c.mayFind, rules...)
		return nil
	})
}

// AcceptPreLaunchScripts adds SHA-256 hashes of pre-launch scripts that the platform may insert, to the known ones of
// package compose. It is for platforms other than Phala's own, and for scripts that are newer than this SDK.
func AcceptPreLaunchScripts(hashes ...compose.Hash) Option {
	return option("AcceptPreLaunchScripts", inRun|inChange|inAttach, func(c *config) error {
		c.scripts = append(c.scripts, hashes...)
		return nil
	})
}

// WithBootTimeout limits each wait for a CVM to boot; the default is 30 minutes. A wait that takes longer ends with
// an error, and the CVM continues to boot.
func WithBootTimeout(d time.Duration) Option {
	return option("WithBootTimeout", inRun|inChange, func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("%s is not more than 0", d)
		}
		c.bootTimeout = d
		return nil
	})
}

// WithVerification sets the policy of the verification, and makes everything that cannot be checked an error. Without
// it, a flow verifies the evidence that the app publishes, and the result contains the checks that were not possible. A
// CVM that does not run after a change cannot be checked either: start it, and call [Finish].
//
// The app id, the compose hash and the measured key provider need not be set; they are those of the flow.
// With [WithChain] the root CA of the KMS is the one in its contract, unless the policy has others. If the policy has
// no source of collateral, it is [verify.CloudCollateral].
func WithVerification(policy attest.Policy) Option {
	return option("WithVerification", inRun|inChange, func(c *config) error {
		if err := policy.Validate(); err != nil {
			return err
		}
		c.policy, c.strict = policy, true
		return nil
	})
}

// SkipVerification skips the verification of the evidence. There is no proof then that the CVM runs on genuine hardware,
// or that it runs this app-compose.
func SkipVerification() Option {
	return flag("SkipVerification", inRun|inChange, func(c *config) *bool { return &c.skipVerify })
}

// bounded returns ctx with a limit, after which its error is a [*TimeoutError].
func bounded(ctx context.Context, d time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, &TimeoutError{What: what, After: d})
}
