package phalatest

import "net/http"

// The one user and the one workspace behind the API key.
const (
	userID, userName, userEmail = "usr_test1", "tester", "tester@phala.test"

	workspaceID, workspaceName, workspaceSlug, workspaceTier = "wks_test1", "Test", "test", "PRO"
)

func userRef() object {
	return object{"object_type": "user", "id": userID, "username": userName, "avatar_url": nil}
}

func workspaceRef() object {
	return object{"object_type": "workspace", "id": workspaceID, "name": workspaceName, "slug": workspaceSlug, "avatar_url": nil}
}

func getAccount(s *Server, c *call) answer {
	if !c.nested() {
		return ok(object{
			"username": userName, "email": userEmail, "credits": 100.0, "granted_credits": 0.0, "avatar": "", "team_name": workspaceName,
			"team_tier": workspaceTier,
		})
	}
	return ok(object{
		"user": object{
			"username": userName, "email": userEmail, "role": "user", "avatar": "", "email_verified": true, "totp_enabled": false,
			"has_backup_codes": false, "flag_has_password": true,
		},
		"workspace": object{
			"id": workspaceID, "name": workspaceName, "slug": workspaceSlug, "tier": workspaceTier, "role": "owner", "avatar": nil,
		},
		"credits": object{"balance": "100", "granted_balance": "0", "is_post_paid": false, "outstanding_amount": nil},
	})
}

// revokeToken ends the API key of the workspace for good.
func revokeToken(s *Server, _ *call) answer {
	s.revoked.Store(true)
	return answer{status: http.StatusNoContent}
}
