package phalatest

import (
	"net/http"
	"time"
)

func (s *Server) describeWorkspace() object {
	return object{
		"id": workspaceID, "name": workspaceName, "slug": workspaceSlug, "tier": workspaceTier, "role": "owner", "is_default": true,
		"created_at": stamp(s.since), "confidential_models_enabled": false, "avatar_url": nil, "description": nil,
		"billing_status": "active", "suspended_at": nil,
	}
}

func listWorkspaces(s *Server, _ *call) answer {
	return ok(object{
		"data":       []object{s.describeWorkspace()},
		"pagination": object{"has_more": false, "next_cursor": nil, "total": 1},
	})
}

func onWorkspace(h func(*Server, *call) answer) handler {
	return func(s *Server, c *call) answer {
		if c.params["slug"] != workspaceSlug {
			return plain(http.StatusNotFound, "Workspace not found")
		}
		return h(s, c)
	}
}

func getWorkspace(s *Server, _ *call) answer { return ok(s.describeWorkspace()) }

func listWorkspaceNodes(s *Server, c *call) answer {
	return page(c, s.nodes, 30, "items", "pages", s.nodeRef)
}

// quota is a bound and what is left of it; -1 is no bound.
func quota(limit, used int) object {
	if limit == 0 {
		return object{"limit": -1, "remaining": -1}
	}
	return object{"limit": limit, "remaining": max(limit-used, 0)}
}

func getQuotas(s *Server, _ *call) answer {
	used := s.used()
	return ok(object{
		"team_slug": workspaceSlug, "tier": workspaceTier,
		"quotas": object{
			"vm_slots": quota(s.quotas.CVMs, used.CVMs), "vcpu": quota(s.quotas.VCPUs, used.VCPUs),
			"memory_mb": quota(s.quotas.MemoryMB, used.MemoryMB), "disk_gb": quota(s.quotas.DiskGB, used.DiskGB),
		},
		"reserved_nodes": object{"limit": 0, "remaining": 0},
		"reserved_gpu":   object{"gpus": object{"limit": 0, "remaining": 0}, "in_use": 0, "misconfigured": 0},
		"as_of":          stamp(time.Now()),
	})
}
