package deploy

import (
	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

// Changed is what a finished change has come to: an update, a replica or an instance.
type Changed struct {
	// CVM is what the cloud says of the CVM that was changed or made.
	CVM *openapi.CVMDetail
	// ComposeHash is what it runs now.
	ComposeHash compose.Hash
	// Pending is what had to be allowed on chain or planned; nil for an update where nothing had to.
	Pending *Pending
	// Checks are the comparisons that were made, in order.
	Checks []Check
	// Report is what the hardware proves of the CVM now; see [Result].
	Report *attest.Report
}
