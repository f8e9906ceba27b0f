package client

import "time"

// pace spreads the questions of a wait: it slows down while nothing changes.
type pace struct {
	first time.Duration
	most  time.Duration
	next  time.Duration
}

// maxSlower is how much slower than at first a wait asks in the end.
const maxSlower = 5

func newPace(first time.Duration) *pace {
	return &pace{first: first, most: maxSlower * first, next: first}
}

// pause is how long to wait before asking again, a fifth more or less, so that many waits do not ask at the
// same moment.
func (p *pace) pause(changed bool) time.Duration {
	if changed {
		p.next = p.first
	}
	pause := p.next - p.next/5 + jitter(p.next/5*2)
	p.next = min(p.next+p.next/2, p.most)
	return pause
}
