package phalatest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Option configures a server.
type Option func(*Server) error

// Lenient sets that a wrong request does not fail the test. It only returns the API's error.
func Lenient() Option {
	return func(s *Server) error {
		s.lenient = true
		return nil
	}
}

// WithLogger sets a logger for each request with its operation and status, and as a warning for what would fail a
// test. Keys and secrets are not logged.
func WithLogger(log *slog.Logger) Option {
	return func(s *Server) error {
		s.log = log
		return nil
	}
}

// DefaultTick is the time of one step in the life of a CVM; booting takes three.
const DefaultTick = 5 * time.Millisecond

// WithTick sets the time of one step in the life of a CVM.
func WithTick(d time.Duration) Option {
	return func(s *Server) error {
		if d <= 0 {
			return fmt.Errorf("tick %s: want more than 0", d)
		}
		s.clock = newClock(d)
		return nil
	}
}

// WithManualTicks stops the life of the CVMs; each [Server.Tick] is one step.
func WithManualTicks() Option {
	return func(s *Server) error {
		s.clock = newClock(0)
		return nil
	}
}

// WithAPIKey sets the key that the server accepts.
func WithAPIKey(key string) Option {
	return func(s *Server) error {
		if key == "" {
			return errors.New("api key: empty")
		}
		s.APIKey = key
		return nil
	}
}

// WithSeed sets the seed of the wallet, the KMS and so of all app ids and keys. Without it they are the same in every
// run.
func WithSeed(seed string) Option {
	return func(s *Server) error {
		s.seed = seed
		return nil
	}
}

// WithQuotas limits the resources of all CVMs of the workspace together. There is no limit by default.
func WithQuotas(q Quotas) Option {
	return func(s *Server) error {
		if min(q.CVMs, q.VCPUs, q.MemoryMB, q.DiskGB) < 0 {
			return fmt.Errorf("quotas %+v: want none below 0", q)
		}
		s.quotas = q
		return nil
	}
}
