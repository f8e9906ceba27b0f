package phalatest

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
