package phalatest

import (
	"net/http"
	"time"

	"github.com/phala-go/phala/openapi"
)

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
