package phalatest

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Workspace is a workspace of the cloud with an API key and a user of its own. Workspaces share the nodes, the images
// and the KMS, but cannot access each other's resources: with the key of one, the apps and CVMs of another do not exist.
type Workspace struct {
	// APIKey is the key of the workspace.
	APIKey string `json:"-"`

	server     *Server
	number     int // 1 is the workspace of the server itself
	name, slug string
	wallet     common.Address // its nonces determine the app ids
	since      time.Time
	quotas     Quotas

	// The lock of the server guards what follows.
	revoked bool
	nonce   uint64
	apps    []*app            // oldest first
	cvms    []*cvm            // oldest first
	byType  map[string][]*cvm // by instance type, oldest first
	used    Quotas
	filters filterCounts
	sshKeys []*sshKey
}

// String returns the name of the workspace, without its key.
func (w Workspace) String() string { return "workspace " + w.slug }

// Format writes what String returns, whatever the verb.
func (w Workspace) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, w.String()) }

// LogValue returns the text of String, so that the key is never logged.
func (w Workspace) LogValue() slog.Value { return slog.StringValue(w.String()) }

// NewWorkspace adds a workspace to the cloud.
func (s *Server) NewWorkspace(name string) *Workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addWorkspace(name, "")
}

// addWorkspace adds a workspace. An empty key is replaced by one that follows from the seed.
func (s *Server) addWorkspace(name, key string) *Workspace {
	w := &Workspace{
		APIKey: key, server: s, number: len(s.workspaces) + 1, name: name, slug: slugOf(name), since: time.Now().UTC(),
		filters: newFilterCounts(), byType: map[string][]*cvm{},
	}
	taken := func(other *Workspace) bool { return other.slug == w.slug }
	if w.slug == "" || slices.ContainsFunc(s.workspaces, taken) {
		w.slug += fmt.Sprint("workspace-", w.number)
	}
	if key == "" {
		w.APIKey = "phak_" + hashHex([]byte(s.seed + " " + w.slug))[:32]
	}
	seed := s.seed
	if w.number > 1 {
		seed += fmt.Sprint(" workspace ", w.number)
	}
	// A random address: nothing is ever signed with the wallet.
	w.wallet = common.BytesToAddress(crypto.Keccak256([]byte("team wallet"), []byte(seed)))
	s.workspaces = append(s.workspaces, w)
	return w
}

// slugOf returns a name in lower case, with hyphens in place of what a slug cannot contain.
func slugOf(name string) string {
	fields := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(fields, "-")
}

// Client returns a client of this cloud with the key of the workspace, through [Server.Transport]. The given options
// come last.
func (w *Workspace) Client(opts ...client.Option) (*client.Client, error) {
	own := []client.Option{
		client.WithAPIKey(w.APIKey),
		client.WithBaseURL("https://phala.test/api/v1"),
		client.WithHTTPClient(&http.Client{Transport: w.server.Transport()}),
	}
	return client.New(append(own, opts...)...)
}

// TeamWallet returns the address of the wallet in the cloud whose nonces determine the app ids of the workspace.
func (w *Workspace) TeamWallet() common.Address { return w.wallet }

// Env returns the environment of a CVM of the workspace, like [Server.Env].
func (w *Workspace) Env(cvmID string) ([]kms.EnvVar, error) {
	w.server.mu.Lock()
	defer w.server.mu.Unlock()
	return w.env(cvmID)
}

// authenticate returns the workspace of an API key, or nil.
func (s *Server) authenticate(key string) *Workspace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return first(s.workspaces, func(w *Workspace) bool {
		return subtle.ConstantTimeCompare([]byte(key), []byte(w.APIKey)) == 1 && !w.revoked
	})
}

// withName returns the CVMs of a name in the workspace: replicas share one.
func (w *Workspace) withName(name string) []*cvm { return w.server.index[w.nameKey(name)] }

func (w *Workspace) nameKey(name string) string { return fmt.Sprint("name ", w.number, " ", name) }

