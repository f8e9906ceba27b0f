package attest

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// maxCached bounds a cache. There are a few dozen kinds of TDX platforms.
const maxCached = 128

// CollateralCache keeps collateral for each FMSPC and CA until its next update. Verifications that need the
// same at once share one request. Only collateral that holds under the roots of the request is kept. The
// method Collateral is a [CollateralFunc].
type CollateralCache struct {
	source CollateralFunc

	mu      sync.Mutex
	kept    map[cacheKey]*Collateral
	running map[cacheKey]*fetching
}

type cacheKey struct{ fmspc, ca string }

type fetching struct {
	done       chan struct{}
	collateral *Collateral
	err        error
}

// NewCollateralCache keeps what source gets.
func NewCollateralCache(source CollateralFunc) *CollateralCache {
	return &CollateralCache{source: source, kept: map[cacheKey]*Collateral{}, running: map[cacheKey]*fetching{}}
}

// Collateral answers from the cache, or asks the source. What the source gives is refused where it is not
// signed under the roots ([ErrCollateral]), has expired ([ErrCollateralExpired]) or does not hold yet
// ([ErrClock]).
func (c *CollateralCache) Collateral(ctx context.Context, request CollateralRequest) (*Collateral, error) {
	key := cacheKey{request.FMSPC, request.CA}
	for {
		c.mu.Lock()
		if kept := c.kept[key]; kept != nil && kept.usable(request) == nil {
			c.mu.Unlock()
			return kept, nil
		}
		f, waiting := c.running[key]
		if !waiting {
			f = &fetching{done: make(chan struct{})}
			c.running[key] = f
		}
		c.mu.Unlock()
		if !waiting {
			c.fetch(ctx, key, request, f)
			return f.collateral, f.err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for collateral: %w", context.Cause(ctx))
		case <-f.done:
		}
		// Another's failure may be its own: its context, its clock, its roots.
		if f.err == nil && f.collateral.usable(request) == nil {
			return f.collateral, nil
		}
	}
}

func (c *CollateralCache) fetch(ctx context.Context, key cacheKey, request CollateralRequest, f *fetching) {
	f.err = fmt.Errorf("%w: the source panicked", ErrCollateral)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, key)
		if f.err == nil {
			c.keep(key, f.collateral, request.Now)
		}
		close(f.done)
	}()
	f.collateral, f.err = c.source(ctx, request)
	if f.err == nil {
		f.err = f.collateral.usable(request)
	}
	if f.err != nil {
		f.collateral = nil
	}
}

// keep makes room by dropping what has expired, else anything.
func (c *CollateralCache) keep(key cacheKey, collateral *Collateral, now time.Time) {
	for k, kept := range c.kept {
		if len(c.kept) >= maxCached || now.After(kept.NextUpdate()) {
			delete(c.kept, k)
		}
	}
	c.kept[key] = collateral
}

func (c *Collateral) usable(request CollateralRequest) error {
	if !c.serves(request) {
		return fmt.Errorf("%w: it is not for FMSPC %s and CA %s", ErrCollateral, request.FMSPC, request.CA)
	}
	if err := c.holds(request.Now); err != nil {
		return err
	}
	return c.trusted(request.Roots)
}
