package phalatest

import "net/http"

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
	return ok(object{
		"user": object{
			"username": t.userName(), "email": t.userEmail(), "role": "user", "avatar": "", "email_verified": true, "totp_enabled": false,
			"has_backup_codes": false, "flag_has_password": true,
		},
		"workspace": object{
			"id": t.id(), "name": t.name, "slug": t.slug, "tier": workspaceTier, "role": "owner", "avatar": nil,
		},
		"credits": object{"balance": "100", "granted_balance": "0", "is_post_paid": false, "outstanding_amount": nil},
	})
}

// revokeToken ends the API key of the workspace for good.
func revokeToken(_ *Server, c *call) answer {
	c.tenant.revoked = true
	return answer{status: http.StatusNoContent}
}
