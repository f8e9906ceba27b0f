package phalatest

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Tenant is a workspace of the cloud with an API key and a user of its own. Tenants share the nodes, the images and
// the KMS, but cannot access each other's resources: with the key of one, the apps and CVMs of another do not exist.
type Tenant struct {
	// APIKey is the key of the workspace.
	APIKey string `json:"-"`

	server     *Server
	number     int // 1 is the workspace of the server itself
	name, slug string
	wallet     common.Address // on the server; its nonces make the app ids
	since      time.Time
	quotas     Quotas

	// The lock of the server guards what follows.
	revoked bool
	nonce   uint64
	apps    []*app            // oldest first
	cvms    []*cvm            // oldest first
	byKind  map[string][]*cvm // by instance type, oldest first
	used    Quotas
	facets  facets
	sshKeys []*sshKey
}

// String returns the name of the workspace, without its key.
func (t Tenant) String() string { return "workspace " + t.slug }

// Format writes what String returns, whatever the verb.
func (t Tenant) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue returns the text of String, so that the key is never logged.
func (t Tenant) LogValue() slog.Value { return slog.StringValue(t.String()) }

// NewTenant adds a workspace to the cloud.
func (s *Server) NewTenant(name string) *Tenant {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addTenant(name, "")
}

// addTenant adds a workspace. An empty key is chosen here.
func (s *Server) addTenant(name, key string) *Tenant {
	t := &Tenant{
		server: s, number: len(s.tenants) + 1, name: name, slug: slugOf(name), since: time.Now().UTC(), facets: newFacets(), byKind: map[string][]*cvm{},
		wallet: s.keys.wallet(s.seed, len(s.tenants)+1),
	}
	taken := func(other *Tenant) bool { return other.slug == t.slug }
	if t.slug == "" || slices.ContainsFunc(s.tenants, taken) {
		t.slug += fmt.Sprint("tenant-", t.number)
	}
	if t.APIKey = key; key == "" {
		t.APIKey = "phak_" + hashHex([]byte(s.seed + " " + t.slug))[:32]
	}
	s.tenants = append(s.tenants, t)
	return t
}

// slugOf is a name in lower case, with hyphens in place of what a slug cannot hold.
func slugOf(name string) string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(fields, "-")
}

// Client returns a client of this cloud with the key of the workspace, through [Server.Transport]. The given options
// come last.
func (t *Tenant) Client(opts ...client.Option) (*client.Client, error) {
	own := []client.Option{
		client.WithAPIKey(t.APIKey),
		client.WithBaseURL("https://phala.test/api/v1"),
		client.WithHTTPClient(&http.Client{Transport: t.server.Transport()}),
	}
	return client.New(append(own, opts...)...)
}

// TeamWallet returns the address of the wallet on the server whose nonces determine the app ids of the workspace.
func (t *Tenant) TeamWallet() common.Address { return t.wallet }

// Env returns the environment of a CVM of the workspace, like [Server.Env].
func (t *Tenant) Env(cvmID string) ([]kms.EnvVar, error) {
	t.server.mu.Lock()
	defer t.server.mu.Unlock()
	return t.env(cvmID)
}

// tenant returns the workspace of an API key, or nil.
func (s *Server) tenant(key string) *Tenant {
	for _, t := range s.tenants {
		if sameKey(key, t.APIKey) && !t.revoked {
			return t
		}
	}
	return nil
}

// named are the CVMs of that name in the workspace: replicas share one.
func (t *Tenant) named(name string) []*cvm { return t.server.index[t.nameKey(name)] }

func (t *Tenant) nameKey(name string) string { return fmt.Sprint("name ", t.number, " ", name) }

// find returns the CVM of the workspace by an identifier in every form that the API accepts. A name and an app id may
// match several.
func (t *Tenant) find(id string) (*cvm, *answer) {
	found, code := t.named(id), "ERR-03-002"
	if len(found) == 0 {
		found, code = t.server.identified(id), "ERR-03-010"
	}
	if len(found) > 0 && found[0].app.tenant != t {
		found = nil
	}
	return oneOf(found, id, code)
}

// userID, userName and userEmail are of the one user of the workspace.
func (t *Tenant) userID() string { return fmt.Sprintf("usr_test%d", t.number) }

func (t *Tenant) userName() string {
	if t.number == 1 {
		return "tester"
	}
	return "tester-" + t.slug
}

func (t *Tenant) userEmail() string { return t.userName() + "@phala.test" }

// userRowID is the id of the user as the version of the call has it.
func (t *Tenant) userRowID(c *call) openapi.ID {
	if c.hashedIDs() {
		return openapi.ID(t.userID())
	}
	return numbered(t.number)
}

func (t *Tenant) id() string { return fmt.Sprintf("wks_test%d", t.number) }

func (t *Tenant) userRef() openapi.UserRef {
	return openapi.UserRef{ObjectType: "user", ID: openapi.ID(t.userID()), Username: t.userName()}
}

func (t *Tenant) workspaceRef() openapi.WorkspaceRef {
	return openapi.WorkspaceRef{ObjectType: "workspace", ID: openapi.ID(t.id()), Name: t.name, Slug: t.slug}
}

