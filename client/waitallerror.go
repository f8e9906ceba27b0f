package client

import (
	"fmt"
	"strings"
)

// WaitAllError is returned for those of many CVMs that did not come to the status that was waited for.
type WaitAllError struct {
	// Target is the status that was waited for.
	Target string
	// Total is how many CVMs were waited for.
	Total int
	// Failed are the CVMs that failed, or had not settled when the context ended, in the order in which
	// they were given.
	Failed []*WaitError
}

// maxListed is how many CVMs the text of a [WaitAllError] names.
const maxListed = 3

// Error counts the CVMs and names the first of them.
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
