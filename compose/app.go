package compose

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/phala-go/phala/internal/jsontext"
)

// App is an app-compose document. A nil field is absent. Extra contains null members, unknown members, and known ones
// of an unexpected type, so that nothing of a document is lost.
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
	// PreLaunchScript runs in the guest before the app. If it is absent, the platform adds its own; see
	// [WithPreLaunchScript].
	PreLaunchScript *string
	// AllowedEnvs are the names that the guest accepts in the encrypted environment. Their order is part of
	// the hash. nil is absent, an empty list is not.
	AllowedEnvs []string
	// Features is a deprecated list; the platform writes "kms" and "tproxy-net".
	Features []string
	// KMSEnabled sets whether the app's keys come from a KMS.
	KMSEnabled *bool
	// GatewayEnabled sets whether the app is reachable through the gateway.
	GatewayEnabled *bool
	// TproxyEnabled is the older name of GatewayEnabled.
	TproxyEnabled *bool
	// LocalKeyProviderEnabled sets whether the keys come from a provider on the host.
	LocalKeyProviderEnabled *bool
	// KeyProvider is "none", "kms", "local" or "tpm".
	KeyProvider *string
	// KeyProviderID pins the key provider, in hex.
	KeyProviderID *string
	// NoInstanceID sets that the CVM has no instance id.
	NoInstanceID *bool
	// PublicLogs sets whether everybody can read the containers' logs.
	PublicLogs *bool
	// PublicSysInfo sets whether everybody can read the system information.
	PublicSysInfo *bool
	// PublicTCBInfo sets whether everybody can read the attestation.
	PublicTCBInfo *bool
	// SecureTime sets whether the guest waits for a trusted time.
	SecureTime *bool
	// StorageFS is the file system of the data disk, "zfs" or "ext4".
	StorageFS *string

	// Extra contains all other members, as JSON.
	Extra map[string]json.RawMessage
}

// field returns a function that reads a member's value into its field; nil if the member has no field.
func (a *App) field(name string) func(json.RawMessage) error {
	switch name {
	case "allowed_envs":
		return readList(&a.AllowedEnvs)
	case "bash_script":
		return readInto(&a.BashScript)
	case "docker_compose_file":
		return readInto(&a.DockerComposeFile)
	case "features":
		return readList(&a.Features)
	case "gateway_enabled":
		return readInto(&a.GatewayEnabled)
	case "key_provider":
		return readInto(&a.KeyProvider)
	case "key_provider_id":
		return readInto(&a.KeyProviderID)
	case "kms_enabled":
		return readInto(&a.KMSEnabled)
	case "local_key_provider_enabled":
		return readInto(&a.LocalKeyProviderEnabled)
	case "manifest_version":
		return readInto(&a.ManifestVersion)
	case "name":
		return readInto(&a.Name)
	case "no_instance_id":
		return readInto(&a.NoInstanceID)
	case "pre_launch_script":
		return readInto(&a.PreLaunchScript)
	case "public_logs":
		return readInto(&a.PublicLogs)
	case "public_sysinfo":
		return readInto(&a.PublicSysInfo)
	case "public_tcbinfo":
		return readInto(&a.PublicTCBInfo)
	case "runner":
		return readInto(&a.Runner)
	case "secure_time":
		return readInto(&a.SecureTime)
	case "storage_fs":
		return readInto(&a.StorageFS)
	case "tproxy_enabled":
		return readInto(&a.TproxyEnabled)
	}
	return nil
}

// errNotInField is returned if a value is null or of another type than its field. It belongs to Extra then.
var errNotInField = errors.New("no value of the field")

// readInto returns a reader into a field, which is nil if the value does not fit.
func readInto[T any](p **T) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		*p = nil
		v := new(T)
		if isNull(raw) || json.Unmarshal(raw, v) != nil {
			return errNotInField
		}
		*p = v
		return nil
	}
}

func readList(p *[]string) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		*p = nil
		var items []*string
		if isNull(raw) || json.Unmarshal(raw, &items) != nil || slices.Contains(items, nil) {
			return errNotInField
		}
		texts := make([]string, len(items))
		for i, item := range items {
			texts[i] = *item
		}
		*p = texts
		return nil
	}
}

// append writes the members in canonical order.
func (a *App) append(w *appWriter) {
	w.list("allowed_envs", a.AllowedEnvs)
	w.text("bash_script", a.BashScript)
	w.text("docker_compose_file", a.DockerComposeFile)
	w.list("features", a.Features)
	w.flag("gateway_enabled", a.GatewayEnabled)
	w.text("key_provider", a.KeyProvider)
	w.text("key_provider_id", a.KeyProviderID)
	w.flag("kms_enabled", a.KMSEnabled)
	w.flag("local_key_provider_enabled", a.LocalKeyProviderEnabled)
	w.number("manifest_version", a.ManifestVersion)
	w.text("name", a.Name)
	w.flag("no_instance_id", a.NoInstanceID)
	w.text("pre_launch_script", a.PreLaunchScript)
	w.flag("public_logs", a.PublicLogs)
	w.flag("public_sysinfo", a.PublicSysInfo)
	w.flag("public_tcbinfo", a.PublicTCBInfo)
	w.text("runner", a.Runner)
	w.flag("secure_time", a.SecureTime)
	w.text("storage_fs", a.StorageFS)
	w.flag("tproxy_enabled", a.TproxyEnabled)
}

