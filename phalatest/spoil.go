package phalatest

import (
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// spoiled is what is wrong with the evidence of a CVM.
type spoiled struct {
	boots   func(*quotetest.Spec)
	changes []quotetest.Change
	shows   func(*attest.Evidence)
}

// Substitute lets the CVM of that name really boot something else than what the cloud was asked for and says:
// another app-compose text, key provider, image. The hardware tells the truth of it. A nil change ends it.
func (s *Server) Substitute(name string, change func(*quotetest.Spec)) {
	s.spoil(name, func(sp *spoiled) { sp.boots = change })
}

// Spoil changes what the hardware signs for the CVM of that name, see [quotetest.Change]. No change ends it.
func (s *Server) Spoil(name string, changes ...quotetest.Change) {
	s.spoil(name, func(sp *spoiled) { sp.changes = changes })
}

// Tamper lets the cloud change the evidence of the CVM of that name on the way to the caller. change is called
// for each answer, with a copy. A nil change ends it.
func (s *Server) Tamper(name string, change func(*attest.Evidence)) {
	s.spoil(name, func(sp *spoiled) { sp.shows = change })
}

func (s *Server) spoil(name string, set func(*spoiled)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spoiled[name] == nil {
		s.spoiled[name] = &spoiled{}
	}
	set(s.spoiled[name])
	for _, vm := range s.named(name) {
		vm.minted = nil
	}
}

// shown is the evidence as the cloud shows it.
func (sp *spoiled) shown(e attest.Evidence) attest.Evidence {
	if sp == nil || sp.shows == nil {
		return e
	}
	e.Quote = slices.Clone(e.Quote)
	e.EventLog = slices.Clone(e.EventLog)
	for i := range e.EventLog {
		event := &e.EventLog[i]
		event.Payload, event.Digest, event.Preimage = slices.Clone(event.Payload), slices.Clone(event.Digest), slices.Clone(event.Preimage)
	}
	sp.shows(&e)
	return e
}
