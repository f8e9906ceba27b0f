package phalatest

import (
	"slices"

	"github.com/phala-go/phala/webhook"
)

// happened sends an event of a CVM to the webhooks. The server is locked; the event is sent in another goroutine.
func (s *Server) happened(vm *cvm, event string) {
	var data any = webhook.Lifecycle{
		CVMID: dashed(vm.uuid), CVMName: vm.name, AppID: vm.app.id.String(), Status: string(vm.status), Error: vm.failure,
	}
	switch webhook.Type(event) {
	case webhook.CVMUpdatePendingApproval:
		data = vm.update.describe()
	case webhook.CVMReplicaPendingApproval:
		data = vm.replica.describe()
	}
	if err := s.webhooks.emit(vm.tenant(), webhook.Type(event), data); err != nil {
		s.wrong("event %s: %v", event, err)
	}
}

// describe is a prepared change as its event has it.
func (p *prepared) describe() webhook.PendingApproval {
	page, post := p.urls()
	var contract webhook.KMSContract
	if chain := p.vm.app.kms.chain; chain != nil {
		contract = webhook.KMSContract{ChainID: chain.ChainID(), Address: chain.KMSContract().Hex()}
	}
	return webhook.PendingApproval{
		CVMID: dashed(p.vm.uuid), CVMName: p.vm.name, ComposeHash: "0x" + p.hash.String(), AppID: "0x" + p.vm.app.id.String(),
		DeviceID: "0x" + p.node.device.String(), KMS: contract,
		OnChainAction: webhook.OnChainAction{
			To: "0x" + p.vm.app.id.String(), Method: "addComposeHash(bytes32)", Calldata: p.hash.String(),
		},
		CommitToken: webhook.Secret(p.token), CommitURL: webhook.Secret(page), APICommitURL: webhook.Secret(post),
		ExpiresAt: p.expires(), InitiatedBy: webhook.Initiator{UserID: p.vm.tenant().userID(), Username: p.vm.tenant().userName()},
	}
}

// wake records that an operation has begun.
func (w *webhooks) wake() {
	select {
	case w.began <- struct{}{}:
	default:
	}
}

// drive advances the CVMs by themselves, once there is a webhook: whoever waits for an event does not poll. With
// manual ticks each of them does it.
func (s *Server) drive() {
	w := s.webhooks
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.driven || s.clock.tick == 0 {
		return
	}
	w.driven = true
	w.run(func() {
		for w.ctx.Err() == nil {
			if s.busyAfterLiving() {
				s.clock.wait(w.ctx, s.clock.tick)
				continue
			}
			select {
			case <-w.began:
			case <-w.ctx.Done():
			}
		}
	})
}

// busyAfterLiving advances the CVMs and reports whether operations are left.
func (s *Server) busyAfterLiving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	return slices.ContainsFunc(s.busy, func(vm *cvm) bool { return vm.op != nil })
}
