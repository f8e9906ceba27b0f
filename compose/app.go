package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// App is an app-compose document. A nil field is absent; null, unknown members, and known ones of an
// unexpected type are kept in Extra, so that nothing of a document is lost.
type App struct {
	// ManifestVersion is the version of the document's schema, 2 on the platform.
	ManifestVersion *int
	// Name of the app; "" on the platform, where the CVM has the name.
	Name *string
	// Runner is "docker-compose", "nerdctl-compose" or "bash".
	Runner *string
	// DockerComposeFile is the YAML text.
	DockerComposeFile *string
	// BashScript is the main script of the runner bash.
	BashScript *string
	// PreLaunchScript runs in the guest before the app. Where it is absent the platform adds its own.
	PreLaunchScript *string
	// AllowedEnvs are the names that the guest accepts in the encrypted environment. Their order is part of
	// the hash. nil is absent, an empty list is not.
	AllowedEnvs []string
	// Features is a deprecated list; the platform writes "kms" and "tproxy-net".
	Features []string
	// KMSEnabled lets the app get its keys from a KMS.
	KMSEnabled *bool
	// GatewayEnabled makes the app reachable through the gateway.
	GatewayEnabled *bool
	// TproxyEnabled is the older name of GatewayEnabled.
	TproxyEnabled *bool
	// LocalKeyProviderEnabled takes the keys from a provider on the host.
	LocalKeyProviderEnabled *bool
	// KeyProvider is "none", "kms", "local" or "tpm".
	KeyProvider *string
	// KeyProviderID pins the key provider, hexadecimal.
	KeyProviderID *string
	// NoInstanceID runs without an instance id.
	NoInstanceID *bool
	// PublicLogs shows the containers' logs to everybody.
	PublicLogs *bool
	// PublicSysInfo shows the system's figures to everybody.
	PublicSysInfo *bool
	// PublicTCBInfo shows the attestation to everybody.
	PublicTCBInfo *bool
	// SecureTime makes the guest wait for a trusted time.
	SecureTime *bool
	// StorageFS is the file system of the data disk, "zfs" or "ext4".
	StorageFS *string

	// Extra holds all other members, as JSON.
	Extra map[string]json.RawMessage
}

// appField ties the name of a member to the field that holds it.
type appField struct {
	name string
	read func(json.RawMessage) error
	// json gives the value, nil where it is absent.
	json func() ([]byte, error)
}

func pointerField[T any](name string, p **T) appField {
	return appField{
		name: name,
		read: func(raw json.RawMessage) error {
			v := new(T)
			if err := json.Unmarshal(raw, v); err != nil {
				return err
			}
			*p = v
			return nil
		},
		json: func() ([]byte, error) {
			if *p == nil {
				return nil, nil
			}
			return marshal(**p)
		},
	}
}

func listField(name string, p *[]string) appField {
	return appField{
		name: name,
		read: func(raw json.RawMessage) error {
			var items []*string
			if err := json.Unmarshal(raw, &items); err != nil {
				return err
			}
			texts := make([]string, len(items))
			for i, item := range items {
				if item == nil {
					return errors.New("null in a list of texts")
				}
				texts[i] = *item
			}
			*p = texts
			return nil
		},
		json: func() ([]byte, error) {
			if *p == nil {
				return nil, nil
			}
			return marshal(*p)
		},
	}
}

func (a *App) fields() []appField {
	return []appField{
		pointerField("manifest_version", &a.ManifestVersion),
		pointerField("name", &a.Name),
		pointerField("runner", &a.Runner),
		pointerField("docker_compose_file", &a.DockerComposeFile),
		pointerField("bash_script", &a.BashScript),
		pointerField("pre_launch_script", &a.PreLaunchScript),
		listField("allowed_envs", &a.AllowedEnvs),
		listField("features", &a.Features),
		pointerField("kms_enabled", &a.KMSEnabled),
		pointerField("gateway_enabled", &a.GatewayEnabled),
		pointerField("tproxy_enabled", &a.TproxyEnabled),
		pointerField("local_key_provider_enabled", &a.LocalKeyProviderEnabled),
		pointerField("key_provider", &a.KeyProvider),
		pointerField("key_provider_id", &a.KeyProviderID),
		pointerField("no_instance_id", &a.NoInstanceID),
		pointerField("public_logs", &a.PublicLogs),
		pointerField("public_sysinfo", &a.PublicSysInfo),
		pointerField("public_tcbinfo", &a.PublicTCBInfo),
		pointerField("secure_time", &a.SecureTime),
		pointerField("storage_fs", &a.StorageFS),
	}
}

