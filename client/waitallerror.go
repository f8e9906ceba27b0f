package client

import (
	"fmt"
	"strings"
)

// WaitAllError is returned by [Client.WaitAll] if some CVMs did not reach the target status.
type WaitAllError struct {
	// Target is the status that was waited for.
	Target string
	// Total is the number of CVMs that were waited for.
	Total int
	// Failed contains an error for each CVM that failed, or had not settled when the context ended, in the given
	// order.
	Failed []*WaitError
}

// maxListed is the number of CVMs in the text of a [WaitAllError].
const maxListed = 3

// Error returns the number of failed CVMs and the errors of the first ones.
func (e *WaitAllError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d cvms waiting for %s failed", len(e.Failed), e.Total, e.Target)
	for i, failed := range e.Failed {
		if i == maxListed {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "; %v", failed)
	}
	return b.String()
}

// Unwrap returns the errors of the CVMs.
func (e *WaitAllError) Unwrap() []error {
	all := make([]error, len(e.Failed))
	for i, failed := range e.Failed {
		all[i] = failed
	}
	return all
}
