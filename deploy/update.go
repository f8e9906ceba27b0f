package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Update changes a CVM in one step and returns when the change runs: compose file, scripts and secrets
// together or none of them, so that secrets and the names that the guest accepts never drift apart. Secrets
// are encrypted here for a checked key, as [Run] does. Where another operation runs on the CVM, Update waits
// for it, up to ten minutes. What runs then is verified as by [Run].
//
// Where the KMS is on a chain and the compose hash changes, the chain must allow it first. With [WithChain]
// Update does that; without, it returns the [*Pending] as its error, and nothing has changed. A compose hash
// or key of the cloud that is not the one expected is a [*MismatchError].
func Update(ctx context.Context, c *client.Client, change Change, opts ...Option) (*Changed, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	u, err := planUpdate(ctx, c, change, cfg)
	if err != nil {
		return nil, err
	}
	_, err = c.CVMs.Update(ctx, handle(u.cvm), u.request, nil, client.WithConflictWait(conflictWait))
	if errors.Is(err, client.ErrHashRegistrationRequired) {
		pending, err := u.throughChain(ctx, c, err, cfg)
		if err != nil {
			return nil, err
		}
		return u.settle(ctx, c, pending, cfg)
	}
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", u.cvm.Name, explain(err))
	}
	return u.settle(ctx, c, nil, cfg)
}

// throughChain has the chain allow what the cloud asks for, and then commits it. Without a chain what is asked for
// is the error.
func (u *plannedUpdate) throughChain(ctx context.Context, c *client.Client, required error, cfg *config) (*Pending, error) {
	p, err := pendingOf(required, PendingUpdate, u.request)
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", u.cvm.Name, err)
	}
	p.CVM, p.Name = handle(u.cvm), u.cvm.Name
	if err := u.accept(p, cfg); err != nil {
		return nil, err
	}
	if err := cfg.keep(p); err != nil {
		return nil, err
	}
	if cfg.chain == nil {
		return nil, p
	}
	if err := approve(ctx, p, cfg); err != nil {
		return nil, err
	}
	p.Token = "" // the API key commits; a token would be for somebody without one
	return p, commitPending(ctx, c, p, cfg)
}

// plannedUpdate is a change that is ready to be sent.
type plannedUpdate struct {
	cvm     *openapi.CVMDetail
	app     kms.AppID
	want    *compose.Hash // after the change; nil where it cannot be predicted
	reason  string        // why not
	request openapi.UpdateCVMRequest
	checks  []Check
}

// planUpdate finds out what a change comes to, and encrypts its secrets. Nothing is changed yet.
func planUpdate(ctx context.Context, c *client.Client, change Change, cfg *config) (*plannedUpdate, error) {
	if err := change.check(); err != nil {
		return nil, err
	}
	if change.Env != nil {
		if err := cfg.canCheckKey(change.CVM); err != nil {
			return nil, err
		}
	}
	cvm, err := c.CVMs.Get(ctx, change.CVM)
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", change.CVM, err)
	}
	u := &plannedUpdate{cvm: cvm}
	if u.app, err = kms.ParseAppID(cvm.AppID); err != nil {
		return nil, fmt.Errorf("the app id of cvm %s: %w", cvm.Name, err)
	}
	before, exact, err := appCompose(ctx, c, cvm)
	if err != nil {
		return nil, err
	}
	after, err := change.apply(before)
	if err != nil {
		return nil, err
	}
	if err := u.predict(after, exact); err != nil {
		return nil, err
	}
	var encrypted openapi.Secret
	if change.Env != nil {
		if encrypted, u.checks, err = encryptedFor(ctx, c, cvm, u.app, change.Env, cfg); err != nil {
			return nil, err
		}
	}
	u.request = change.request(before, after, encrypted)
	return u, nil
}

// predict computes the compose hash after the change, where that is possible.
func (u *plannedUpdate) predict(after *compose.App, exact bool) error {
	switch {
	case !exact:
		u.reason = "the cloud shows no text that has the compose hash of the CVM"
	case !after.Predictable():
		u.reason = "the app-compose has members whose treatment is not known"
	default:
		hash, err := after.Hash()
		u.want = &hash
		return err
	}
	return nil
}

