package client

import "time"

// pace determines the pauses of a wait. The first pauses are short, for operations that end soon. They grow while
// nothing changes.
type pace struct {
	usual time.Duration
	next  time.Duration
}

const (
	// early is the factor by which the first pause is shorter.
	early = 8
	// maxSlower is the factor by which the longest pause is longer.
	maxSlower = 5
)

func newPace(usual time.Duration) *pace { return &pace{usual: usual, next: usual / early} }

// pause returns the time before the next request, a fifth more or less, so that many waits do not send at the same
// moment.
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
