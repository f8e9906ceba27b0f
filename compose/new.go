package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// Not all documents have a canonical form, for example if a text is not UTF-8.
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

// Option sets a member of a document in [New].
type Option func(*App) error

// set returns an option for a change that cannot fail.
func set(change func(*App)) Option {
	return func(a *App) error {
		change(a)
		return nil
	}
}

// WithName sets the name within the document. The platform's own is ""; the name of the CVM is not part of
// the document.
func WithName(name string) Option { return set(func(a *App) { a.Name = ptr(name) }) }

// WithAllowedEnvs sets the names of the variables that the guest accepts, in this order, which is part of the hash.
func WithAllowedEnvs(names ...string) Option {
	return set(func(a *App) { a.AllowedEnvs = append([]string{}, names...) })
}

// WithEnv sets the names that the guest accepts to those of the variables, sorted, so that the order of the
// variables does not change the hash. The values are not part of the document.
func WithEnv(env []EnvVar) Option {
	return set(func(a *App) { a.AllowedEnvs = AllowedEnvs(env) })
}

// AllowedEnvs returns the names of variables, sorted, each once: the default allowed_envs of an app with these secrets.
func AllowedEnvs(env []EnvVar) []string {
	names := make([]string, 0, len(env))
	for _, v := range env {
		names = append(names, v.Key)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// WithPreLaunchScript sets the text of the script that the guest runs before the app. With one the compose hash is
// predictable. Without one the platform adds its current script; [LookupPreLaunch] identifies it.
//
// A script replaces the platform's. The app then has no login to registries with DSTACK_DOCKER_* or DSTACK_AWS_*, no
// variables DSTACK_APP_ID, DSTACK_APP_DOMAIN and DSTACK_GATEWAY_DOMAIN, no SSH keys and no root password of the guest, and
// no cleanup of old images; see [PlatformVariable]. The published text of the platform's script may be passed, too. After
// a reboot containers may start before the script; [WithInitScript] runs before the containers.
func WithPreLaunchScript(script string) Option {
	return func(a *App) error {
		a.PreLaunchScript = ptr(script)
		return checkScript("pre_launch_script", script)
	}
}

// WithInitScript sets the texts of the scripts that the guest runs before the Docker daemon, in order. One is written
// as a text, several as a list, which guests of dstack 0.6 take, up to 5.
func WithInitScript(scripts ...string) Option {
	return func(a *App) error {
		for _, script := range scripts {
			if err := checkScript("init_script", script); err != nil {
				return err
			}
		}
		switch {
		case len(scripts) == 0 || len(scripts) > maxInitScripts:
			return fmt.Errorf("app-compose: init_script: %d scripts, want 1 to %d", len(scripts), maxInitScripts)
		case len(scripts) == 1:
			return a.setMember("init_script", scripts[0])
		}
		return a.setMember("init_script", scripts)
	}
}

// maxInitScripts is the guest's limit.
const maxInitScripts = 5

// WithBashScript runs the text of a bash script instead of a docker-compose file: runner "bash". The docker-compose
// file of [New] must be "" then.
func WithBashScript(script string) Option {
	return func(a *App) error {
		a.Runner, a.BashScript = ptr("bash"), ptr(script)
		return checkScript("bash_script", script)
	}
}

// WithPublicLogs sets whether everybody can read the containers' logs; the platform's default is true.
func WithPublicLogs(public bool) Option { return set(func(a *App) { a.PublicLogs = ptr(public) }) }

// WithPublicSysInfo sets whether everybody can read the system's figures; the platform's default is true.
func WithPublicSysInfo(public bool) Option {
	return set(func(a *App) { a.PublicSysInfo = ptr(public) })
}

// WithPublicTCBInfo sets whether everybody can read the attestation; the platform's default is true, and
// without it nobody outside can verify the app.
func WithPublicTCBInfo(public bool) Option {
	return set(func(a *App) { a.PublicTCBInfo = ptr(public) })
}

// WithGateway sets whether the app is reachable through the gateway; the platform's default is true. Without it the
// feature "tproxy-net" is left out, too, which would switch the gateway on.
func WithGateway(enabled bool) Option {
	return set(func(a *App) {
		a.GatewayEnabled, a.TproxyEnabled = ptr(enabled), ptr(enabled)
		a.setFeature(gatewayFeature, enabled)
	})
}

// gatewayFeature is the feature by which a guest switches the gateway on, whatever gateway_enabled is
// (dstack-types, AppCompose::gateway_enabled).
const gatewayFeature = "tproxy-net"

// WithKMS sets whether the app gets its keys from a KMS; the platform's default is true. Without it there are no
// secrets.
func WithKMS(enabled bool) Option {
	return set(func(a *App) {
		a.KMSEnabled = ptr(enabled)
		a.setFeature("kms", enabled)
	})
}

func (a *App) setFeature(name string, on bool) {
	switch present := slices.Contains(a.Features, name); {
	case on && !present:
		a.Features = append(a.Features, name)
	case !on:
		a.Features = slices.DeleteFunc(a.Features, func(feature string) bool { return feature == name })
	}
}

// WithKeyProvider sets the source of the keys: "none", "kms", "local" or "tpm", and the id that pins the provider, in
// hex, "" for none. Only newer platforms support these members, so the hash is not predictable.
func WithKeyProvider(kind, id string) Option {
	return set(func(a *App) {
		a.KeyProvider = ptr(kind)
		if id != "" {
			a.KeyProviderID = ptr(id)
		}
	})
}

// WithLocalKeyProvider sets whether the keys come from a provider on the host; the platform's default is false.
func WithLocalKeyProvider(enabled bool) Option {
	return set(func(a *App) { a.LocalKeyProviderEnabled = ptr(enabled) })
}

// WithoutInstanceID sets that the CVM has no instance id.
func WithoutInstanceID() Option { return set(func(a *App) { a.NoInstanceID = ptr(true) }) }

// WithSecureTime sets whether the guest waits for a trusted time; the platform's default is false.
func WithSecureTime(secure bool) Option { return set(func(a *App) { a.SecureTime = ptr(secure) }) }

// WithStorageFS sets the file system of the data disk: "zfs", the platform's default, or "ext4".
func WithStorageFS(fs string) Option { return set(func(a *App) { a.StorageFS = ptr(fs) }) }

// WithSwapSize sets the size of the swap space in bytes. Only newer platforms support it, so the hash is not
// predictable.
func WithSwapSize(bytes uint64) Option {
	return func(a *App) error { return a.setMember("swap_size", bytes) }
}

// WithSalt sets a text that the guest ignores, and that changes the hash.
func WithSalt(salt string) Option {
	return func(a *App) error { return a.setMember("salt", salt) }
}

// WithGatewayDomain sets the domain of the gateway, from which the platform's pre-launch script derives
// DSTACK_GATEWAY_DOMAIN and DSTACK_APP_DOMAIN.
func WithGatewayDomain(domain string) Option {
	return func(a *App) error { return a.setMember("default_gateway_domain", domain) }
}

// PortRule allows traffic to one port of the app.
type PortRule struct {
	Port uint16 `json:"port"`
	// ProxyProtocol makes the gateway begin each connection with a header of the PROXY protocol.
	ProxyProtocol bool `json:"pp"`
}

// WithPortPolicy sets rules for the ports of the app; restrict closes all others. Only newer platforms support it, so
// the hash is not predictable.
func WithPortPolicy(restrict bool, rules ...PortRule) Option {
	return func(a *App) error {
		return a.setMember("port_policy", map[string]any{"ports": append([]PortRule{}, rules...), "restrict_mode": restrict})
	}
}

// WithMember sets a member that has no option of its own, such as docker_config or requirements, to a value for
// encoding/json. The document is public: it must not contain a password. The hash is not predictable unless
// [App.Predictable] supports the member.
func WithMember(name string, value any) Option {
	return func(a *App) error { return a.setMember(name, value) }
}
