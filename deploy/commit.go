package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// Commit carries out what was prepared and approved. Its commit token is all that it needs: c may be a client
// without an API key. What has expired meanwhile is prepared anew first, which does need one; the compose hash
// must come out the same, else it is a [*MismatchError].
//
// Commit returns when the cloud has taken it; [WaitCommitted] follows it from there. A commit whose answer was
// lost may be repeated.
func Commit(ctx context.Context, c *client.Client, p *Pending, opts ...Option) error {
	cfg, err := configure(opts)
	if err != nil {
		return err
	}
	return commitPending(ctx, c, p, cfg)
}

func commitPending(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	switch {
	case p.Committed:
		return nil
	case p.Transaction == "":
		return fmt.Errorf("commit %s of %s: %w", p.Kind, p.Name, ErrNotApproved)
	case p.Kind != PendingUpdate && p.Token == "":
		return fmt.Errorf("commit %s of %s: the cloud gave no commit token for it", p.Kind, p.Name)
	}
	if p.Expired(time.Now()) {
		if err := renew(ctx, c, p); err != nil {
			return fmt.Errorf("commit %s of %s: %w", p.Kind, p.Name, err)
		}
		if err := cfg.keep(p); err != nil {
			return err
		}
		if p.Transaction == "" {
			return fmt.Errorf("commit %s of %s: prepared anew for device %s: %w", p.Kind, p.Name, p.DeviceID, ErrNotApproved)
		}
	}
	var send func() error
	switch p.Kind {
	case PendingUpdate:
		send = func() error { return orUpdated(ctx, c, p, commitUpdate(ctx, c, p)) }
	case PendingReplica:
		send = func() error {
			return p.once(ctx, c, cfg, func() error { return commitReplica(ctx, c, p, cfg) })
		}
	default:
		send = func() error {
			return p.once(ctx, c, cfg, func() error { return commitInstance(ctx, c, p, cfg) })
		}
	}
	if err := untilSeen(ctx, send); err != nil {
		return fmt.Errorf("commit %s of %s: %w", p.Kind, p.Name, explain(err))
	}
	p.Committed = true
	return cfg.keep(p)
}

// commitUpdate commits by the token, or where there is none by the headers and the API key.
func commitUpdate(ctx context.Context, c *client.Client, p *Pending) error {
	hash := openapi.Ptr(p.ComposeHash.String())
	if p.Token != "" {
		_, err := c.CVMs.CommitUpdate(ctx, p.CVM, &openapi.CommitUpdateRequest{
			Token: &p.Token, ComposeHash: hash, TransactionHash: &p.Transaction,
		}, nil, client.WithConflictWait(conflictWait))
		return err
	}
	_, err := c.CVMs.Update(ctx, p.CVM, openapi.UpdateCVMRequest{},
		&openapi.CVMsUpdateParams{ComposeHash: hash, TransactionHash: &p.Transaction}, client.WithConflictWait(conflictWait))
	return err
}

// orUpdated forgives a refusal of what was prepared where the CVM runs it already: the commit before had
// worked, and its answer was lost. Without an API key nobody can tell.
func orUpdated(ctx context.Context, c *client.Client, p *Pending, err error) error {
	if !errors.Is(err, client.ErrHashInvalidOrExpired) {
		return err
	}
	if cvm, getErr := c.CVMs.Get(ctx, p.CVM); getErr == nil {
		if hash, parseErr := compose.ParseHash(cvm.ComposeHash); parseErr == nil && hash == p.ComposeHash {
			return nil
		}
	}
	return err
}

// seeingPauses are how long to wait for the cloud's node to see a transaction that has just been mined; it
// lags behind by a few blocks.
func seeingPauses() []time.Duration {
	return []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}
}

// untilSeen repeats send for as long as the cloud may just not see the transaction yet.
func untilSeen(ctx context.Context, send func() error) error {
	for _, wait := range seeingPauses() {
		err := send()
		if !errors.Is(err, client.ErrTxVerificationFailed) {
			return err
		}
		if pauseErr := pause(ctx, wait); pauseErr != nil {
			return fmt.Errorf("%w while waiting for the cloud to see the transaction: %w", pauseErr, err)
		}
	}
	return send()
}

// WaitCommitted waits until what was committed runs, and compares what the cloud says of it with what was
// approved. It verifies the CVM as [Run] does. It needs an API key.
func WaitCommitted(ctx context.Context, c *client.Client, p *Pending, opts ...Option) (*Changed, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	if !p.Committed {
		return nil, fmt.Errorf("%s of %s is not committed", p.Kind, p.Name)
	}
	return waitCommitted(ctx, c, p, cfg)
}

func waitCommitted(ctx context.Context, c *client.Client, p *Pending, cfg *config) (*Changed, error) {
	st := &State{Phase: PhaseCreated, Name: p.Name, CVM: p.CVM, AppID: p.AppID, ComposeHash: p.ComposeHash}
	if p.Kind != PendingUpdate {
		st.CVM = p.Created
	}
	cvm, err := settled(ctx, c, st, "running", cfg)
	if err != nil {
		return nil, err
	}
	cfg.progress(RunningEvent{CVM: cvm})
	when := afterBoot
	if p.Kind == PendingUpdate {
		when = afterChange
	}
	check, report, err := cfg.verify(ctx, c, cvm, p.AppID, p.ComposeHash, when)
	if err != nil {
		return nil, err
	}
	checks := append(p.Checks[:len(p.Checks):len(p.Checks)], check)
	return &Changed{CVM: cvm, ComposeHash: p.ComposeHash, Pending: p, Checks: checks, Report: report}, nil
}
