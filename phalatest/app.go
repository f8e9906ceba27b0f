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

// app is the common state of the CVMs under one app id.
type app struct {
	id        kms.AppID
	number    int
	name      string
	workspace *Workspace
	created   time.Time
	kms       *kmsService
	deployer  string        // of its contract; empty under the central KMS
	key       kms.PublicKey // of its environment
	cvms      []*cvm
	revisions []*revision // oldest first
}

// project returns the id of the app's row.
func (a *app) project() string { return fmt.Sprintf("prj_%06d", a.number) }

func (a *app) order() int { return a.number }

// contract returns the address of the app's contract, or "" under the central KMS.
func (a *app) contract() string {
	if !a.kms.onChain() {
		return ""
	}
	return a.id.Address().Hex()
}

func (s *Server) newApp(p *provision) *app {
	w := p.key.workspace
	s.appNumber++
	a := &app{id: p.key.app, number: s.appNumber, name: p.name, workspace: w, created: time.Now().UTC(), kms: p.kms, key: p.envKey}
	s.apps[a.id] = a
	w.apps = append(w.apps, a)
	return a
}

// findApp returns an app of the call's workspace by its id, with or without a prefix. Operations with an optional key also
// accept the apps of other workspaces whose evidence is public.
func (c *call) findApp(text string) *app {
	id, err := kms.ParseAppID(strings.ToLower(text))
	if err != nil {
		return nil
	}
	a := c.server.apps[id]
	if a == nil || c.workspace != a.workspace && !(c.route.optionalKey && a.publicEvidence()) {
		return nil
	}
	return a
}

func (a *app) describe(c *call) any {
	if !c.nested() {
		return a.describeBasic()
	}
	cvms := mapped(a.cvms, func(vm *cvm) openapi.CVM { return vm.describe(c) })
	return openapi.App{
		ID: openapi.ID(a.project()), Name: a.name, AppID: a.id.String(), CreatedAt: second(a.created), KMSType: a.kms.kind,
		CurrentCVM: &cvms[0], CVMs: cvms, CVMCount: ref(len(cvms)),
	}
}

// describeBasic returns an app as the API did before 2026-01-21.
func (a *app) describeBasic() object {
	cvms := mapped(a.cvms, (*cvm).describeBasic)
	return object{
		"id": a.project(), "name": a.name, "app_id": a.id.String(), "app_provision_type": nil, "app_icon_url": nil,
		"created_at": stamp(a.created), "kms_type": a.kms.kind, "profile": nil, "current_cvm": cvms[0], "cvms": cvms, "cvm_count": len(cvms),
		"team_slug": a.workspace.slug, "team_name": a.workspace.name,
	}
}

func (*Server) answerAppsGet(c *call) *response { return ok(c.app.describe(c)) }

func (*Server) answerAppsListCVMs(c *call) *response {
	return ok(mapped(c.app.cvms, func(vm *cvm) any { return vm.inList(c) }))
}

func (*Server) answerAppsList(c *call) *response {
	query := c.URL.Query()
	apps := c.workspace.apps
	if isFiltered(query) {
		matches := func(name, value string) bool { return !query.Has(name) || query.Get(name) == value }
		search := query.Get("search")
		apps = slices.DeleteFunc(slices.Clone(apps), func(a *app) bool {
			return !strings.Contains(a.name, search) && !strings.Contains(a.id.String(), search) ||
				!slices.ContainsFunc(a.cvms, func(vm *cvm) bool {
					return (len(query["status"]) == 0 || slices.Contains(query["status"], string(vm.status))) &&
						matches("listed", fmt.Sprint(vm.listed)) && matches("base_image", vm.image.name) &&
						matches("instance_type", vm.size.instanceType) && matches("node", vm.node.name) && matches("region", vm.node.region) &&
						matches("kms_slug", a.kms.slug) && matches("kms_type", a.kms.kind)
				})
		})
	}
	return page(c, inOrder(apps), pageStyle{"dstack_apps", "total_pages", 20}, func(a *app) any { return a.describe(c) })
}

// isFiltered reports whether a query has other parameters than those of the page.
func isFiltered(query url.Values) bool {
	for name := range query {
		if name != "page" && name != "page_size" {
			return true
		}
	}
	return false
}

// revision is the configuration of a CVM from one change to the next.
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

// addRevision records the present configuration of a CVM.
func (s *Server) addRevision(vm *cvm, kind string) {
	s.revision++
	vm.app.revisions = append(vm.app.revisions, &revision{
		id: fmt.Sprintf("rev_%06d", s.revision), vm: vm, doc: vm.doc, encryptedEnv: vm.encryptedEnv, userConfig: vm.userConfig,
		created: time.Now().UTC(), trace: vm.op.id, kind: kind,
	})
}

func (r *revision) describe() openapi.AppRevision {
	return openapi.AppRevision{
		RevisionID: r.id, AppID: r.vm.app.id.String(), VMUUID: dashed(r.vm.uuid), ComposeHash: r.doc.hash.String(), CreatedAt: second(r.created),
		TraceID: r.trace, OperationType: r.kind, TriggeredBy: ref(r.vm.app.workspace.userRef()),
		CVM:       &openapi.CVMRef{ObjectType: "cvm", VMUUID: dashed(r.vm.uuid), AppID: r.vm.app.id.String(), Name: r.vm.name},
		Workspace: ref(r.vm.app.workspace.ref()),
	}
}

