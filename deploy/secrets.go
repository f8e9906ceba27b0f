package deploy

import (
	"slices"
	"strings"
	"sync"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
)

// checkSecrets compares secrets, the names that a document allows and the variables of its docker-compose file with
// each other, before anything is sent. What is wrong is a [*SecretsError]; what is only odd is a check.
func (c *config) checkSecrets(app *compose.App, env []compose.EnvVar) ([]Check, error) {
	if err := kms.CheckEnv(env); err != nil {
		return nil, &InputError{Field: "Env", Err: err}
	}
	for _, v := range env {
		if err := compose.CheckGuestValue(v); err != nil && !slices.Contains(c.mayAlter, v.Key) {
			return nil, &InputError{Field: "Env", Rule: "accept it with AcceptAlteredSecrets", Err: err}
		}
	}
	return c.checkUses(app, envNames(env))
}

// checkUses compares the names of secrets with the variables that the docker-compose file uses.
func (c *config) checkUses(app *compose.App, given []string) ([]Check, error) {
	if app.DockerComposeFile == nil {
		return nil, nil
	}
	uses, err := compose.EnvUses(*app.DockerComposeFile)
	if err != nil {
		return nil, &InputError{Field: "docker-compose file", Err: err}
	}
	script := ""
	if app.PreLaunchScript != nil {
		script = *app.PreLaunchScript
	}
	// Hashing a long script takes longer than all the rest, so it waits until somebody asks.
	platformScript := sync.OnceValue(func() bool {
		_, official := compose.LookupPreLaunch(script)
		return script == "" || official
	})
	var missing, builtIn, mentioned []string
	for _, use := range uses {
		mentioned = append(mentioned, use.Name)
		if slices.Contains(given, use.Name) || slices.Contains(c.mayMiss, use.Name) {
			continue
		}
		switch {
		case isBuiltIn(use.Name) && (platformScript() || strings.Contains(script, use.Name)):
		case isBuiltIn(use.Name):
			builtIn = append(builtIn, use.Name)
		case use.Required:
			missing = append(missing, use.Name)
		}
	}
	switch {
	case len(builtIn) > 0:
		return nil, &SecretsError{Names: builtIn, Problem: "the docker-compose file uses variables that the platform's pre-launch script sets, " +
			"and the app-compose has a script of its own instead; set them there, give them as secrets, use the platform's script, or name them in AllowMissing"}
	case len(missing) > 0:
		return nil, &SecretsError{Names: missing, Problem: "the docker-compose file requires variables that are not among the secrets; give them, or name them in AllowMissing"}
	}
	unused := slices.DeleteFunc(slices.Clone(given), func(name string) bool {
		return slices.Contains(mentioned, name) || strings.Contains(script, name) || readByPlatform(name) && platformScript()
	})
	if len(unused) == 0 {
		return nil, nil
	}
	return []Check{{
		Name: CheckSecrets, Outcome: Noticed, Local: strings.Join(unused, ", "),
		Reason: strings.Join(unused, ", ") + " is mentioned neither in the docker-compose file nor in a script of its own",
	}}, nil
}

// isBuiltIn reports whether the platform's pre-launch script sets a variable for the docker-compose file.
func isBuiltIn(name string) bool {
	switch name {
	case "DSTACK_APP_ID", "DSTACK_APP_DOMAIN", "DSTACK_GATEWAY_DOMAIN":
		return true
	}
	return strings.HasPrefix(name, "DSTACK_DOCKER_")
}

// readByPlatform reports whether the platform's pre-launch script reads a secret itself.
func readByPlatform(name string) bool {
	return strings.HasPrefix(name, "DSTACK_")
}

// checkRemoved refuses an update that would lose secrets: the cloud cannot merge ciphertext, so a new set replaces the
// old one.
func checkRemoved(before []string, env []compose.EnvVar, remove []string) error {
	given := envNames(env)
	var lost, unknown, kept []string
	for _, name := range before {
		if !slices.Contains(given, name) && !slices.Contains(remove, name) {
			lost = append(lost, name)
		}
	}
	for _, name := range remove {
		switch {
		case !slices.Contains(before, name):
			unknown = append(unknown, name)
		case slices.Contains(given, name):
			kept = append(kept, name)
		}
	}
	switch {
	case len(lost) > 0:
		return &SecretsError{Names: lost, Problem: "new secrets replace all old ones, and these are not among them; give their values, or name them in RemoveSecrets"}
	case len(unknown) > 0:
		return &SecretsError{Names: unknown, Problem: "RemoveSecrets names what the app does not have"}
	case len(kept) > 0:
		return &SecretsError{Names: kept, Problem: "RemoveSecrets names what Env sets"}
	}
	return nil
}