// Parse parses a document. It returns an error if [Canonicalize] does. To verify a text that runs somewhere, use [Sum]
// on the text itself: a document that is parsed and written need not have the same bytes.
func Parse(doc []byte) (*App, error) {
	all, err := members(doc)
	if err != nil {
		return nil, err
	}
	a := &App{}
	for name, raw := range all {
		if read := a.field(name); read != nil && read(raw) == nil {
			delete(all, name)
		}
	}
	if len(all) > 0 {
		a.Extra = all
	}
	return a, nil
}

// Canonical returns the canonical bytes of the document; see [Canonicalize]. A field takes precedence over a member
// of Extra with its name.
func (a *App) Canonical() ([]byte, error) {
	size := 1024
	for _, text := range []*string{a.DockerComposeFile, a.BashScript, a.PreLaunchScript} {
		if text != nil {
			size += len(*text) + len(*text)/16
		}
	}
	w := appWriter{out: append(make([]byte, 0, size), '{'), extra: a.Extra}
	for name := range a.Extra {
		w.names = append(w.names, name)
	}
	slices.SortFunc(w.names, func(a, b string) int { return compareUTF16([]byte(a), []byte(b)) })
	a.append(&w)
	w.extras("")
	if w.err != nil {
		w.err.Path = "$" + w.err.Path
		return nil, w.err
	}
	return append(w.out, '}'), nil
}

// Hash returns the compose hash of the canonical bytes. It is a prediction of the platform's hash; [App.Predictable]
// reports whether it is reliable. Use [Sum] if the bytes of [App.Canonical] are available.
func (a *App) Hash() (Hash, error) {
	b, err := a.Canonical()
	if err != nil {
		return Hash{}, err
	}
	return Sum(b), nil
}

// Format writes "app-compose" and the hash, whatever the verb: a document may contain a password in docker_config.
func (a App) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(a.LogValue().String())) }

// LogValue returns "app-compose" and the hash.
func (a App) LogValue() slog.Value {
	hash, err := a.Hash()
	if err != nil {
		return slog.StringValue("app-compose without a canonical form")
	}
	return slog.StringValue("app-compose " + hash.String())
}

// MarshalJSON returns [App.Canonical]: the complete document.
func (a App) MarshalJSON() ([]byte, error) { return a.Canonical() }

// UnmarshalJSON parses the document as [Parse] does.
func (a *App) UnmarshalJSON(doc []byte) error {
	parsed, err := Parse(doc)
	if err != nil {
		return err
	}
	*a = *parsed
	return nil
}

// Predictable reports whether the platform is known to compute the hash of [App.Hash] for this document: all members
// are present that the platform would otherwise add, among them a pre-launch script (the platform adds its current
// one if there is none), and no member of which the platform's treatment is unknown. Members of the documented schema
// that the platform adds as null (bash_script, default_gateway_domain, init_script, salt) may be present as text.
func (a *App) Predictable() bool {
	main := a.DockerComposeFile
	if a.Runner != nil && *a.Runner == "bash" {
		main = a.BashScript
	}
	present := main != nil && a.ManifestVersion != nil && a.Name != nil && a.Runner != nil &&
		a.AllowedEnvs != nil && a.Features != nil && a.KMSEnabled != nil && a.GatewayEnabled != nil &&
		a.TproxyEnabled != nil && a.LocalKeyProviderEnabled != nil && a.NoInstanceID != nil &&
		a.PublicLogs != nil && a.PublicSysInfo != nil && a.PublicTCBInfo != nil && a.SecureTime != nil && a.StorageFS != nil
	if !present || a.PreLaunchScript == nil || *a.PreLaunchScript == "" || a.KeyProvider != nil || a.KeyProviderID != nil {
		return false
	}
	for name, raw := range a.Extra {
		if platformDefault(name) != "null" || raw[0] != '"' {
			return false
		}
	}
	return true
}

// maxText is the platform's limit of the compose file and the pre-launch script together, in bytes.
const maxText = 200 << 10

// Validate returns an error if the document breaks a rule of the platform: at most 200 KiB of compose file and
// pre-launch script together, and allowed_envs that are names of variables, each once. The text of the compose file
// is checked by [CheckDockerCompose].
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
			return fmt.Errorf("app-compose: allowed_envs: %s appears twice", name)
		}
		seen[name] = true
	}
	return nil
}

