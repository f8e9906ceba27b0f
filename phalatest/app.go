package phalatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// app is what the CVMs under one app id share.
type app struct {
	id        kms.AppID
	number    int
	name      string
	tenant    *Tenant
	created   time.Time
	kms       *keyService
	deployer  string        // of its contract; empty under the central KMS
	key       kms.PublicKey // of its environment
	cvms      []*cvm
	revisions []*revision // oldest first
}

// project is the id of the app's row.
func (a *app) project() string { return fmt.Sprintf("prj_%06d", a.number) }

// findApp returns an app by its id, with or without a prefix.
func (s *Server) findApp(text string) *app {
	id, err := kms.ParseAppID(strings.ToLower(text))
	if err != nil {
		return nil
	}
	return s.apps[id]
}

func (s *Server) newApp(p *provision) *app {
	t := p.key.tenant
	s.appNumber++
	a := &app{id: p.key.app, number: s.appNumber, name: p.name, tenant: t, created: time.Now().UTC(), kms: p.kms, key: p.envKey}
	s.apps[a.id] = a
	t.apps = append(t.apps, a)
	return a
}

// app returns the app of an id that the key of a call may see. What needs no key shows the apps of all tenants.
func (c *call) app(text string) *app {
	a := c.server.findApp(text)
	if a == nil || c.tenant != a.tenant && !c.route.public && !c.route.optionalKey {
		return nil
	}
	return a
}

// onApp returns a handler of an operation on one app.
func onApp(h func(*Server, *call, *app) answer) handler {
	return func(s *Server, c *call) answer {
		a := c.app(c.params["app_id"])
		if a == nil {
			return plain(http.StatusNotFound, "App not found")
		}
		return h(s, c, a)
	}
}

// onInstance returns a handler of an operation on a CVM of an app.
func onInstance(h func(*Server, *call, *cvm) answer) handler {
	return onApp(func(s *Server, c *call, a *app) answer {
		vm, bad := c.tenant.find(c.params["vm_uuid"])
		if bad != nil {
			return *bad
		}
		if vm.app != a {
			return cvmNotFound(c.params["vm_uuid"])
		}
		return h(s, c, vm)
	})
}

func (a *app) describe(s *Server, c *call) any {
	if !c.nested() {
		return a.describeBasic(s)
	}
	cvms := make([]openapi.CVM, len(a.cvms))
	for i, vm := range a.cvms {
		cvms[i] = vm.describe(s, c)
	}
	return openapi.App{
		ID: openapi.ID(a.project()), Name: a.name, AppID: a.id.String(), CreatedAt: second(a.created), KMSType: a.kms.kind,
		CurrentCVM: &cvms[0], CVMs: cvms, CVMCount: ref(len(cvms)),
	}
}

// describeBasic is an app as it was shown before 2026-01-21.
func (a *app) describeBasic(s *Server) object {
	cvms := make([]object, len(a.cvms))
	for i, vm := range a.cvms {
		cvms[i] = vm.describeBasic(s)
	}
	return object{
		"id": a.project(), "name": a.name, "app_id": a.id.String(), "app_provision_type": nil, "app_icon_url": nil,
		"created_at": stamp(a.created), "kms_type": a.kms.kind, "profile": nil, "current_cvm": cvms[0], "cvms": cvms, "cvm_count": len(cvms),
		"team_slug": a.tenant.slug, "team_name": a.tenant.name,
	}
}

func getApp(s *Server, c *call, a *app) answer { return ok(a.describe(s, c)) }

func listAppCVMs(s *Server, c *call, a *app) answer { return ok(describeAll(s, c, a.cvms)) }

func listApps(s *Server, c *call) answer {
	query := c.URL.Query()
	names := pageNames{"dstack_apps", "total_pages", 20}
	one := func(a *app) any { return a.describe(s, c) }
	if !filtered(query) {
		return page(c, all(c.tenant.apps), names, one)
	}
	is := func(name, value string) bool { return !query.Has(name) || query.Get(name) == value }
	var found []*app
	for _, a := range c.tenant.apps {
		fits := slices.ContainsFunc(a.cvms, func(vm *cvm) bool {
			return (len(query["status"]) == 0 || slices.Contains(query["status"], string(vm.status))) &&
				is("listed", fmt.Sprint(vm.listed)) && is("base_image", vm.image.name) && is("instance_type", vm.size.kind) &&
				is("node", vm.node.name) && is("region", vm.node.region) && is("kms_slug", a.kms.slug) && is("kms_type", a.kms.kind)
		})
		if search := query.Get("search"); fits && (strings.Contains(a.name, search) || strings.Contains(a.id.String(), search)) {
			found = append(found, a)
		}
	}
	return page(c, all(found), names, one)
}

// filtered reports whether a query of a list has more than the page.
func filtered(query url.Values) bool {
	for name := range query {
		if name != "page" && name != "page_size" {
			return true
		}
	}
	return false
}