func (*Server) answerAppsListRevisions(c *call) *response {
	return page(c, newestFirst(c.app.revisions), pageStyle{"revisions", "total_pages", 50}, func(r *revision) any { return r.describe() })
}

func (*Server) answerAppsGetRevision(c *call) *response {
	r := c.revision
	d, file := r.describe(), r.doc.text
	if c.URL.Query().Get("raw_compose_file") == "true" {
		var err error
		if file, err = json.Marshal(string(file)); err != nil {
			return internalError(err)
		}
	}
	return ok(openapi.AppRevisionDetail{
		RevisionID: d.RevisionID, AppID: d.AppID, VMUUID: d.VMUUID, ComposeHash: d.ComposeHash, CreatedAt: d.CreatedAt, TraceID: d.TraceID,
		OperationType: d.OperationType, TriggeredBy: d.TriggeredBy, CVM: d.CVM, Workspace: d.Workspace,
		ComposeFile: file, EncryptedEnv: openapi.Secret(r.encryptedEnv), UserConfig: r.userConfig,
	})
}

func (s *Server) answerCVMsRedeployRevision(c *call) *response { return s.redeploy(c, c.vm) }

func (s *Server) answerAppsRedeployRevision(c *call, r openapi.RedeployRevisionRequest) *response {
	chosen := c.app.cvms
	switch {
	case len(r.VMUUIDs) > 0:
		chosen = nil
		for _, id := range r.VMUUIDs {
			vm, bad := c.workspace.find(id)
			if bad != nil || vm.app != c.app {
				return cvmNotFound(id)
			}
			chosen = append(chosen, vm)
		}
	case len(chosen) > 1:
		return plainError(http.StatusBadRequest, "vm_uuids is required if an app has several CVMs")
	}
	return s.redeploy(c, chosen...)
}

// redeploy restores the call's revision on all given CVMs, or on none.
func (s *Server) redeploy(c *call, cvms ...*cvm) *response {
	r := c.revision
	if slices.ContainsFunc(cvms, func(vm *cvm) bool { return vm.op != nil }) {
		return conflict()
	}
	by := approval{transaction: c.URL.Query().Get("transaction_hash")}
	for _, vm := range cvms {
		if bad := s.checkAllowed(vm.app, r.doc.hash, vm.node, by, false); bad != nil {
			return bad
		}
	}
	ch := change{kind: "redeploy", doc: r.doc, userConfig: &r.userConfig}
	if r.encryptedEnv != "" {
		ch.env = ref(openapi.Secret(r.encryptedEnv))
	}
	var last *response
	for _, vm := range cvms {
		last = s.apply(vm, ch)
	}
	return last
}

// span is a time that a CVM ran.
type span struct{ from, to time.Time }

// spans returns the times that a CVM has run until now.
func (vm *cvm) spans() []span {
	if vm.running() {
		return append(slices.Clone(vm.runs), span{vm.started, time.Now().UTC()})
	}
	return vm.runs
}

// answerAppsGetUsage returns a record for each CVM and hour of the clock in which it ran, newest first.
func (*Server) answerAppsGetUsage(c *call) *response {
	query := c.URL.Query()
	start, _ := time.Parse(time.RFC3339, query.Get("start_date")) // the description has been checked
	if end, err := time.Parse(time.RFC3339, query.Get("end_date")); err == nil && end.Before(start) {
		return plainError(http.StatusBadRequest, "end_date is before start_date")
	}
	inTime := c.timeRange("start_date", "end_date")
	records, total := []openapi.UsageRecord{}, 0.0
	for _, vm := range c.app.cvms {
		rate, _ := strconv.ParseFloat(string(vm.rate()), 64) // of the catalogue
		for _, run := range vm.spans() {
			for at := run.from; at.Before(run.to); {
				end := at.Truncate(time.Hour).Add(time.Hour)
				if run.to.Before(end) {
					end = run.to
				}
				if inTime(at) {
					cost := end.Sub(at).Hours() * rate
					total += cost
					records = append(records, vm.usageRecord(at, end, cost))
				}
				at = end
			}
		}
	}
	slices.Reverse(records)
	from := min(c.number("offset", 0), len(records))
	to := min(from+c.number("limit", 500), len(records))
	return ok(openapi.AppUsage{Usage: records[from:to], Total: len(records), TotalCost: decimal(total)})
}

func (vm *cvm) usageRecord(from, to time.Time, cost float64) openapi.UsageRecord {
	hour := from.Truncate(time.Hour)
	return openapi.UsageRecord{
		InstanceID: dashed(vm.uuid), ProjectID: numbered(vm.app.number), TeamID: numbered(vm.app.workspace.number), Timestamp: second(to),
		EventType: "compute", Cost: decimal(cost), Details: vm.size.instanceType, UsageType: "compute", BillingStart: second(from), BillingEnd: second(to),
		DurationMinutes: to.Sub(from).Minutes(), BillingKey: dashed(vm.uuid) + ":" + stamp(hour), BillingHour: stamp(hour),
		BillingDay: from.Format(time.DateOnly),
	}
}

func decimal(amount float64) openapi.Decimal {
	return openapi.Decimal(strconv.FormatFloat(amount, 'f', -1, 64))
}
