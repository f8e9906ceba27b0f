package phalatest

import "github.com/phala-go/phala/openapi"

// refreshed is the answer for one CVM. The cloud never forgets an id, so there is never a new one.
func (vm *cvm) refreshed(c *call) object {
	status, source, reason := "unchanged", "teepod_info", any(nil)
	if vm.instance == "" {
		status, source, reason = "skipped", "none", "the CVM has not booted yet"
	}
	return object{
		"cvm_id": vm.numberOrID(c), "identifier": dashed(vm.uuid), "status": status, "old_instance_id": orNull(vm.instance),
		"new_instance_id": orNull(vm.instance), "source": source, "verified_with_gateway": false, "reason": reason,
	}
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
	items := []object{}
	counts := map[string]int{}
	if len(r.CVMIDs) > 0 {
		for _, id := range r.CVMIDs {
			vm, bad := c.tenant.find(id)
			if bad != nil {
				counts["error"]++
				items = append(items, object{"cvm_id": id, "identifier": id, "status": "error", "source": "none", "reason": bad.body.(object)["message"]})
				continue
			}
			if fits(vm) {
				chosen = append(chosen, vm)
			}
		}
	}
	// A running CVM has an instance id: with the defaults nobody fits, and nobody is looked at.
	nobody := (r.RunningOnly == nil || *r.RunningOnly) && (r.MissingOnly == nil || *r.MissingOnly)
	for i := 0; len(r.CVMIDs) == 0 && !nobody && i < len(c.tenant.cvms) && len(chosen) < limit; i++ {
		if fits(c.tenant.cvms[i]) {
			chosen = append(chosen, c.tenant.cvms[i])
		}
	}
	chosen = chosen[:min(limit, len(chosen))]
	for _, vm := range chosen {
		item := vm.refreshed(c)
		counts[item["status"].(string)]++
		items = append(items, item)
	}
	return ok(object{
		"total": len(items), "scanned": len(chosen), "updated": 0, "unchanged": counts["unchanged"], "skipped": counts["skipped"],
		"conflicts": 0, "errors": counts["error"], "items": items,
	})
}
