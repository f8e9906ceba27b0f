package verify

import (
	"fmt"
	"time"
)

// Option changes how evidence is fetched.
type Option func(*config) error

type config struct {
	wait     time.Duration
	interval time.Duration
}

func configure(opts []Option) (*config, error) {
	c := &config{interval: time.Hour}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, fmt.Errorf("verify: %w", err)
		}
	}
	return c, nil
}

// WithWait sets how long [CVM] asks again for evidence that is not there yet; it asks once by default. The evidence
// of a CVM appears some seconds after its boot, because the cloud has to ask the guest agent.
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
