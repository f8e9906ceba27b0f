package phalatest

import (
	"net/http"

	"github.com/phala-go/phala/openapi"
)

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
