package phalatest

import "github.com/phala-go/phala/openapi"

// refreshed returns the result for one CVM. The cloud never forgets an id, so there is never a new one.
func (vm *cvm) refreshed(c *call) openapi.InstanceIDRefresh {
	r := openapi.InstanceIDRefresh{
		CVMID: vm.numberOrID(c), Identifier: dashed(vm.uuid), Status: "unchanged", OldInstanceID: vm.instance, NewInstanceID: vm.instance,
		Source: "teepod_info", VerifiedWithGateway: ref(false),
	}
	if vm.instance == "" {
		r.Status, r.Source, r.Reason = "skipped", "none", "the CVM has not booted yet"
	}
	return r
}

func refreshInstanceID(_ *Server, c *call, vm *cvm) answer { return ok(vm.refreshed(c)) }

func refreshInstanceIDs(s *Server, c *call) answer {
	var r openapi.RefreshInstanceIDsRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	limit := 100
	if r.Limit != nil {
		limit = *r.Limit
	}
	fits := func(vm *cvm) bool {
		return (r.RunningOnly != nil && !*r.RunningOnly || vm.running()) && (r.MissingOnly != nil && !*r.MissingOnly || vm.instance == "")
	}
	var chosen []*cvm
	items := []openapi.InstanceIDRefresh{}
	counts := map[openapi.InstanceIDRefreshStatus]int{}
	if len(r.CVMIDs) > 0 {
		for _, id := range r.CVMIDs {
			vm, bad := c.tenant.find(id)
			if bad != nil {
				counts["error"]++
				items = append(items, openapi.InstanceIDRefresh{CVMID: openapi.ID(id), Identifier: id, Status: "error", Source: "none", Reason: bad.message()})
				continue
			}
			if fits(vm) {
				chosen = append(chosen, vm)
			}
		}
	}
	// A running CVM has an instance id: with the defaults no CVM matches, and none is checked.
	nobody := (r.RunningOnly == nil || *r.RunningOnly) && (r.MissingOnly == nil || *r.MissingOnly)
	for i := 0; len(r.CVMIDs) == 0 && !nobody && i < len(c.tenant.cvms) && len(chosen) < limit; i++ {
		if fits(c.tenant.cvms[i]) {
			chosen = append(chosen, c.tenant.cvms[i])
		}
	}
	chosen = chosen[:min(limit, len(chosen))]
	for _, vm := range chosen {
		item := vm.refreshed(c)
		counts[item.Status]++
		items = append(items, item)
	}
	return ok(openapi.InstanceIDRefreshes{
		Total: len(items), Scanned: len(chosen), Unchanged: counts["unchanged"], Skipped: counts["skipped"], Errors: counts["error"], Items: items,
	})
}