// workspaceTier is the tier of all workspaces.
const workspaceTier = "PRO"

func getAccount(_ *Server, c *call) answer {
	t := c.tenant
	if !c.nested() {
		return ok(object{
			"username": t.userName(), "email": t.userEmail(), "credits": 100.0, "granted_credits": 0.0, "avatar": "", "team_name": t.name,
			"team_tier": workspaceTier,
		})
	}
	return ok(openapi.Account{
		User: openapi.AccountUser{
			Username: t.userName(), Email: t.userEmail(), Role: "user", EmailVerified: ref(true), TOTPEnabled: ref(false),
			HasBackupCodes: ref(false), HasPassword: ref(true),
		},
		Workspace: openapi.AccountWorkspace{ID: openapi.ID(t.id()), Name: t.name, Slug: t.slug, Tier: workspaceTier, Role: "owner"},
		Credits:   openapi.AccountCredits{Balance: "100", GrantedBalance: "0", IsPostPaid: ref(false)},
	})
}

// revokeToken revokes the API key of the workspace.
func revokeToken(_ *Server, c *call) answer {
	c.tenant.revoked = true
	return answer{status: http.StatusNoContent}
}

func (t *Tenant) describe() openapi.Workspace {
	return openapi.Workspace{
		ID: openapi.ID(t.id()), Name: t.name, Slug: t.slug, Tier: workspaceTier, Role: "owner", IsDefault: true, CreatedAt: second(t.since),
		ConfidentialModelsEnabled: ref(false), BillingStatus: "active",
	}
}

func listWorkspaces(_ *Server, c *call) answer {
	return ok(openapi.WorkspacePage{Data: []openapi.Workspace{c.tenant.describe()}, Pagination: openapi.CursorPagination{Total: ref(1)}})
}

func onWorkspace(h func(*Server, *call) answer) handler {
	return func(s *Server, c *call) answer {
		if c.params["slug"] != c.tenant.slug {
			return plain(http.StatusNotFound, "Workspace not found")
		}
		return h(s, c)
	}
}

func getWorkspace(_ *Server, c *call) answer { return ok(c.tenant.describe()) }

func listWorkspaceNodes(s *Server, c *call) answer {
	return page(c, all(s.nodes), pageNames{"items", "pages", 30}, func(n *node) any { return s.nodeRef(n) })
}

// quota is a bound and what is left of it; -1 is no bound.
func quota(limit, used int) openapi.Quota {
	if limit == 0 {
		return openapi.Quota{Limit: -1, Remaining: -1}
	}
	return openapi.Quota{Limit: int64(limit), Remaining: int64(max(limit-used, 0))}
}

func getQuotas(_ *Server, c *call) answer {
	t, used := c.tenant, c.tenant.used
	return ok(openapi.WorkspaceQuotas{
		TeamSlug: t.slug, Tier: workspaceTier,
		Quotas: openapi.ResourceQuotas{
			VMSlots: quota(t.quotas.CVMs, used.CVMs), VCPU: quota(t.quotas.VCPUs, used.VCPUs), MemoryMB: quota(t.quotas.MemoryMB, used.MemoryMB),
			DiskGB: quota(t.quotas.DiskGB, used.DiskGB),
		},
		ReservedNodes: &openapi.Quota{}, ReservedGPU: &openapi.ReservedGPUQuota{InUse: ref(0), Misconfigured: ref(0)}, AsOf: second(time.Now()),
	})
}

// facets counts the CVMs of a workspace by the values that lists can be filtered by, so that asking which there are
// does not walk over all of them.
type facets struct {
	statuses, images, kinds, regions, nodes, slugs, kms counts
}

// counts is how many have a value.
type counts map[string]int

func newFacets() facets {
	return facets{counts{}, counts{}, counts{}, counts{}, counts{}, counts{}, counts{}}
}

func (c counts) add(value string, by int) {
	if c[value] += by; c[value] == 0 {
		delete(c, value)
	}
}

func (f facets) add(vm *cvm, by int) {
	f.statuses.add(string(vm.status), by)
	f.images.add(vm.image.name, by)
	f.kinds.add(vm.size.kind, by)
	f.regions.add(vm.node.region, by)
	f.nodes.add(vm.node.name, by)
	f.slugs.add(vm.app.kms.slug, by)
	f.kms.add(vm.app.kms.kind, by)
}

// turn counts a CVM that changes from one status to another.
func (f facets) turn(from, to openapi.CVMStatus) {
	f.statuses.add(string(from), -1)
	f.statuses.add(string(to), 1)
}

func filterOptions(_ *Server, c *call) answer {
	f := c.tenant.facets
	return ok(openapi.AppFilterOptions{
		Statuses: sortedKeys(f.statuses), ImageVersions: sortedKeys(f.images), InstanceTypes: sortedKeys(f.kinds),
		KMSSlugs: sortedKeys(f.slugs), KMSTypes: sortedKeys(f.kms), Regions: sortedKeys(f.regions), Nodes: sortedKeys(f.nodes),
	})
}