// accept compares what the cloud prepared with what the change comes to, before anybody allows it on chain.
func (u *plannedUpdate) accept(p *Pending, cfg *config) error {
	if _, err := compare(CheckAppID, u.app.String(), p.AppID.String()); err != nil {
		return err
	}
	check, err := u.checkHash(p.ComposeHash)
	if err != nil {
		return err
	}
	if check.Outcome == NotPossible {
		if !cfg.trustHash {
			return fmt.Errorf("update %s: %w: %s", u.cvm.Name, ErrUnpredictable, u.reason)
		}
		check.Outcome, check.Reason = Waived, "TrustComposeHashFromCloud: "+u.reason
	}
	u.checks = append(u.checks, check)
	p.Checks = u.checks
	cfg.report([]Check{check})
	return nil
}

func (u *plannedUpdate) checkHash(remote compose.Hash) (Check, error) {
	if u.want == nil {
		return Check{Name: CheckComposeHash, Outcome: NotPossible, Remote: remote.String(), Reason: u.reason}, nil
	}
	return compare(CheckComposeHash, u.want.String(), remote.String())
}

// settle waits until the change runs, and compares what runs with what was asked for.
func (u *plannedUpdate) settle(ctx context.Context, c *client.Client, p *Pending, cfg *config) (*Changed, error) {
	st := &State{Phase: PhaseCreated, Name: u.cvm.Name, CVM: handle(u.cvm), AppID: u.app}
	switch {
	case p != nil:
		st.ComposeHash = p.ComposeHash
	case u.want != nil:
		st.ComposeHash = *u.want
	}
	cvm, err := settled(ctx, c, st, u.cvm.Status, cfg)
	if err != nil {
		return nil, err
	}
	done := &Changed{CVM: cvm, Pending: p, Checks: u.checks}
	if done.ComposeHash, err = compose.ParseHash(cvm.ComposeHash); err != nil {
		return nil, fmt.Errorf("the compose hash of cvm %s: %w", cvm.Name, err)
	}
	if p == nil {
		check, err := u.checkHash(done.ComposeHash)
		if err != nil {
			return nil, err
		}
		done.Checks = append(done.Checks, check)
		cfg.report([]Check{check})
	}
	if cvm.Status != "running" {
		check := attestation(NotPossible, "the CVM is "+string(cvm.Status))
		done.Checks = append(done.Checks, check)
		cfg.report([]Check{check})
		return done, nil
	}
	cfg.progress(RunningEvent{CVM: cvm})
	check, report, err := cfg.verify(ctx, c, cvm, u.app, done.ComposeHash, afterChange)
	if err != nil {
		return nil, err
	}
	done.Checks, done.Report = append(done.Checks, check), report
	return done, nil
}

// hashLag is how long the cloud may go on showing the compose hash from before an update.
const hashLag = 2 * time.Minute

// settled waits until the CVM has the status it had before, no operation runs, and, where st knows one, it
// shows the new compose hash.
func settled(ctx context.Context, c *client.Client, st *State, status openapi.CVMStatus, cfg *config) (*openapi.CVMDetail, error) {
	target := openapi.CVMRunning
	if status == openapi.CVMStopped {
		target = status
	}
	began := time.Now()
	for {
		if err := c.CVMs.WaitFor(ctx, st.CVM, target, cfg.stateProgress()); err != nil {
			return nil, bootError(st, err)
		}
		cvm, err := c.CVMs.Get(ctx, st.CVM)
		if err != nil {
			return nil, fmt.Errorf("cvm %s was updated, but: %w", st.CVM, err)
		}
		err = st.isOurs(cvm)
		if err == nil || time.Since(began) > hashLag {
			return cvm, err
		}
		if err := pause(ctx, 5*time.Second); err != nil {
			return nil, fmt.Errorf("wait for cvm %s: %w", st.CVM, err)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// explain adds what to do about the refusals that belong to a chain.
func explain(err error) error {
	switch {
	case errors.Is(err, client.ErrHashInvalidOrExpired):
		return fmt.Errorf("%w: what was prepared has expired (14 days), was superseded by a newer preparation, or the app has changed since; prepare it again", err)
	case errors.Is(err, client.ErrTxVerificationFailed):
		return fmt.Errorf("%w: the cloud's node does not see the transaction, or sees it fail; look at its receipt and try the commit again", err)
	case errors.Is(err, client.ErrHashNotAllowed):
		return fmt.Errorf("%w: the contract of the app does not allow this compose hash on this device; allow both and commit again", err)
	}
	return err
}
