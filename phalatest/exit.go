package phalatest

import (
	"fmt"
	"time"
)

// Exit lets the guest of a running CVM power itself off: its status is "exited" from now on. The identifier
// may have every form that the API takes.
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
