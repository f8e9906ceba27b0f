package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Option configures a [Receiver].
type Option interface {
	applyHandler(*Receiver) error
}

// VerifyOption configures [Verify] or a [Receiver].
type VerifyOption interface {
	Option
	applyVerifier(*verifier) error
}

type verifyOption func(*verifier) error

func (o verifyOption) applyVerifier(v *verifier) error { return o(v) }
func (o verifyOption) applyHandler(h *Receiver) error  { return o(&h.verifier) }

type handlerOption func(*Receiver) error

func (o handlerOption) applyHandler(h *Receiver) error { return o(h) }

// WithSecrets adds accepted secrets: the previous one, while a rotation reaches all processes, or those of several
// webhooks with the same URL.
func WithSecrets(more ...string) VerifyOption {
	return verifyOption(func(v *verifier) error {
		return v.keys.add(more)
	})
}

// WithTolerance sets the maximum distance of the signing time from now, in both directions, instead of
// [DefaultTolerance]. The longer it is, the longer a recorded delivery can be replayed.
func WithTolerance(d time.Duration) VerifyOption {
	return verifyOption(func(v *verifier) error {
		if d <= 0 {
			return fmt.Errorf("webhook: tolerance %s: want more than 0", d)
		}
		v.tolerance = d
		return nil
	})
}

// WithStore sets the store of the handled events' ids, instead of the memory of this process. It is for receivers
// with several processes, or that must not repeat an event after a restart.
func WithStore(s Store) Option {
	return handlerOption(func(h *Receiver) error {
		if s == nil {
			return errors.New("webhook: WithStore needs a store")
		}
		h.store = s
		return nil
	})
}

// DefaultMaxBody is the longest body that a [Receiver] reads, in bytes.
const DefaultMaxBody = 1 << 20

// WithMaxBody sets the maximum size of a body, in bytes, instead of [DefaultMaxBody].
func WithMaxBody(n int64) Option {
	return handlerOption(func(h *Receiver) error {
		if n <= 0 {
			return fmt.Errorf("webhook: max body %d: want more than 0 bytes", n)
		}
		h.maxBody = n
		return nil
	})
}

// WithLogger sets the logger of refused deliveries, as warnings, and of failures of the function or the store, as
// errors. Neither secrets nor data are logged. Without it nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return handlerOption(func(h *Receiver) error {
		if l == nil {
			return errors.New("webhook: WithLogger needs a logger")
		}
		h.logger = l
		return nil
	})
}