// Parse reads a document. It refuses what [Canonicalize] refuses. To verify a text that runs somewhere use
// [Sum] on the text itself: a document written anew need not have the same bytes.
func Parse(doc []byte) (*App, error) {
	clean, err := Canonicalize(doc)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(clean, &members); err != nil {
		return nil, fmt.Errorf("app-compose: %w", err)
	}
	a := &App{}
	for _, f := range a.fields() {
		raw, ok := members[f.name]
		if ok && string(raw) != "null" && f.read(raw) == nil {
			delete(members, f.name)
		}
	}
	if len(members) > 0 {
		a.Extra = members
	}
	return a, nil
}

// Canonical gives the canonical bytes of the document; see [Canonicalize].
func (a *App) Canonical() ([]byte, error) {
	members := maps.Clone(a.Extra)
	if members == nil {
		members = map[string]json.RawMessage{}
	}
	for _, f := range a.fields() {
		raw, err := f.json()
		if err != nil {
			return nil, fmt.Errorf("app-compose: %s: %w", f.name, err)
		}
		if raw != nil {
			members[f.name] = raw
		}
	}
	doc := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(members)) {
		if i > 0 {
			doc = append(doc, ',')
		}
		doc = appendString(doc, name)
		doc = append(doc, ':')
		doc = append(doc, members[name]...)
	}
	return Canonicalize(append(doc, '}'))
}

// Hash is the compose hash of the canonical bytes. It is a prediction of what the platform will compute;
// [App.Predictable] says whether it can hold.
func (a *App) Hash() (Hash, error) {
	b, err := a.Canonical()
	if err != nil {
		return Hash{}, err
	}
	return Sum(b), nil
}

// MarshalJSON is Canonical.
func (a *App) MarshalJSON() ([]byte, error) { return a.Canonical() }

// UnmarshalJSON is [Parse].
func (a *App) UnmarshalJSON(doc []byte) error {
	parsed, err := Parse(doc)
	if err != nil {
		return err
	}
	*a = *parsed
	return nil
}

// Predictable tells whether the platform is known to hash this document to [App.Hash]. It is where all 17
// members are there that the platform would otherwise fill in, among them a pre-launch script (the platform
// adds its current one where there is none), and none whose treatment is not known.
func (a *App) Predictable() bool {
	present := a.ManifestVersion != nil && a.Name != nil && a.Runner != nil && a.DockerComposeFile != nil &&
		a.AllowedEnvs != nil && a.Features != nil && a.KMSEnabled != nil && a.GatewayEnabled != nil &&
		a.TproxyEnabled != nil && a.LocalKeyProviderEnabled != nil && a.NoInstanceID != nil &&
		a.PublicLogs != nil && a.PublicSysInfo != nil && a.PublicTCBInfo != nil && a.SecureTime != nil && a.StorageFS != nil
	return present && a.PreLaunchScript != nil && *a.PreLaunchScript != "" &&
		a.BashScript == nil && a.KeyProvider == nil && a.KeyProviderID == nil && len(a.Extra) == 0
}

// maxText is the platform's bound on the compose file and the pre-launch script together, in bytes.
const maxText = 200 << 10

// Validate holds the document against the platform's rules: at most 200 KiB of compose file and pre-launch
// script together, and allowed_envs that are names of variables, each once. The text of the compose file
// itself is not judged.
func (a *App) Validate() error {
	size := 0
	for _, text := range []*string{a.DockerComposeFile, a.PreLaunchScript} {
		if text != nil {
			size += len(*text)
		}
	}
	if size > maxText {
		return fmt.Errorf("app-compose: compose file and pre-launch script have %d bytes together, at most %d are allowed", size, maxText)
	}
	if a.Runner != nil && *a.Runner != "bash" && (a.DockerComposeFile == nil || *a.DockerComposeFile == "") {
		return errors.New("app-compose: the docker-compose file is empty")
	}
	seen := map[string]bool{}
	for _, name := range a.AllowedEnvs {
		if err := ValidateEnvName(name); err != nil {
			return fmt.Errorf("app-compose: allowed_envs: %w", err)
		}
		if seen[name] {
			return fmt.Errorf("app-compose: allowed_envs: %s is there twice", name)
		}
		seen[name] = true
	}
	return nil
}
