package phalatest

import (
	"net/http"
	"slices"

	"github.com/phala-go/phala/openapi"
)

// chosen returns the CVMs that match the filters of a list, in the order of their creation.
func (s *Server) chosen(c *call) (listing[*cvm], *answer) {
	query := c.URL.Query()
	for _, gone := range []string{"user_id", "teepod_id"} {
		if query.Has(gone) {
			bad := invalid(gone+" is no longer a filter", "value_error", "query", gone)
			return listing[*cvm]{}, &bad
		}
	}
	family, kinds := query.Get("family"), query["instance_types"]
	if (family == "" || family == "all") && len(kinds) == 0 {
		return all(c.tenant.cvms), nil
	}
	var lists [][]*cvm
	for _, t := range s.types {
		if (family == "" || family == "all" || family == t.family) && (len(kinds) == 0 || slices.Contains(kinds, t.id)) {
			lists = append(lists, c.tenant.byKind[t.id])
		}
	}
	return merged(lists, (*cvm).order), nil
}

func listAllCVMs(s *Server, c *call) answer {
	chosen, bad := s.chosen(c)
	if bad != nil {
		return *bad
	}
	return ok(describeAll(s, c, chosen.items(0, chosen.total)))
}

func listCVMs(s *Server, c *call) answer {
	chosen, bad := s.chosen(c)
	if bad != nil {
		return *bad
	}
	return page(c, chosen, pageNames{"items", "pages", 30}, func(vm *cvm) any { return vm.inList(s, c) })
}

// getComposeFile returns the app-compose as JSON, or as its exact text.
func getComposeFile(_ *Server, c *call, vm *cvm) answer {
	if c.URL.Query().Get("raw") != "" {
		return text("text/plain; charset=utf-8", string(vm.doc.text))
	}
	return answer{status: http.StatusOK, raw: vm.doc.text, media: "application/json"}
}

func getDockerCompose(_ *Server, _ *call, vm *cvm) answer {
	return text("text/yaml", vm.doc.composeFile())
}

func getPreLaunchScript(_ *Server, _ *call, vm *cvm) answer {
	return text("text/plain", vm.doc.script())
}

func getStatuses(s *Server, c *call) answer {
	var request openapi.GetStatusesRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	all := map[string]openapi.CVMStatusReport{}
	for _, id := range request.VMUUIDs {
		vm, bad := c.tenant.find(id)
		if bad != nil {
			continue
		}
		all[id] = vm.describeStatus(c)
	}
	return ok(all)
}

// describeStatus is a CVM in a batch. The newest version has what is under way in a member of its own.
func (vm *cvm) describeStatus(c *call) openapi.CVMStatusReport {
	status := openapi.CVMStatusReport{
		VMUUID: dashed(vm.uuid), Status: vm.status, Uptime: vm.uptime(), InProgress: ref(vm.op != nil), BootProgress: vm.boot,
		BootError: vm.failure, Events: []openapi.GuestEvent{},
	}
	if vm.boot != "" {
		status.Events = append(status.Events, openapi.GuestEvent{Event: "boot.progress", Body: vm.boot, Timestamp: ref(int64(0))})
	}
	op := vm.op
	switch {
	case op == nil:
	case c.version >= "2026-06-23":
		status.Operation = &openapi.CVMOperation{Type: op.kind, Phase: string(vm.status), StartedAt: second(op.started), CorrelationID: op.id}
	default:
		status.OperationType, status.OperationStartedAt, status.CorrelationID = op.kind, second(op.started), op.id
	}
	return status
}
