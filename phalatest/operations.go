package phalatest

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

func (o *operation) describe(c *call, by *Tenant) object {
	status, duration := "in_progress", any(nil)
	switch {
	case o.failure != "":
		status = "failed"
	case !o.ended.IsZero():
		status = "completed"
	}
	if !o.ended.IsZero() {
		duration = o.ended.Sub(o.started).Milliseconds()
	}
	events := []object{}
	for _, e := range o.events {
		events = append(events, object{"event_type": e.kind, "timestamp": stamp(e.at), "state": e.state})
	}
	user := any(by.userNumber())
	if c.hashedIDs() {
		user = by.userID()
	}
	return object{
		"correlation_id": o.id, "operation_type": o.kind, "target_state": o.target, "triggered_by": user,
		"triggered_by_username": by.userName(), "triggered_by_email": by.userEmail(), "started_at": stamp(o.started),
		"completed_at": stampOrNull(o.ended), "duration_ms": duration, "status": status, "error_message": orNull(o.failure),
		"sub_operations": []string{}, "events": events, "instance_name": o.name, "compose_hash": o.hash,
	}
}

// listOperations gives them newest first; the cursor is how many have been seen.
func listOperations(_ *Server, c *call, vm *cvm) answer {
	query := c.URL.Query()
	all := slices.Clone(vm.finished)
	if vm.op != nil {
		all = append(all, *vm.op)
	}
	slices.Reverse(all)
	after, _ := time.Parse(time.RFC3339, query.Get("start_time")) // held against the description before
	before, _ := time.Parse(time.RFC3339, query.Get("end_time"))
	kinds := query["operation_types"]
	all = slices.DeleteFunc(all, func(o operation) bool {
		return query.Has("start_time") && o.started.Before(after) || query.Has("end_time") && o.started.After(before) ||
			len(kinds) > 0 && !slices.Contains(kinds, o.kind)
	})
	seen := 0
	if cursor := query.Get("cursor"); cursor != "" {
		var err error
		if seen, err = strconv.Atoi(cursor); err != nil || seen < 0 || seen > len(all) {
			return plain(http.StatusBadRequest, "Invalid cursor")
		}
	}
	end := min(seen+c.number("limit", 50), len(all))
	items := []object{}
	for _, o := range all[seen:end] {
		items = append(items, o.describe(c, vm.tenant()))
	}
	next := any(nil)
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return ok(object{"items": items, "next_cursor": next, "total": len(all)})
}

func operationStatus(_ *Server, _ *call, vm *cvm) answer {
	status := object{"in_progress": vm.op != nil, "operation_type": nil, "correlation_id": nil, "started_at": nil, "task_status": nil}
	if op := vm.op; op != nil {
		status["operation_type"], status["correlation_id"] = op.kind, op.id
		status["started_at"], status["task_status"] = stamp(op.started), "running"
	}
	return ok(status)
}

// cancelOperation gives up what is under way. The CVM stays where it was before, or stopped where it never ran.
func cancelOperation(_ *Server, _ *call, vm *cvm) answer {
	op := vm.op
	switch {
	case op == nil:
		return structured(http.StatusConflict, "ERR-02-008", "No operation is in progress")
	case op.kind == "delete":
		return structured(http.StatusConflict, "ERR-02-008", "A deletion cannot be cancelled")
	}
	status := op.before
	if status == "created" {
		status = "stopped"
	}
	vm.turn(status)
	vm.boot = ""
	vm.end("cancelled")
	return ok(object{"cancelled": true, "correlation_id": op.id})
}