// find returns the CVM of the workspace by an identifier in every form that the API accepts. A name and an app id may
// match several.
func (w *Workspace) find(id string) (*cvm, *response) {
	found, code := w.withName(id), "ERR-03-002"
	if len(found) == 0 {
		found, code = w.server.withIdentifier(id), "ERR-03-010"
	}
	if len(found) > 0 && found[0].app.workspace != w {
		found = nil
	}
	return single(found, id, code)
}

// workspaceTier is the tier of all workspaces.
const workspaceTier = "PRO"

func (w *Workspace) id() string { return fmt.Sprintf("wks_test%d", w.number) }

func (w *Workspace) ref() openapi.WorkspaceRef {
	return openapi.WorkspaceRef{ObjectType: "workspace", ID: openapi.ID(w.id()), Name: w.name, Slug: w.slug}
}

// userID, userName and userEmail are of the one user of the workspace.
func (w *Workspace) userID() string { return fmt.Sprintf("usr_test%d", w.number) }

func (w *Workspace) userName() string {
	if w.number == 1 {
		return "tester"
	}
	return "tester-" + w.slug
}

func (w *Workspace) userEmail() string { return w.userName() + "@phala.test" }

// userRowID returns the id of the user in the form of the call's version.
func (w *Workspace) userRowID(c *call) openapi.ID {
	if c.hashedIDs() {
		return openapi.ID(w.userID())
	}
	return numbered(w.number)
}

func (w *Workspace) userRef() openapi.UserRef {
	return openapi.UserRef{ObjectType: "user", ID: openapi.ID(w.userID()), Username: w.userName()}
}

func (*Server) answerAccountGet(c *call) *response {
	w := c.workspace
	if !c.nested() {
		return ok(object{
			"username": w.userName(), "email": w.userEmail(), "credits": 100.0, "granted_credits": 0.0, "avatar": "", "team_name": w.name,
			"team_tier": workspaceTier,
		})
	}
	return ok(openapi.Account{
		User: openapi.AccountUser{
			Username: w.userName(), Email: w.userEmail(), Role: "user", EmailVerified: ref(true), TOTPEnabled: ref(false),
			HasBackupCodes: ref(false), HasPassword: ref(true),
		},
		Workspace: openapi.AccountWorkspace{ID: openapi.ID(w.id()), Name: w.name, Slug: w.slug, Tier: workspaceTier, Role: "owner"},
		Credits:   openapi.AccountCredits{Balance: "100", GrantedBalance: "0", IsPostPaid: ref(false)},
	})
}

func (*Server) answerAccountRevokeToken(c *call) *response {
	c.workspace.revoked = true
	return noContent()
}

func (w *Workspace) describe() openapi.Workspace {
	return openapi.Workspace{
		ID: openapi.ID(w.id()), Name: w.name, Slug: w.slug, Tier: workspaceTier, Role: "owner", IsDefault: true, CreatedAt: second(w.since),
		ConfidentialModelsEnabled: ref(false), BillingStatus: "active",
	}
}

func (*Server) answerWorkspacesList(c *call) *response {
	return ok(openapi.WorkspacePage{Data: []openapi.Workspace{c.workspace.describe()}, Pagination: openapi.CursorPagination{Total: ref(1)}})
}

func (*Server) answerWorkspacesGet(c *call) *response { return ok(c.workspace.describe()) }

func (s *Server) answerWorkspacesListNodes(c *call) *response {
	return page(c, inOrder(s.nodes), pageStyle{"items", "pages", 30}, func(n *node) any { return n.ref() })
}

// Quotas limits the resources of all CVMs of the workspace together; 0 is no limit.
type Quotas struct {
	// CVMs is the number of CVMs.
	CVMs int
	// VCPUs is the number of virtual CPUs.
	VCPUs int
	// MemoryMB and DiskGB are megabytes and gigabytes.
	MemoryMB, DiskGB int
}

