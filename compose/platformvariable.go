package compose

// PlatformVariable returns the effect of a variable in the platform's pre-launch script, and reports whether there is
// one. An app with a script of its own does not have these effects. Source: the published scripts up to 0.0.19.
func PlatformVariable(name string) (effect string, ok bool) {
	switch name {
	case "DSTACK_APP_ID":
		return "sets it to the app id", true
	case "DSTACK_GATEWAY_DOMAIN":
		return "sets it to the domain of the gateway, unless it is set", true
	case "DSTACK_APP_DOMAIN":
		return "sets it to the domain of the app behind the gateway", true
	case "DSTACK_DOCKER_USERNAME", "DSTACK_DOCKER_PASSWORD", "DSTACK_DOCKER_REGISTRY":
		return "logs in to a Docker registry with it before images are pulled", true
	case "DSTACK_AWS_ACCESS_KEY_ID", "DSTACK_AWS_SECRET_ACCESS_KEY", "DSTACK_AWS_SESSION_TOKEN", "DSTACK_AWS_REGION", "DSTACK_AWS_ECR_REGISTRY":
		return "logs in to a registry of AWS ECR with it before images are pulled", true
	case "DSTACK_ROOT_PASSWORD":
		return "sets the root password of the guest to it", true
	case "DSTACK_ROOT_PUBLIC_KEY", "DSTACK_AUTHORIZED_KEYS":
		return "lets this SSH key log in to the guest", true
	}
	return "", false
}
