package phalatest

import (
	"fmt"
	"time"
)

// Exit powers a running CVM off from within its guest: its status is "exited" from now on. The identifier may have
// every form that the API accepts.
func (s *Server) Exit(cvmID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live()
	vm, bad := s.own().find(cvmID)
	switch {
	case bad != nil:
		return fmt.Errorf("phalatest: no cvm %s", cvmID)
	case !vm.running() || vm.op != nil:
		return fmt.Errorf("phalatest: cvm %s is %s", cvmID, vm.status)
	}
	vm.turn("exited")
	vm.exited = time.Now().UTC()
	return nil
}
