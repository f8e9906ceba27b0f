package compose

import (
	"encoding/json"
	"errors"
	"fmt"
)

// setMember sets a member of the document, in its field if it has one that takes the value.
func (a *App) setMember(name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("app-compose: %s: %w", name, err)
	}
	if read := a.field(name); read != nil && read(raw) == nil {
		delete(a.Extra, name)
		return nil
	}
	if a.Extra == nil {
		a.Extra = map[string]json.RawMessage{}
	}
	a.Extra[name] = raw
	return nil
}

// New returns the document for the text of a docker-compose file, with the platform's defaults filled in, so that its
// hash can be compared with the platform's; see [App.Predictable]. It returns an error if the document breaks a rule
// of [App.Validate] or the text one of [CheckDockerCompose].
func New(dockerCompose string, opts ...Option) (*App, error) {
	a := platformDefaults()
	a.DockerComposeFile = ptr(dockerCompose)
	for _, o := range opts {
		if err := o(a); err != nil {
			return nil, err
		}
	}
	if fs := a.StorageFS; fs != nil && *fs != "zfs" && *fs != "ext4" {
		return nil, fmt.Errorf("app-compose: storage_fs %.80q: want zfs or ext4", *fs)
	}
	if a.Runner != nil && *a.Runner == "bash" {
		if dockerCompose != "" {
			return nil, errors.New("app-compose: a docker-compose file, and a bash script to run instead of it")
		}
		a.DockerComposeFile = nil
	}
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if a.DockerComposeFile != nil {
		if err := CheckDockerCompose(dockerCompose); err != nil {
			return nil, err
		}
	}
	// A text without a canonical form, such as one that is not UTF-8, is found here and not on the way.
	if _, err := a.Canonical(); err != nil {
		return nil, err
	}
	return a, nil
}

// platformDefaults returns what the platform fills in, without the texts. Source: AppComposeV2 of its API, and
// the documents of real apps.
func platformDefaults() *App {
	return &App{
		ManifestVersion:         ptr(2),
		Name:                    ptr(""),
		Runner:                  ptr("docker-compose"),
		AllowedEnvs:             []string{},
		Features:                []string{"kms", "tproxy-net"},
		KMSEnabled:              ptr(true),
		GatewayEnabled:          ptr(true),
		TproxyEnabled:           ptr(true),
		LocalKeyProviderEnabled: ptr(false),
		NoInstanceID:            ptr(false),
		PublicLogs:              ptr(true),
		PublicSysInfo:           ptr(true),
		PublicTCBInfo:           ptr(true),
		SecureTime:              ptr(false),
		StorageFS:               ptr("zfs"),
	}
}

// ptr returns a variable of its own for each field, so that changing one changes no other.
func ptr[T any](v T) *T { return &v }
