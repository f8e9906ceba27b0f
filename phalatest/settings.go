package phalatest

import (
	"slices"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

func rename(s *Server, c *call, vm *cvm) answer {
	var r openapi.RenameRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	if err := compose.ValidateName(r.Name); err != nil {
		return invalid("Value error, "+err.Error(), "value_error", "body", "name")
	}
	if r.Name != vm.name {
		if len(vm.tenant().named(r.Name)) > 0 {
			return nameTaken(r.Name)
		}
		s.dismiss(vm)
		vm.name = r.Name
		s.enroll(vm)
		if len(vm.app.cvms) == 1 {
			vm.app.name = r.Name
		}
	}
	return noContent()
}

func setListed(s *Server, c *call, vm *cvm) answer {
	var r openapi.SetListedRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	vm.listed = r.Listed
	return ok(vm.describeVM(c))
}

// scheduleDelete sets the time of the deletion, or with null takes it back.
func scheduleDelete(s *Server, c *call, vm *cvm) answer {
	var r openapi.ScheduleDeleteRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &r); !ok {
			return bad
		}
	}
	vm.schedule(s, r.ScheduledDeleteAt)
	return ok(vm.describeVM(c))
}

func (vm *cvm) schedule(s *Server, at *openapi.Time) {
	vm.deleteAt = time.Time{}
	s.scheduled = slices.DeleteFunc(s.scheduled, func(other *cvm) bool { return other == vm })
	if at != nil && !at.IsZero() {
		vm.deleteAt = at.Time
		s.scheduled = append(s.scheduled, vm)
	}
}

// deleteScheduled begins the deletions whose time has come.
func (s *Server) deleteScheduled() {
	if len(s.scheduled) == 0 {
		return
	}
	now := time.Now()
	s.scheduled = slices.DeleteFunc(s.scheduled, func(vm *cvm) bool {
		if now.Before(vm.deleteAt) {
			return false
		}
		vm.delete(s)
		return true
	})
}
