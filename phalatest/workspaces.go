package phalatest

import (
	"net/http"
	"time"
)

func (t *Tenant) describe() object {
	return object{
		"id": t.id(), "name": t.name, "slug": t.slug, "tier": workspaceTier, "role": "owner", "is_default": true,
		"created_at": stamp(t.since), "confidential_models_enabled": false, "avatar_url": nil, "description": nil,
		"billing_status": "active", "suspended_at": nil,
	}
}

func listWorkspaces(_ *Server, c *call) answer {
	return ok(object{
		"data":       []object{c.tenant.describe()},
		"pagination": object{"has_more": false, "next_cursor": nil, "total": 1},
	})
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
	return page(c, all(s.nodes), pageNames{"items", "pages", 30}, s.nodeRef)
}

// quota is a bound and what is left of it; -1 is no bound.
func quota(limit, used int) object {
	if limit == 0 {
		return object{"limit": -1, "remaining": -1}
	}
	return object{"limit": limit, "remaining": max(limit-used, 0)}
}

func getQuotas(_ *Server, c *call) answer {
	t, used := c.tenant, c.tenant.used
	return ok(object{
		"team_slug": t.slug, "tier": workspaceTier,
		"quotas": object{
			"vm_slots": quota(t.quotas.CVMs, used.CVMs), "vcpu": quota(t.quotas.VCPUs, used.VCPUs),
			"memory_mb": quota(t.quotas.MemoryMB, used.MemoryMB), "disk_gb": quota(t.quotas.DiskGB, used.DiskGB),
		},
		"reserved_nodes": object{"limit": 0, "remaining": 0},
		"reserved_gpu":   object{"gpus": object{"limit": 0, "remaining": 0}, "in_use": 0, "misconfigured": 0},
		"as_of":          stamp(time.Now()),
	})
}
