package deploy

import "github.com/phala-go/phala/attest"

// ByDefault verifies as without WithVerification, but trusts what policy trusts.
func ByDefault(policy attest.Policy) Option {
	return option("ByDefault", inRun|inChange, func(c *config) error {
		c.policy = policy
		return nil
	})
}
