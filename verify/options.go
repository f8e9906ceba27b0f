package verify

import (
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
)

// ErrInput is returned if an argument or an option breaks a rule, or if an option is for another function. Nothing was
// sent.
var ErrInput = errors.New("an input breaks a rule")

// Option configures a verification.
type Option func(*config) error

type config struct {
	wait         time.Duration
	interval     time.Duration
	document     []byte
	kms, gateway *node
}

// scope is the set of functions that an option is for.
type scope int

const (
	forEvidence scope = iota
	forCVM
	forApp
	forRepeat
)

func configure(opts []Option, s scope) (*config, error) {
	c := &config{}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, fmt.Errorf("verify: %w: %w", ErrInput, err)
		}
	}
	switch {
	case c.wait > 0 && s == forEvidence:
		return nil, fmt.Errorf("verify: %w: WithWait is for what is fetched", ErrInput)
	case (c.kms != nil || c.gateway != nil) && s < forApp:
		return nil, fmt.Errorf("verify: %w: WithKMS and WithGateway are for App and Repeat", ErrInput)
	case c.interval > 0 && s != forRepeat:
		return nil, fmt.Errorf("verify: %w: WithInterval is for Repeat", ErrInput)
	}
	if c.interval == 0 {
		c.interval = time.Hour
	}
	return c, nil
}

// WithWait sets how long the evidence of a running CVM is requested again while it is missing; by default it is
// requested once. Evidence appears some seconds after a boot, because the cloud has to query the guest agent.
func WithWait(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("WithWait: %s, must not be negative", d)
		}
		c.wait = d
		return nil
	}
}

// WithInterval sets the time between two rounds of [Repeat]; it is an hour by default.
func WithInterval(d time.Duration) Option {
	return func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("WithInterval: %s, must be more than 0", d)
		}
		c.interval = d
		return nil
	}
}

// WithDocument adds a check, "document": the app-compose text of each instance must follow from the given app-compose
// document by nothing but documented defaults of the platform and at most one known script of it; see
// [compose.CompareCompleted]. The text counts only if the hardware proves it. With the document of a repository, the
// check proves that the app runs what the repository contains.
func WithDocument(sent []byte) Option {
	return func(c *config) error {
		if _, err := compose.Canonicalize(sent); err != nil {
			return fmt.Errorf("WithDocument: %w", err)
		}
		c.document = sent
		return nil
	}
}

// WithKMS makes the node of the app's KMS part of the verification: its evidence must fulfil policy, and its quote
// must bind the root keys: root together with one of the root CAs of the app's policy (Policy.KMSRootCAs). A check,
// "kms-root-keys", reports that. Pin the keys from a source that the cloud does not control, such as the KMS's
// contract. A zero root disables that check; then the node is some KMS, not necessarily the one of the app.
func WithKMS(policy attest.Policy, root kms.RootKey) Option {
	return func(c *config) error {
		if err := policy.Validate(); err != nil {
			return fmt.Errorf("WithKMS: %w", err)
		}
		c.kms = &node{policy: policy, root: root}
		return nil
	}
}

// WithGateway makes the gateway part of the verification: its evidence must fulfil policy, which should contain its
// app id and compose hashes. The evidence does not cover the gateway's certificate; see [GatewayCertificate].
func WithGateway(policy attest.Policy) Option {
	return func(c *config) error {
		if err := policy.Validate(); err != nil {
			return fmt.Errorf("WithGateway: %w", err)
		}
		c.gateway = &node{policy: policy}
		return nil
	}
}
