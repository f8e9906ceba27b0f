package phalatest

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/phala-go/phala/openapi"
)

// span is a time that a CVM ran.
type span struct{ from, to time.Time }

// ran are the times that a CVM has run so far.
func (vm *cvm) ran() []span {
	if vm.running() {
		return append(slices.Clone(vm.runs), span{vm.started, time.Now().UTC()})
	}
	return vm.runs
}

// getUsage bills each CVM for what it ran, by the hour of the clock, newest first.
func getUsage(s *Server, c *call, a *app) answer {
	query := c.URL.Query()
	from, _ := time.Parse(time.RFC3339, query.Get("start_date")) // validated by the description before
	until, _ := time.Parse(time.RFC3339, query.Get("end_date"))
	if query.Has("start_date") && query.Has("end_date") && until.Before(from) {
		return plain(http.StatusBadRequest, "end_date is before start_date")
	}
	records, total := []openapi.UsageRecord{}, 0.0
	for _, vm := range a.cvms {
		for _, run := range vm.ran() {
			for at := run.from; at.Before(run.to); {
				end := at.Truncate(time.Hour).Add(time.Hour)
				if run.to.Before(end) {
					end = run.to
				}
				if (!query.Has("start_date") || !at.Before(from)) && (!query.Has("end_date") || !at.After(until)) {
					cost := end.Sub(at).Hours() * s.rateNumber(vm)
					total += cost
					records = append(records, s.usageRecord(vm, at, end, cost))
				}
				at = end
			}
		}
	}
	slices.Reverse(records)
	first := min(c.number("offset", 0), len(records))
	last := min(first+c.number("limit", 500), len(records))
	return ok(openapi.AppUsage{Usage: records[first:last], Total: len(records), TotalCost: money(total)})
}

func (s *Server) usageRecord(vm *cvm, from, to time.Time, cost float64) openapi.UsageRecord {
	hour := from.Truncate(time.Hour)
	return openapi.UsageRecord{
		InstanceID: dashed(vm.uuid), ProjectID: numbered(vm.app.number), TeamID: numbered(vm.tenant().number), Timestamp: second(to),
		EventType: "compute", Cost: money(cost), Details: vm.size.kind, UsageType: "compute", BillingStart: second(from), BillingEnd: second(to),
		DurationMinutes: to.Sub(from).Minutes(), BillingKey: dashed(vm.uuid) + ":" + stamp(hour), BillingHour: stamp(hour),
		BillingDay: from.Format(time.DateOnly),
	}
}

// money is an amount in USD.
func money(amount float64) openapi.Decimal {
	return openapi.Decimal(strconv.FormatFloat(amount, 'f', -1, 64))
}
