package verify

import (
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/compose"
)

// Option changes how evidence is fetched.
type Option func(*config) error

type config struct {
	wait     time.Duration
	interval time.Duration
	document []byte
}

// Whether options are for one verification or for many.
const (
	forOnce = false
	forMany = true
)

func configure(opts []Option, many bool) (*config, error) {
	c := &config{}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	if c.interval > 0 && !many {
		return nil, errors.New("verify: WithInterval is for Repeat")
	}
	if c.interval == 0 {
		c.interval = time.Hour
	}
	return c, nil
}

// WithWait sets how long evidence of a running CVM is asked for again while it is not there yet; it is asked for once by
// default. Evidence appears some seconds after a boot, because the cloud has to ask the guest agent.
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

// WithDocument adds a check, "document": the app-compose text of each instance must follow from the app-compose document
// that was sent, by nothing but documented defaults of the platform and at most one known script of it; see
// [compose.CompareCompleted]. The text counts only if the hardware proves it. With the document of a repository it is the
// check that what runs is what the repository has.
func WithDocument(sent []byte) Option {
	return func(c *config) error {
		if _, err := compose.Canonicalize(sent); err != nil {
			return fmt.Errorf("WithDocument: %w", err)
		}
		c.document = sent
		return nil
	}
}
