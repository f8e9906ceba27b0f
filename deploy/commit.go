package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/openapi"
)

// Commit commits a prepared and approved change. Its commit token is sufficient: c may be a client without an API
// key. An expired change is prepared again first, which needs a key; the compose hash must be the same, otherwise the
// error is a [*MismatchError].
//
// Commit returns when the cloud has accepted the change; [Finish] follows it from there. A commit whose response was
// lost may be repeated.
func Commit(ctx context.Context, c *client.Client, p *Pending, opts ...Option) error {
	cfg, err := configure(inCommit, opts)
	if err != nil {
		return err
	}
	return (&flow{c: c, cfg: cfg, app: p.App}).commit(ctx, p)
}

// commit sends a change that is approved.
func (f *flow) commit(ctx context.Context, p *Pending) error {
	what := fmt.Sprintf("%s of %s", p.Kind, p.Approval.Name)
	switch {
	case p.Committed:
		return nil
	case p.NeedsApproval && p.Approval.Transaction == "":
		return fmt.Errorf("commit %s: %w", what, ErrNotApproved)
	case p.Kind != PendingUpdate && p.Token == "":
		return &InputError{Field: "commit " + what, Rule: "it has no commit token; finish it with Finish and an API key"}
	}
	if p.Expired(time.Now()) {
		if err := f.renew(ctx, p); err != nil {
			return fmt.Errorf("commit %s: %w", what, err)
		}
		if err := f.cfg.keep(p); err != nil {
			return err
		}
		if p.Approval.Transaction == "" {
			return fmt.Errorf("commit %s: prepared anew for device %s: %w", what, p.Approval.Device, ErrNotApproved)
		}
	}
	send := func() error { return f.orUpdated(ctx, p, f.commitUpdate(ctx, p)) }
	switch p.Kind {
	case PendingReplica:
		send = func() error { return f.createOnce(ctx, p, func() error { return f.commitReplica(ctx, p) }) }
	case PendingInstance:
		send = func() error { return f.createOnce(ctx, p, func() error { return f.commitInstance(ctx, p) }) }
	}
	if err := untilSeen(ctx, send); err != nil {
		return fmt.Errorf("commit %s: %w", what, explain(err))
	}
	p.Committed = true
	return f.cfg.keep(p)
}

// commitUpdate commits what was prepared: by the token, or if there is none by the headers and the API key.
func (f *flow) commitUpdate(ctx context.Context, p *Pending) error {
	hash, transaction := openapi.Ptr(p.Approval.ComposeHash.String()), openapi.Ptr(p.Approval.Transaction)
	if !p.Prepared() {
		return f.commitDocument(ctx, p)
	}
	if p.Token != "" {
		_, err := f.c.CVMs.CommitUpdate(ctx, p.CVM.ID, &openapi.CommitUpdateRequest{
			Token: &p.Token, ComposeHash: hash, TransactionHash: transaction,
		}, nil, client.WithConflictWait(conflictWait))
		return err
	}
	_, err := f.c.CVMs.Update(ctx, p.CVM.ID, openapi.UpdateCVMRequest{},
		&openapi.CVMsUpdateParams{ComposeHash: hash, TransactionHash: transaction}, client.WithConflictWait(conflictWait))
	return err
}

// orUpdated forgives a refusal of what was prepared if the CVM shows it already: the commit before had
// worked, and its answer was lost. If the CVM cannot be read, that is the error: a refusal would advise to prepare it
// anew, which a change that was committed does not survive. Without an API key nobody can tell. What it runs is verified
// afterwards.
func (f *flow) orUpdated(ctx context.Context, p *Pending, err error) error {
	if !errors.Is(err, client.ErrHashInvalidOrExpired) {
		return err
	}
	cvm, getErr := f.c.CVMs.Get(ctx, p.CVM.ID)
	switch {
	case errors.Is(getErr, client.ErrNoAPIKey):
		return err
	case getErr != nil:
		return fmt.Errorf("whether the commit before has worked: %w", getErr)
	}
	if hash, parseErr := compose.ParseHash(cvm.ComposeHash); parseErr == nil && hash == p.Approval.ComposeHash {
		return nil
	}
	return err
}

// renew prepares an expired change anew. The compose hash must come out the same, so that what was allowed
// on chain stays allowed. If the cloud chooses another device, that is yet to be allowed.
func (f *flow) renew(ctx context.Context, p *Pending) error {
	var fresh *preparation
	var err error
	switch p.Kind {
	case PendingUpdate:
		var request openapi.UpdateCVMRequest
		if err = json.Unmarshal([]byte(p.Request), &request); err == nil {
			fresh, err = f.prepareUpdate(ctx, p, request)
		}
	case PendingReplica:
		var request openapi.ReplicateRequest
		if err = json.Unmarshal([]byte(p.Request), &request); err == nil {
			fresh, err = f.prepareReplica(ctx, p, request)
		}
	default:
		err = &InputError{Field: "instance", Rule: "it is prepared by asking for it again"}
	}
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrExpired, p.Approval.Expires.Format(time.RFC3339), err)
	}
	device := p.Approval.Device
	if err := f.takePreparation(ctx, p, fresh); err != nil {
		return err
	}
	if p.Approval.Device != device {
		p.Approval.Transaction, p.Approval.Transactions = "", nil
	}
	return nil
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
		if pauseErr := pause.For(ctx, wait); pauseErr != nil {
			return fmt.Errorf("%w while waiting for the cloud to see the transaction: %w", pauseErr, err)
		}
	}
	return send()
}

// explain adds what to do about the refusals that belong to a chain.
func explain(err error) error {
	var refused *client.APIError
	switch {
	case errors.As(err, &refused) && refused.Code == client.CodeDuplicateCVMName:
		return fmt.Errorf("%w: if another run of this spec created it, call Run without this state, which takes the CVM over", err)
	case errors.Is(err, client.ErrHashInvalidOrExpired):
		return fmt.Errorf("%w: what was prepared has expired (14 days), was superseded by a newer preparation, or the app has changed since; prepare it again", err)
	case errors.Is(err, client.ErrTxVerificationFailed):
		return fmt.Errorf("%w: the cloud's node does not see the transaction, or sees it fail; look at its receipt and try the commit again", err)
	case errors.Is(err, client.ErrHashNotAllowed):
		return fmt.Errorf("%w: the contract of the app does not allow this compose hash on this device; allow both and commit again", err)
	}
	return err
}
