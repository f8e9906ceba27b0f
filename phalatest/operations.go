package phalatest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/phala-go/phala/openapi"
)

func (o *operation) describe(c *call, by *Tenant) openapi.Operation {
	described := openapi.Operation{
		CorrelationID: o.id, OperationType: o.kind, TargetState: string(o.target), TriggeredBy: by.userRowID(c),
		TriggeredByUsername: by.userName(), TriggeredByEmail: by.userEmail(), StartedAt: second(o.started), CompletedAt: second(o.ended),
		Status: "in_progress", ErrorMessage: o.failure, InstanceName: o.name, ComposeHash: o.hash,
	}
	switch {
	case o.failure != "":
		described.Status = "failed"
	case !o.ended.IsZero():
		described.Status = "completed"
	}
	if !o.ended.IsZero() {
		described.DurationMS = ref(int(o.ended.Sub(o.started).Milliseconds()))
	}
	for _, e := range o.events {
		described.Events = append(described.Events, openapi.OperationEvent{EventType: e.kind, Timestamp: second(e.at), State: string(e.state)})
	}
	return described
}

// listOperations returns the operations newest first; the cursor is the number of those before.
func listOperations(_ *Server, c *call, vm *cvm) answer {
	query := c.URL.Query()
	all := slices.Clone(vm.finished)
	if vm.op != nil {
		all = append(all, *vm.op)
	}
	slices.Reverse(all)
	after, _ := time.Parse(time.RFC3339, query.Get("start_time")) // validated by the description before
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
	page := openapi.OperationPage{Total: len(all)}
	for _, o := range all[seen:end] {
		page.Items = append(page.Items, o.describe(c, vm.tenant()))
	}
	if end < len(all) {
		page.NextCursor = strconv.Itoa(end)
	}
	return ok(page)
}

func operationStatus(_ *Server, _ *call, vm *cvm) answer {
	status := object{"in_progress": vm.op != nil, "operation_type": nil, "correlation_id": nil, "started_at": nil, "task_status": nil}
	if op := vm.op; op != nil {
		status["operation_type"], status["correlation_id"] = op.kind, op.id
		status["started_at"], status["task_status"] = stamp(op.started), "running"
	}
	return ok(status)
}

// cancelOperation cancels the running operation. The CVM keeps its earlier status, or is stopped if it never ran.
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
	return ok(openapi.Cancellation{Cancelled: true, CorrelationID: op.id})
}
