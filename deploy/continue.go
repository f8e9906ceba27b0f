package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/phala-go/phala/client"
)

// Continue finishes what p says from wherever it stands: it asks, has the chain allow it, commits and waits,
// each where that is still to be done. It is how [Update], [Replicate] and [AddInstance] go on after a crash,
// from what [WithPending] saved. Without [WithChain] it returns p as its error where an approval is missing.
func Continue(ctx context.Context, c *client.Client, p *Pending, opts ...Option) (*Changed, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	return finish(ctx, c, p, cfg)
}

func finish(ctx context.Context, c *client.Client, p *Pending, cfg *config) (*Changed, error) {
	if !p.Committed && p.Kind != PendingUpdate {
		if err := p.lookForIt(ctx, c, cfg); err != nil {
			return nil, err
		}
	}
	if !p.Committed && p.Expires.IsZero() {
		if err := ask(ctx, c, p, cfg); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", p.Kind, p.Name, err)
		}
	}
	if !p.Committed && p.Transaction == "" {
		if cfg.chain == nil {
			return nil, p
		}
		if err := approve(ctx, p, cfg); err != nil {
			return nil, err
		}
	}
	if err := commitPending(ctx, c, p, cfg); err != nil {
		return nil, err
	}
	return waitCommitted(ctx, c, p, cfg)
}

// lookForIt takes over a CVM of the app that has come since p was made: the call that made it lost its answer.
func (p *Pending) lookForIt(ctx context.Context, c *client.Client, cfg *config) error {
	uuid, err := p.newcomer(ctx, c)
	if err != nil || uuid == "" {
		return err
	}
	p.Created, p.Committed = uuid, true
	cfg.progress(CreatedEvent{CVM: uuid, Adopted: true})
	return cfg.keep(p)
}

// ask makes the CVM, or learns that the chain must allow it first.
func ask(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	var err error
	switch p.Kind {
	case PendingReplica:
		err = makeReplica(ctx, c, p, cfg)
	case PendingInstance:
		err = makeInstance(ctx, c, p, cfg)
	default:
		return errors.New("it was not prepared; update again")
	}
	return p.orFound(ctx, c, err, cfg)
}

// orFound looks for the new CVM where a call to make one failed without an answer of the API.
func (p *Pending) orFound(ctx context.Context, c *client.Client, err error, cfg *config) error {
	var api *client.APIError
	if err == nil || errors.As(err, &api) || ctx.Err() != nil {
		return err
	}
	var mismatch *MismatchError
	if errors.As(err, &mismatch) {
		return err
	}
	if lookErr := p.lookForIt(ctx, c, cfg); lookErr != nil {
		return errors.Join(err, lookErr)
	}
	if !p.Committed {
		return err
	}
	return nil
}
