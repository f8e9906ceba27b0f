package client

import "github.com/phala-go/phala/internal/creations"

// Creations returns the log of the CVMs that this client created, for package deploy. With it the CVMs of an app are
// created one after the other, so that concurrent flows with one client do not take each other's CVMs.
func (c *Client) Creations() *creations.Log { return c.made }
