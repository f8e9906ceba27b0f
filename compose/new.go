package compose

import "fmt"

// Option sets a member of a document made by [New].
type Option func(*App)

// WithName sets the name within the document. The platform's own is ""; the name of the CVM is not part of
// the document.
func WithName(name string) Option { return func(a *App) { a.Name = ptr(name) } }

// WithAllowedEnvs sets the names of the variables that the guest accepts, in this order.
func WithAllowedEnvs(names ...string) Option {
	return func(a *App) { a.AllowedEnvs = append([]string{}, names...) }
}

// WithPreLaunchScript sets the script that the guest runs before the app. With one the compose hash is
// predictable; without, the platform adds its current script, which sets up Docker's registry login and SSH
// among others.
func WithPreLaunchScript(script string) Option {
	return func(a *App) { a.PreLaunchScript = ptr(script) }
}

// WithPublicLogs says whether everybody can read the containers' logs; the platform's default is yes.
func WithPublicLogs(public bool) Option { return func(a *App) { a.PublicLogs = ptr(public) } }

// WithPublicSysInfo says whether everybody can read the system's figures; the platform's default is yes.
func WithPublicSysInfo(public bool) Option { return func(a *App) { a.PublicSysInfo = ptr(public) } }

// WithPublicTCBInfo says whether everybody can read the attestation; the platform's default is yes, and
// without it nobody outside can verify the app.
func WithPublicTCBInfo(public bool) Option { return func(a *App) { a.PublicTCBInfo = ptr(public) } }

// WithGateway says whether the app is reachable through the gateway; the platform's default is yes.
func WithGateway(enabled bool) Option {
	return func(a *App) { a.GatewayEnabled, a.TproxyEnabled = ptr(enabled), ptr(enabled) }
}

// WithSecureTime says whether the guest waits for a trusted time; the platform's default is no.
func WithSecureTime(secure bool) Option { return func(a *App) { a.SecureTime = ptr(secure) } }

// WithStorageFS sets the file system of the data disk: "zfs", the platform's default, or "ext4".
func WithStorageFS(fs string) Option { return func(a *App) { a.StorageFS = ptr(fs) } }

// New makes the document of a docker-compose file with the platform's defaults filled in, so that its hash
// can be compared with the platform's; see [App.Predictable]. It fails where the document breaks a rule of
// [App.Validate].
func New(dockerCompose string, opts ...Option) (*App, error) {
	a := platformDefaults()
	a.DockerComposeFile = ptr(dockerCompose)
	for _, o := range opts {
		o(a)
	}
	if *a.StorageFS != "zfs" && *a.StorageFS != "ext4" {
		return nil, fmt.Errorf("app-compose: storage_fs %q: want zfs or ext4", *a.StorageFS)
	}
	if err := a.Validate(); err != nil {
		return nil, err
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

// ptr gives each field a variable of its own, so that changing one changes no other.
func ptr[T any](v T) *T { return &v }