// appWriter writes the members of an App in canonical form. Its methods are called in the order of the names.
type appWriter struct {
	out   []byte
	extra map[string]json.RawMessage
	names []string // of extra that are still to be written, in canonical order
	err   *SyntaxError
}

// extras writes the members of extra that come before a name, or all if the name is "". It drops the one of that name.
func (w *appWriter) extras(before string) {
	for len(w.names) > 0 && w.err == nil {
		name := w.names[0]
		if before != "" {
			if order := compareUTF16([]byte(name), []byte(before)); order > 0 {
				return
			} else if order == 0 {
				w.names = w.names[1:]
				return
			}
		}
		w.names = w.names[1:]
		w.member(name, w.extra[name])
	}
}

// member writes a member of extra.
func (w *appWriter) member(name string, raw json.RawMessage) {
	reason := badName([]byte(name))
	if reason == "" && !utf8.ValidString(name) {
		reason = "a name that is not UTF-8"
	}
	if reason != "" {
		w.err = (&SyntaxError{Reason: reason}).within(name)
		return
	}
	w.begin(name)
	value := writer{in: raw, out: w.out}
	value.space()
	err := value.value(2)
	if err == nil {
		if value.space(); value.pos != len(raw) {
			err = value.fail(value.pos, "something follows the value")
		}
	}
	if err != nil {
		w.err = err.within(name)
		return
	}
	w.out = value.out
}

// begin writes the name of a member.
func (w *appWriter) begin(name string) {
	if len(w.out) > 1 {
		w.out = append(w.out, ',')
	}
	w.out = append(jsontext.AppendString(w.out, name), ':')
}

// field writes the members of extra before a field, and the name of the field if it is set. It reports whether the value
// follows.
func (w *appWriter) field(name string, set bool) bool {
	if !set || w.err != nil {
		return false
	}
	w.extras(name)
	if w.err != nil {
		return false
	}
	w.begin(name)
	return true
}

func (w *appWriter) text(name string, value *string) {
	if w.field(name, value != nil) {
		w.string(name, *value)
	}
}

func (w *appWriter) string(name, value string) {
	if !utf8.ValidString(value) {
		w.err = (&SyntaxError{Reason: "a string that is not UTF-8"}).within(name)
		return
	}
	w.out = jsontext.AppendString(w.out, value)
}

func (w *appWriter) list(name string, values []string) {
	if !w.field(name, values != nil) {
		return
	}
	w.out = append(w.out, '[')
	for i, value := range values {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.string(name, value)
	}
	w.out = append(w.out, ']')
}

func (w *appWriter) flag(name string, value *bool) {
	if w.field(name, value != nil) {
		w.out = strconv.AppendBool(w.out, *value)
	}
}

func (w *appWriter) number(name string, value *int) {
	if !w.field(name, value != nil) {
		return
	}
	begin := len(w.out)
	w.out = strconv.AppendInt(w.out, int64(*value), 10)
	// The rule of the canonical form for integers beyond 2^53.
	number := writer{in: bytes.Clone(w.out[begin:])}
	if err := number.number(); err != nil {
		w.err = err.within(name)
	}
}

// FromModel returns the document that another model of it writes as JSON, such as an openapi.AppCompose of a
// response. Members that are null or unknown stay.
func FromModel(model any) (*App, error) {
	raw, err := json.Marshal(model)
	if err != nil {
		return nil, fmt.Errorf("app-compose: %w", err)
	}
	return Parse(raw)
}

// ToModel decodes the document into another model of it, such as an *openapi.AppCompose of a request. It returns
// an error if the model loses a member: if what it writes has another canonical form, so that
// another document would be sent than the one that was hashed.
func (a *App) ToModel(model any) error {
	doc, err := a.Canonical()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, model); err != nil {
		return fmt.Errorf("app-compose: the model %T does not accept it: %w", model, err)
	}
	written, err := json.Marshal(model)
	if err != nil {
		return fmt.Errorf("app-compose: the model %T does not write it: %w", model, err)
	}
	again, err := Canonicalize(written)
	if err != nil {
		return fmt.Errorf("app-compose: what the model %T writes: %w", model, err)
	}
	if !bytes.Equal(doc, again) {
		return fmt.Errorf("app-compose: the model %T loses a member: %w", model, differs(doc, again))
	}
	return nil
}

// differs returns an error that names the first member that differs between two canonical documents.
func differs(a, b []byte) error {
	want, err := members(a)
	if err != nil {
		return err
	}
	got, err := members(b)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !bytes.Equal(want[name], got[name]) {
			return errors.New("the member " + name + " differs")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if want[name] == nil {
			return errors.New("the member " + name + " was added")
		}
	}
	return errors.New("the documents differ")
}
