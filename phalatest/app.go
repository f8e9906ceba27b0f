package phalatest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
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
