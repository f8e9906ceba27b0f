package deploy

import "github.com/phala-go/phala/attest"

// ByDefault verifies as without WithVerification, but trusts what policy trusts.
func ByDefault(policy attest.Policy) Option {
	return func(c *config) error {
		c.policy = policy
		return nil
	}
}

// Options makes one option of several.
func Options(opts ...Option) Option {
	return func(c *config) error {
		for _, o := range opts {
			if err := o(c); err != nil {
				return err
			}
		}
		return nil
	}
}
