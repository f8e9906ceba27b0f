package client

import "time"

// pace spreads the questions of a wait: the first ones come early, for what is done soon, and it slows down while
// nothing changes.
type pace struct {
	usual time.Duration
	next  time.Duration
}

const (
	// early is how much sooner than usual the first question is repeated.
	early = 8
	// maxSlower is how much slower than usual a wait asks in the end.
	maxSlower = 5
)

func newPace(usual time.Duration) *pace { return &pace{usual: usual, next: usual / early} }

// pause is how long to wait before asking again, a fifth more or less, so that many waits do not ask at the
// same moment.
func (p *pace) pause(changed bool) time.Duration {
	if changed {
		p.next = min(p.next, p.usual)
	}
	pause := p.next - p.next/5 + jitter(p.next/5*2)
	if p.next < p.usual {
		p.next = min(2*p.next, p.usual)
	} else {
		p.next = min(p.next+p.next/2, maxSlower*p.usual)
	}
	return pause
}
