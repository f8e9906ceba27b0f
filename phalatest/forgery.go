package phalatest

import (
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// forged is what is changed in the evidence of the CVMs of one name.
type forged struct {
	boots   func(*quotetest.Spec)
	changes []quotetest.Change
	shows   func(*attest.Evidence)
}

// BootInstead boots another app than requested and reported for the CVM with that name: another app-compose text, key
// provider or image. The hardware measures what really booted. A nil change ends it.
func (s *Server) BootInstead(name string, change func(*quotetest.Spec)) {
	s.forge(name, func(sp *forged) { sp.boots = change })
}

// ForgeQuote changes what the hardware signs for the CVM with that name, see [quotetest.Change]. No change ends it.
func (s *Server) ForgeQuote(name string, changes ...quotetest.Change) {
	s.forge(name, func(sp *forged) { sp.changes = changes })
}

// TamperEvidence changes the evidence that the cloud returns for the CVM with that name. change is called for each
// response, with a copy. A nil change ends it.
func (s *Server) TamperEvidence(name string, change func(*attest.Evidence)) {
	s.forge(name, func(sp *forged) { sp.shows = change })
}

func (s *Server) forge(name string, set func(*forged)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forged[name] == nil {
		s.forged[name] = &forged{}
	}
	set(s.forged[name])
	for _, t := range s.tenants {
		for _, vm := range t.named(name) {
			vm.signed = nil
		}
	}
}

// shown is the evidence as the cloud shows it.
func (sp *forged) shown(e attest.Evidence) attest.Evidence {
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
