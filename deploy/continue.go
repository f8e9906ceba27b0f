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

// ask makes the CVM, or learns that the chain must allow it first.
func ask(ctx context.Context, c *client.Client, p *Pending, cfg *config) error {
	switch p.Kind {
	case PendingReplica:
		return p.once(ctx, c, cfg, func() error { return makeReplica(ctx, c, p, cfg) })
	case PendingInstance:
		return p.once(ctx, c, cfg, func() error { return makeInstance(ctx, c, p, cfg) })
	}
	return errors.New("it was not prepared; update again")
}