// add counts a CVM of a size; by is 1, or -1 for one that is removed.
func (q *Quotas) add(of size, by int) {
	q.CVMs, q.VCPUs, q.MemoryMB, q.DiskGB = q.CVMs+by, q.VCPUs+by*of.vcpu, q.MemoryMB+by*of.memory, q.DiskGB+by*of.disk
}

// checkQuota returns the error of one more CVM of a size, or nil.
func (w *Workspace) checkQuota(of size) *response {
	total := w.used
	total.add(of, 1)
	for _, r := range []struct {
		name         string
		limit, total int
	}{
		{"CVMs", w.quotas.CVMs, total.CVMs}, {"vCPUs", w.quotas.VCPUs, total.VCPUs},
		{"MB of memory", w.quotas.MemoryMB, total.MemoryMB}, {"GB of disk", w.quotas.DiskGB, total.DiskGB},
	} {
		if r.limit > 0 && r.total > r.limit {
			return codedError(http.StatusForbidden, "ERR-02-015", fmt.Sprintf("Quota exceeded: %d %s of %d", r.total, r.name, r.limit))
		}
	}
	return nil
}

// describeQuota returns a limit and what is left of it; -1 is no limit.
func describeQuota(limit, used int) openapi.Quota {
	if limit == 0 {
		return openapi.Quota{Limit: -1, Remaining: -1}
	}
	return openapi.Quota{Limit: int64(limit), Remaining: int64(max(limit-used, 0))}
}

func (*Server) answerWorkspacesGetQuotas(c *call) *response {
	w, limit, used := c.workspace, c.workspace.quotas, c.workspace.used
	return ok(openapi.WorkspaceQuotas{
		TeamSlug: w.slug, Tier: workspaceTier,
		Quotas: openapi.ResourceQuotas{
			VMSlots: describeQuota(limit.CVMs, used.CVMs), VCPU: describeQuota(limit.VCPUs, used.VCPUs),
			MemoryMB: describeQuota(limit.MemoryMB, used.MemoryMB), DiskGB: describeQuota(limit.DiskGB, used.DiskGB),
		},
		ReservedNodes: &openapi.Quota{}, ReservedGPU: &openapi.ReservedGPUQuota{InUse: ref(0), Misconfigured: ref(0)}, AsOf: second(time.Now()),
	})
}

// filterCounts counts the CVMs of a workspace by the values that lists can be filtered by, so that listing these values
// does not read every CVM.
type filterCounts struct {
	statuses, images, types, regions, nodes, kmsSlugs, kmsTypes valueCounts
}

// valueCounts is the number of CVMs of each value.
type valueCounts map[string]int

func newFilterCounts() filterCounts {
	return filterCounts{valueCounts{}, valueCounts{}, valueCounts{}, valueCounts{}, valueCounts{}, valueCounts{}, valueCounts{}}
}

func (c valueCounts) add(value string, by int) {
	if c[value] += by; c[value] == 0 {
		delete(c, value)
	}
}

func (f filterCounts) add(vm *cvm, by int) {
	f.statuses.add(string(vm.status), by)
	f.images.add(vm.image.name, by)
	f.types.add(vm.size.instanceType, by)
	f.regions.add(vm.node.region, by)
	f.nodes.add(vm.node.name, by)
	f.kmsSlugs.add(vm.app.kms.slug, by)
	f.kmsTypes.add(vm.app.kms.kind, by)
}

func (*Server) answerAppsGetFilterOptions(c *call) *response {
	f := c.workspace.filters
	return ok(openapi.AppFilterOptions{
		Statuses: sortedKeys(f.statuses), ImageVersions: sortedKeys(f.images), InstanceTypes: sortedKeys(f.types), KMSSlugs: sortedKeys(f.kmsSlugs),
		KMSTypes: sortedKeys(f.kmsTypes), Regions: sortedKeys(f.regions), Nodes: sortedKeys(f.nodes),
	})
}