// revision is what a CVM ran from one change to the next.
type revision struct {
	id           string
	vm           *cvm
	doc          *document
	encryptedEnv string
	userConfig   string
	created      time.Time
	trace        string
	kind         string
}

// revise notes what a CVM runs from now on.
func (s *Server) revise(vm *cvm, kind string) {
	s.revision++
	vm.app.revisions = append(vm.app.revisions, &revision{
		id: fmt.Sprintf("rev_%06d", s.revision), vm: vm, doc: vm.doc, encryptedEnv: vm.encryptedEnv, userConfig: vm.userConfig,
		created: time.Now().UTC(), trace: vm.op.id, kind: kind,
	})
}

func (r *revision) describe() openapi.AppRevision {
	return openapi.AppRevision{
		RevisionID: r.id, AppID: r.vm.app.id.String(), VMUUID: dashed(r.vm.uuid), ComposeHash: r.doc.hash.String(), CreatedAt: second(r.created),
		TraceID: r.trace, OperationType: r.kind, TriggeredBy: ref(r.vm.tenant().userRef()),
		CVM:       &openapi.CVMRef{ObjectType: "cvm", VMUUID: dashed(r.vm.uuid), AppID: r.vm.app.id.String(), Name: r.vm.name},
		Workspace: ref(r.vm.tenant().workspaceRef()),
	}
}

func (a *app) revision(id string) *revision {
	i := slices.IndexFunc(a.revisions, func(r *revision) bool { return r.id == id })
	if i < 0 {
		return nil
	}
	return a.revisions[i]
}

func listRevisions(_ *Server, c *call, a *app) answer {
	return page(c, newestFirst(a.revisions), pageNames{"revisions", "total_pages", 50}, func(r *revision) any { return r.describe() })
}

var noRevision = "Revision not found"

func getRevision(_ *Server, c *call, a *app) answer {
	r := a.revision(c.params["revision_id"])
	if r == nil {
		return plain(http.StatusNotFound, noRevision)
	}
	d, file := r.describe(), r.doc.text
	if c.URL.Query().Get("raw_compose_file") == "true" {
		var err error
		if file, err = json.Marshal(string(file)); err != nil {
			return plain(http.StatusInternalServerError, err.Error())
		}
	}
	return ok(openapi.AppRevisionDetail{
		RevisionID: d.RevisionID, AppID: d.AppID, VMUUID: d.VMUUID, ComposeHash: d.ComposeHash, CreatedAt: d.CreatedAt, TraceID: d.TraceID,
		OperationType: d.OperationType, TriggeredBy: d.TriggeredBy, CVM: d.CVM, Workspace: d.Workspace,
		ComposeFile: file, EncryptedEnv: openapi.Secret(r.encryptedEnv), UserConfig: r.userConfig,
	})
}

func (r *revision) redeployOn(s *Server, vm *cvm, by approval) answer {
	if bad := s.allowed(vm.app, r.doc.hash, vm.node, by, false); bad != nil {
		return *bad
	}
	env := openapi.Secret(r.encryptedEnv)
	ch := change{kind: "redeploy", doc: r.doc, userConfig: &r.userConfig}
	if env != "" {
		ch.env = &env
	}
	return s.apply(vm, ch)
}

func redeployCVM(s *Server, c *call, vm *cvm) answer {
	r := vm.app.revision(c.params["revision_id"])
	if r == nil {
		return plain(http.StatusNotFound, noRevision)
	}
	return r.redeployOn(s, vm, approval{transaction: c.URL.Query().Get("transaction_hash")})
}

// redeployApp takes all CVMs that are named back to a revision, or none.
func redeployApp(s *Server, c *call, a *app) answer {
	var request openapi.RedeployRevisionRequest
	if len(c.body) > 0 {
		if bad, ok := s.decode(c, &request); !ok {
			return bad
		}
	}
	r := a.revision(c.params["revision_id"])
	if r == nil {
		return plain(http.StatusNotFound, noRevision)
	}
	chosen := a.cvms
	if len(request.VMUUIDs) > 0 {
		chosen = nil
		for _, id := range request.VMUUIDs {
			vm, bad := c.tenant.find(id)
			if bad != nil || vm.app != a {
				return cvmNotFound(id)
			}
			chosen = append(chosen, vm)
		}
	} else if len(a.cvms) > 1 {
		return plain(http.StatusBadRequest, "vm_uuids is required where an app has several CVMs")
	}
	if slices.ContainsFunc(chosen, func(vm *cvm) bool { return vm.op != nil }) {
		return plain(http.StatusConflict, busy)
	}
	by := approval{transaction: c.URL.Query().Get("transaction_hash")}
	for _, vm := range chosen {
		if bad := s.allowed(a, r.doc.hash, vm.node, by, false); bad != nil {
			return *bad
		}
	}
	last := answer{}
	for _, vm := range chosen {
		last = r.redeployOn(s, vm, by)
	}
	return last
}

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
