package phalatest

import (
	"slices"

	"github.com/phala-go/phala/webhook"
)

// happened tells the webhooks that something has happened to a CVM. The server is locked; the event goes out in
// a goroutine of its own.
func (s *Server) happened(vm *cvm, event string) {
	data := webhook.Lifecycle{
		CVMID: dashed(vm.uuid), CVMName: vm.name, AppID: vm.provision.key.app.String(), Status: vm.status, Error: vm.failure,
	}
	if err := s.webhooks.emit(webhook.Type(event), data); err != nil {
		s.wrong("event %s: %v", event, err)
	}
}

// eventOf is what the end of an operation tells the workspace; empty where it tells nothing.
func eventOf(kind, failure string) string {
	switch {
	case kind == "create" && failure != "":
		return string(webhook.CVMCreateFailed)
	case failure != "":
		return ""
	}
	switch kind {
	case "create":
		return string(webhook.CVMCreated)
	case "power_on":
		return string(webhook.CVMStarted)
	case "restart":
		return string(webhook.CVMRestarted)
	case "power_off", "shutdown":
		return string(webhook.CVMStopped)
	case "delete":
		return string(webhook.CVMDeleted)
	}
	return string(webhook.CVMUpdated)
}

// wake says that an operation has begun.
func (w *webhooks) wake() {
	select {
	case w.began <- struct{}{}:
	default:
	}
}

// drive makes the CVMs live on by themselves, once there is a webhook: who waits for an event does not ask. With
// ticks by hand each of them does it.
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

// busyAfterLiving lets the CVMs take their steps and says whether some are left.
func (s *Server) busyAfterLiving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	return slices.ContainsFunc(s.cvms, func(vm *cvm) bool { return vm.op != nil })
}
