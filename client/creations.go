package client

import "github.com/phala-go/phala/internal/creations"

// Creations is for package deploy. It uses it to create the CVMs of an app one after the other, so that concurrent
// flows with one client do not take each other's CVMs.
func (c *Client) Creations() *creations.Log { return c.made }
