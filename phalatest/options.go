package phalatest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
)

// Option configures a server.
type Option func(*Server) error

// setting returns an option that cannot fail.
func setting(set func(*Server)) Option {
	return func(s *Server) error {
		set(s)
		return nil
	}
}

// Lenient sets that a wrong request does not fail the test. It only returns the API's error.
func Lenient() Option { return setting(func(s *Server) { s.lenient = true }) }

// WithLogger sets a logger for each request with its operation and status, and as a warning for what would fail a
// test. Keys and secrets are not logged.
func WithLogger(log *slog.Logger) Option { return setting(func(s *Server) { s.log = log }) }

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
func WithManualTicks() Option { return setting(func(s *Server) { s.clock = newClock(0) }) }

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

// WithSeed sets the seed of the wallet, of the KMS, and so of all app ids and keys. Without it they are the same in
// every run.
func WithSeed(seed string) Option { return setting(func(s *Server) { s.seed = seed }) }

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

// WithPreLaunchScript sets the script that the cloud inserts into a document without one.
func WithPreLaunchScript(text string) Option {
	return func(s *Server) error {
		if text == "" {
			return errors.New("pre-launch script: empty")
		}
		s.script = text
		return nil
	}
}

// undocumented is the choice of behaviour where nobody has published what the real cloud does, so that tests can run
// both.
type undocumented struct {
	staysStopped bool
	device       DeviceRule
	transaction  TransactionRule
	oldEvidence  bool
}

// WithStoppedUpdates sets that a stopped CVM stays stopped after an update. By default an update boots it.
func WithStoppedUpdates() Option {
	return setting(func(s *Server) { s.undocumented.staysStopped = true })
}

// WithOldEvidence sets that the evidence of apps has its older format: the text as compose_file and the event log as
// eventlog, without tcb_info.
func WithOldEvidence() Option { return setting(func(s *Server) { s.undocumented.oldEvidence = true }) }

// DeviceRule is the derivation of a node's device id.
type DeviceRule int

const (
	// DeviceOfPPID is the SHA-256 of the PPID, as since dstack 0.5.6.
	DeviceOfPPID DeviceRule = iota
	// DeviceOfUserData is the SHA-256 of the 20-byte user data in the header of a quote, as up to dstack 0.5.5.
	DeviceOfUserData
	// DevicePlaceholder is the SHA-256 of nothing, which some newer guests report.
	DevicePlaceholder
)

// WithDeviceRule sets the derivation of the device ids of all nodes.
func WithDeviceRule(rule DeviceRule) Option {
	return func(s *Server) error {
		if rule < DeviceOfPPID || rule > DevicePlaceholder {
			return fmt.Errorf("device rule %d: unknown", rule)
		}
		s.undocumented.device = rule
		return nil
	}
}

func (s *Server) setDevices() error {
	for _, n := range s.nodes {
		switch s.undocumented.device {
		case DeviceOfPPID:
			n.device = attest.DeviceID(n.hardware[:])
		case DeviceOfUserData:
			machine, err := s.machine(n)
			if err != nil {
				return err
			}
			n.device = machine.Devices().UserData
		case DevicePlaceholder:
			n.device = kms.DeviceID(sha256.Sum256(nil))
		}
	}
	return nil
}

// TransactionRule selects the transactions that the cloud accepts as the registration of a hash. The zero hash and
// "already-registered" are always accepted after the contract has allowed the request.
type TransactionRule int

const (
	// TransactionToApp is a mined transaction to the contract of the app.
	TransactionToApp TransactionRule = iota
	// TransactionMined is any mined transaction, such as the one in which a Safe executed its own.
	TransactionMined
	// TransactionAny is any 32 bytes, such as the hash that a Safe gives its own transaction.
	TransactionAny
)

// WithTransactionRule sets the transactions that the cloud accepts.
func WithTransactionRule(rule TransactionRule) Option {
	return func(s *Server) error {
		if rule < TransactionToApp || rule > TransactionAny {
			return fmt.Errorf("transaction rule %d: unknown", rule)
		}
		s.undocumented.transaction = rule
		return nil
	}
}
