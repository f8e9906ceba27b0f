// Package creations keeps the flows of one process that make CVMs of one app from taking each other's. The API makes a
// new CVM at each call and takes no idempotency key, so a CVM whose answer was lost is known only by being new. That
// works if one flow asks at a time, and if each remembers what came of it.
package creations

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/phala-go/phala/internal/uuid"
)

// Log has the creations of all apps that a client asked for. It is safe for concurrent use; its zero value is empty.
type Log struct {
	mu   sync.Mutex
	apps map[string]*app
}

type app struct {
	turn  chan struct{} // nil while nobody has or awaits the turn: a channel must not outlive a bubble of synctest
	users int
	asked []*creation // in the order of asking
}

// creation is one call that was sent.
type creation struct {
	id       string
	at       time.Time
	siblings []string // the CVMs of the app before it; nil once cvm is known
	cvm      string   // what it made, once that is known
}

// Turn is the right to make CVMs of an app, of which there is one. It is for one goroutine.
type Turn struct {
	log *Log
	app *app
}

// Wait waits until no other flow makes a CVM of the app. The error is the cause of the context's end.
func (l *Log) Wait(ctx context.Context, id string) (*Turn, error) {
	l.mu.Lock()
	if l.apps == nil {
		l.apps = map[string]*app{}
	}
	a := l.apps[id]
	if a == nil {
		a = &app{}
		l.apps[id] = a
	}
	if a.turn == nil {
		a.turn = make(chan struct{}, 1)
	}
	a.users++
	turn := a.turn
	l.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return &Turn{l, a}, nil
	case <-ctx.Done():
		l.leave(a)
		return nil, context.Cause(ctx)
	}
}

func (l *Log) leave(a *app) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.users--; a.users == 0 {
		a.turn = nil
	}
}

// Done passes the turn on.
func (t *Turn) Done() {
	<-t.app.turn
	t.log.leave(t.app)
}

// Asked notes that the creation id is about to be sent, while the app had these CVMs.
func (t *Turn) Asked(id string, siblings []string) {
	t.forget(id)
	t.app.asked = append(t.app.asked, &creation{id: id, at: time.Now(), siblings: siblings})
}

// Made notes what a creation made; "" if it is certain that it made nothing.
func (t *Turn) Made(id, cvm string) {
	if cvm == "" {
		t.forget(id)
		return
	}
	if c := t.find(id); c != nil {
		c.siblings, c.cvm = nil, cvm
		return
	}
	t.app.asked = append(t.app.asked, &creation{id: id, at: time.Now(), cvm: cvm})
}

// CVM returns what a creation made; "" if that is not known here.
func (t *Turn) CVM(id string) string {
	if c := t.find(id); c != nil {
		return c.cvm
	}
	return ""
}

// Open returns when a creation other than id was asked for last of which nobody knows what it made; zero if there is
// none.
func (t *Turn) Open(id string) time.Time {
	var last time.Time
	for _, c := range t.app.asked {
		if c.id != id && c.cvm == "" && c.at.After(last) {
			last = c.at
		}
	}
	return last
}

// Owner is whose a CVM can be that is new to a creation.
type Owner int

// The owners of a CVM.
const (
	Own     Owner = iota // nobody else's, as far as this process knows
	Other                // another creation's
	Unclear              // perhaps that of another creation that is open
)

// Owner returns whose a CVM is that is new to the creation id. Creations of one app must be asked for one after the
// other, each when the work of the one before must be done: so what came after a later one is not id's.
func (t *Turn) Owner(id, cvm string) Owner {
	at := slices.IndexFunc(t.app.asked, func(c *creation) bool { return c.id == id })
	owner := Own
	for i, c := range t.app.asked {
		switch {
		case c.id == id:
		case c.cvm != "" && uuid.Bare(c.cvm) == uuid.Bare(cvm):
			return Other
		case c.cvm != "" || slices.ContainsFunc(c.siblings, func(s string) bool { return uuid.Bare(s) == uuid.Bare(cvm) }):
		case at >= 0 && i > at:
			return Other
		case at < 0: // id was asked for by another process
			owner = Unclear
		}
	}
	return owner
}

func (t *Turn) find(id string) *creation {
	for _, c := range t.app.asked {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (t *Turn) forget(id string) {
	t.app.asked = slices.DeleteFunc(t.app.asked, func(c *creation) bool { return c.id == id })
}
