package deploy

import (
	"context"
	"fmt"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
)

// conflictWait is how long an update waits for another operation on the same CVM; booting takes minutes.
const conflictWait = 10 * time.Minute

// Result is a finished deployment.
type Result struct {
	// State is the last state, in phase "running".
	State State
	// CVM is what the cloud says of it.
	CVM *openapi.CVMDetail
	// URLs are the public addresses of the app.
	URLs []string
	// Checks are the comparisons that were made, in order, [CheckAttestation] last.
	Checks []Check
	// Report is what the hardware proves of the CVM, check by check; nil where there was no evidence, or by
	// [SkipVerification].
	Report *attest.Report
}

// Run deploys spec with the central KMS, or with the one on a chain that [WithChain] gives, and returns when
// the CVM runs, no operation is under way, and the hardware was asked what it is that runs.
//
// Where the app shows its attestation (public_tcbinfo) the last step is to verify it: that genuine hardware runs
// exactly this compose hash under exactly this app id. A check of it that fails is a [*VerificationError] with
// the whole report. [WithVerification] says what else must be true, and makes an error of what cannot be
// checked; without it the result tells.
//
// Secrets need a KMS root to check their key against: [WithKMSRoot], or an option that gives the check up
// ([TrustKMSRootFromCloud], [SkipKMSKeyCheck]); without one Run fails with [ErrNoKMSRoot] before anything
// is sent. A value of the cloud that differs from the one computed here is a [*MismatchError]; a CVM that
// does not boot a [*BootError].
//
// Running the same spec again is safe. Where an earlier run has made the CVM (same name, same compose hash)
// it is taken over: its secrets are replaced by those of spec, which restarts it, and no second one is made.
func Run(ctx context.Context, c *client.Client, spec Spec, opts ...Option) (*Result, error) {
	return Resume(ctx, c, spec, nil, opts...)
}

// Resume goes on with a deployment from st, as [WithCheckpoint] saved it; nil starts from the beginning.
// The secrets of spec are needed only while st is in phase "provisioned".
func Resume(ctx context.Context, c *client.Client, spec Spec, st *State, opts ...Option) (*Result, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	if st == nil {
		if st, err = provision(ctx, c, spec, cfg); err != nil {
			return nil, err
		}
	}
	if spec.Name != st.Name {
		return nil, fmt.Errorf("spec %q goes on with the deployment of %q", spec.Name, st.Name)
	}
	if st.Phase == PhaseProvisioned && st.onChain() {
		if err := register(ctx, st, cfg); err != nil {
			return nil, err
		}
	}
	if st.Phase == PhaseProvisioned || st.Phase == PhaseRegistered {
		if err := encrypt(ctx, c, st, spec, cfg); err != nil {
			return nil, err
		}
	}
	if st.Phase == PhaseEncrypted {
		if err := create(ctx, c, st, cfg); err != nil {
			return nil, err
		}
	}
	return wait(ctx, c, st, cfg)
}
