package deploy

import (
	"context"

	"github.com/phala-go/phala/client"
)

// Run deploys spec with the central KMS, or with the one on a chain that [WithChain] sets, and returns when
// the CVM runs, no operation is under way, and the hardware was asked what it is that runs. Keep the [App] that it
// returns: every later flow needs it.
//
// If the app shows its attestation (public_tcbinfo), the last step is to verify it: that genuine hardware runs
// exactly this compose hash under exactly this app id. A check of it that fails is a [*VerificationError] with
// the whole report. [WithVerification] sets what else must be true, and makes an error of what cannot be
// checked; without it App.Last has what remained open.
//
// Secrets need a KMS root to check their key against: [WithKMSRoot], [WithChain], or an option that gives the check
// up ([TrustKMSRootFromCloud], [SkipKMSKeyCheck]); and an app id that the cloud did not choose: Spec.AppID and Nonce,
// [WithTeamWallet], [WithChain], or [TrustAppIDFromCloud]. Without them Run returns [ErrNoKMSRoot] or [ErrNoAppID]
// before anything is sent. A value of the cloud that differs from the one computed here is a [*MismatchError]; a CVM
// that does not boot a [*BootError]; secrets that do not fit the docker-compose file a [*SecretsError].
//
// Running the same spec again is safe. If an earlier run has made the CVM (same name, same compose hash, an app id
// that passes the same checks), it is taken over: its secrets are replaced by those of spec, which restarts it, and
// no second one is made.
func Run(ctx context.Context, c *client.Client, spec Spec, opts ...Option) (*App, error) {
	return Resume(ctx, c, spec, nil, opts...)
}

// Resume continues a deployment from st, as [WithCheckpoint] saved it; nil starts from the beginning. The spec must
// be the one of the state, otherwise Resume returns [ErrOtherSpec]. The values of the secrets are needed only while
// st is in phase "provisioned" or "registered".
func Resume(ctx context.Context, c *client.Client, spec Spec, st *State, opts ...Option) (*App, error) {
	cfg, err := configure(inRun, opts)
	if err != nil {
		return nil, err
	}
	f := &flow{c: c, cfg: cfg}
	if st == nil {
		if st, err = f.provision(ctx, spec); err != nil {
			return nil, err
		}
	} else if err := spec.belongsTo(st); err != nil {
		return nil, err
	}
	if st.Phase == PhaseProvisioned && st.onChain() {
		if err := f.register(ctx, st); err != nil {
			return nil, err
		}
	}
	if st.Phase == PhaseProvisioned || st.Phase == PhaseRegistered {
		if err := f.encrypt(ctx, st, spec.Env); err != nil {
			return nil, err
		}
	}
	if st.Phase == PhaseEncrypted {
		if err := f.create(ctx, st); err != nil {
			return nil, err
		}
	}
	return f.boot(ctx, st)
}

// belongsTo returns an error unless st began with this spec.
func (s Spec) belongsTo(st *State) error {
	if s.Compose == nil {
		return &InputError{Field: "Spec", Rule: "Compose is required"}
	}
	doc, err := withSecrets(s.Compose, s.Env)
	if err != nil {
		return err
	}
	return st.checkSpec(s.fingerprint(doc))
}
