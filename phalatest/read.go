package phalatest

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/phala-go/phala/openapi"
)

// chosen are the CVMs that the filters of a list let through.
func (s *Server) chosen(c *call) []*cvm {
	query := c.URL.Query()
	if user := query.Get("user_id"); user != "" && user != "0" && user != c.tenant.userID() {
		return nil
	}
	node, family, kinds := query.Get("teepod_id"), query.Get("family"), query["instance_types"]
	if node == "" && family == "" && len(kinds) == 0 {
		return c.tenant.cvms
	}
	return slices.DeleteFunc(slices.Clone(c.tenant.cvms), func(vm *cvm) bool {
		return node != "" && strconv.Itoa(vm.node.teepod) != node ||
			family != "" && family != "all" && s.instanceType(vm.size.kind).family != family ||
			len(kinds) > 0 && !slices.Contains(kinds, vm.size.kind)
	})
}

func listAllCVMs(s *Server, c *call) answer { return ok(describeAll(s, c, s.chosen(c))) }

func listCVMs(s *Server, c *call) answer {
	return page(c, s.chosen(c), 30, "items", "pages", func(vm *cvm) object { return vm.inList(s, c) })
}

// page cuts one page out of all and describes it, in the dialect that names its members so.
func page[T any](c *call, all []T, size int, itemsName, pagesName string, describe func(T) object) answer {
	number, size := c.number("page", 1), c.number("page_size", size)
	from := len(all)
	if number <= len(all) { // else the product may be too large
		from = min((number-1)*size, len(all))
	}
	items := []object{}
	for _, one := range all[from:min(from+size, len(all))] {
		items = append(items, describe(one))
	}
	return ok(object{
		itemsName: items, "total": len(all), "page": number, "page_size": size, pagesName: (len(all) + size - 1) / size,
	})
}

// getComposeFile gives the app-compose as JSON, or as its exact text.
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
	all := object{}
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
func (vm *cvm) describeStatus(c *call) object {
	events := []object{}
	if vm.boot != "" {
		events = append(events, object{"event": "boot.progress", "body": vm.boot, "timestamp": 0})
	}
	status := object{
		"vm_uuid": dashed(vm.uuid), "status": vm.status, "uptime": orNull(vm.uptime()), "in_progress": vm.op != nil,
		"boot_progress": orNull(vm.boot), "boot_error": orNull(vm.failure), "shutdown_progress": nil, "events": events,
	}
	op := vm.op
	switch {
	case c.version >= "2026-06-23":
		status["operation"] = nil
		if op != nil {
			status["operation"] = object{"type": op.kind, "phase": vm.status, "started_at": stamp(op.started), "correlation_id": op.id}
		}
	case op != nil:
		status["operation_type"], status["operation_started_at"], status["correlation_id"] = op.kind, stamp(op.started), op.id
	}
	return status
}
