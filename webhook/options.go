package webhook

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Option sets up a [Receiver].
type Option interface {
	applyHandler(*Receiver) error
}

// VerifyOption sets up [Verify] or a [Receiver].
type VerifyOption interface {
	Option
	applyVerifier(*verifier) error
}

type verifyOption func(*verifier) error

func (o verifyOption) applyVerifier(v *verifier) error { return o(v) }
func (o verifyOption) applyHandler(h *Receiver) error  { return o(&h.verifier) }

type handlerOption func(*Receiver) error

func (o handlerOption) applyHandler(h *Receiver) error { return o(h) }

// WithSecrets accepts what is signed with one of these, too: the secret before, while a rotation reaches all
// processes, or those of several webhooks that post to the same place.
func WithSecrets(more ...string) VerifyOption {
	return verifyOption(func(v *verifier) error {
		return v.keys.add(more)
	})
}

// WithTolerance sets how far the time of signing may be from now, in both directions, instead of
// [DefaultTolerance]. The longer it is, the longer somebody who has recorded a delivery can repeat it.
func WithTolerance(d time.Duration) VerifyOption {
	return verifyOption(func(v *verifier) error {
		if d <= 0 {
			return fmt.Errorf("webhook: tolerance %s: want more than 0", d)
		}
		v.tolerance = d
		return nil
	})
}

// WithStore keeps the ids of the events that were handled elsewhere than in the memory of this process. It is
// for receivers that run more than once, or must not repeat an event after a restart.
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

// WithMaxBody sets the longest body that is read, in bytes, instead of [DefaultMaxBody].
func WithMaxBody(n int64) Option {
	return handlerOption(func(h *Receiver) error {
		if n <= 0 {
			return fmt.Errorf("webhook: max body %d: want more than 0 bytes", n)
		}
		h.maxBody = n
		return nil
	})
}

// WithLogger logs what was refused, as a warning, and what the function or the store failed with, as an error.
// Neither secrets nor data are logged. Without it nothing is.
func WithLogger(l *slog.Logger) Option {
	return handlerOption(func(h *Receiver) error {
		if l == nil {
			return errors.New("webhook: WithLogger needs a logger")
		}
		h.logger = l
		return nil
	})
}
