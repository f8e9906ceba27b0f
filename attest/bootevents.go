package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
)

// systemReady is the last event of dstack's own: afterwards the app may extend events of any name.
const systemReady = "system-ready"

// BootEvents are the values that dstack measures before the app starts. They are meaningful only after the log was
// replayed against a verified quote.
type BootEvents struct {
	AppID       kms.AppID    `json:"app_id"`
	ComposeHash compose.Hash `json:"compose_hash"`
	// InstanceID has 40 hex digits, or is empty for an app without instance ids.
	InstanceID string `json:"instance_id,omitempty"`
	// KeyProvider is the source of the app's keys; nil if the log has none.
	KeyProvider *KeyProvider `json:"key_provider,omitempty"`
	// OSImageHash has 64 hex digits, or is empty if the image was not measured.
	OSImageHash string `json:"os_image_hash,omitempty"`
	// StorageFS is the file system of the disk, "zfs" or "ext4"; empty in older logs.
	StorageFS string `json:"storage_fs,omitempty"`

	gpuPolicyHash      string
	initScriptHashes   []string
	keyProviderPayload []byte
}

// KeyProvider is the source of an app's keys.
type KeyProvider struct {
	// Name is "kms", "local-sgx", "tpm" or "none".
	Name string `json:"name"`
	// ID is, for a KMS, the public key of its root CA (DER SubjectPublicKeyInfo, lower-case hex); for local-sgx the
	// MRENCLAVE of the provider's enclave (64 hex digits); for a TPM it is empty.
	ID string `json:"id"`
}

// String returns the name, and the id if there is one.
func (p KeyProvider) String() string { return strings.TrimSpace(p.Name + " " + p.ID) }

// ReadBootEvents returns the values of the runtime events of RTMR3 before system-ready. It returns an error for a log
// in which an event appears twice, except os-image-hash with the same value, and for a log without system-ready,
// which dstack writes since 0.4: without it dstack's events cannot be separated from the app's.
func ReadBootEvents(log []Event) (*BootEvents, error) {
	found := map[string][]byte{}
	var scripts []string
	ready := false
	for i := range log {
		e := &log[i]
		if e.IMR != 3 || e.Type != RuntimeEvent {
			continue
		}
		if e.Name == systemReady {
			ready = true
			break
		}
		// With the first format of the digest, "a:b" with payload "c" hashes as "a" with payload "b:c" does, so that
		// an event could be hidden under another name.
		if strings.Contains(e.Name, ":") {
			return nil, fmt.Errorf("%w: entry %d: name %.80q has a colon", ErrEventLog, i, e.Name)
		}
		if e.Name == "init-script-hash" { // one for each script
			scripts = append(scripts, hex.EncodeToString(e.Payload))
			continue
		}
		if before, twice := found[e.Name]; twice && isBootEvent(e.Name) {
			// Some genuine guests measure the hash of their image twice.
			if e.Name == "os-image-hash" && bytes.Equal(before, e.Payload) {
				continue
			}
			return nil, fmt.Errorf("%w: %s, entry %d: %.32x, before it %.32x", ErrDuplicateEvent, e.Name, i, e.Payload, before)
		}
		found[e.Name] = e.Payload
	}
	if !ready {
		return nil, fmt.Errorf("%w: %s, which dstack measures since version 0.4 before the app starts; without it the app could have extended these events", ErrMissingEvent, systemReady)
	}
	events, err := bootEventsOf(found)
	if err != nil {
		return nil, err
	}
	events.initScriptHashes = scripts
	return events, nil
}

func isBootEvent(name string) bool {
	switch name {
	case "app-id", "compose-hash", "instance-id", "key-provider", "os-image-hash", "storage-fs", "gpu-policy-hash":
		return true
	}
	return false
}

func bootEventsOf(found map[string][]byte) (*BootEvents, error) {
	b := &BootEvents{
		InstanceID: hex.EncodeToString(found["instance-id"]), OSImageHash: hex.EncodeToString(found["os-image-hash"]),
		StorageFS: cloudtext.Clean(string(found["storage-fs"])), gpuPolicyHash: hex.EncodeToString(found["gpu-policy-hash"]),
		keyProviderPayload: found["key-provider"],
	}
	for name, into := range map[string][]byte{"app-id": b.AppID[:], "compose-hash": b.ComposeHash[:]} {
		payload, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("%w: %s", ErrMissingEvent, name)
		}
		if len(payload) != len(into) {
			return nil, fmt.Errorf("%w: %s of %d bytes, want %d", ErrEventLog, name, len(payload), len(into))
		}
		copy(into, payload)
	}
	for name, size := range map[string]int{"instance-id": 20, "os-image-hash": 32} {
		if n := len(found[name]); n != 0 && n != size {
			return nil, fmt.Errorf("%w: %s of %d bytes, want %d", ErrEventLog, name, n, size)
		}
	}
	if payload, ok := found["key-provider"]; ok {
		p := &KeyProvider{}
		if err := strictjson.Unmarshal(payload, p); err != nil {
			return nil, fmt.Errorf("%w: key-provider: %w", ErrEventLog, err)
		}
		// Policies are compared with [KeyProvider.String], in which a blank separates name and id.
		if p.ID = strings.ToLower(p.ID); !isWord(p.Name) || !isWord(p.ID) {
			return nil, fmt.Errorf("%w: key-provider %.80q with id %.80q: want words of at most %d bytes", ErrEventLog, p.Name, p.ID, cloudtext.Limit)
		}
		b.KeyProvider = p
	}
	return b, nil
}

// isWord reports whether a text is printable, without blanks and not long.
func isWord(text string) bool { return !strings.Contains(text, " ") && cloudtext.Clean(text) == text }

// checkEventLog replays the event log. RTMR3 must replay. A register without events in the log, or RTMR0 with the three
// ACPI digests alone, is not compared: [CheckMeasurements] covers RTMR0 to RTMR2, and no value is read from their
// events.
func (v *verifier) checkEventLog() Check {
	if len(v.e.EventLog) == 0 {
		return notPossible(ErrEventLog, "", "the evidence has no event log")
	}
	if err := checkSize(v.e.EventLog); err != nil {
		return failed(err, "", "")
	}
	registers, err := Replay(v.e.EventLog)
	if err != nil {
		return failed(err, "", "")
	}
	var replayed, left []string
	for i, register := range registers {
		name := fmt.Sprintf("RTMR%d", i)
		if i < 3 && (register.IsZero() || i == 0 && onlyACPI(v.e.EventLog)) {
			left = append(left, name)
			continue
		}
		if !equal(register[:], v.q.RTMR[i][:]) {
			return failed(fmt.Errorf("%w: %s", ErrReplay, name), v.q.RTMR[i].String(), register.String())
		}
		replayed = append(replayed, name)
	}
	v.replayed = true
	detail := fmt.Sprintf("%d events, %s", len(v.e.EventLog), strings.Join(replayed, ", "))
	if len(left) > 0 {
		detail += fmt.Sprintf("; the log is stripped of %s, which only known measurements or a known image can prove", strings.Join(left, ", "))
	}
	return passed("", detail)
}

// checkBootEvents reads the values that dstack measured.
func (v *verifier) checkBootEvents() Check {
	events, err := ReadBootEvents(v.e.EventLog)
	if err != nil {
		return failed(err, "", "")
	}
	v.events, v.r.Attested.BootEvents = events, events
	sum := v.q.MRSystem(events.keyProviderPayload)
	v.r.Attested.MRSystem = hex.EncodeToString(sum[:])
	return passed("", "")
}

// checkAppID compares the measured id with that of the policy, and with the one that the evidence states.
func (v *verifier) checkAppID() Check {
	actual := v.events.AppID
	switch {
	case !v.p.AppID.IsZero() && !equal(actual[:], v.p.AppID[:]):
		return failed(ErrAppID, v.p.AppID.String(), actual.String())
	case !v.e.AppID.IsZero() && !equal(actual[:], v.e.AppID[:]):
		return failed(fmt.Errorf("%w than the evidence states", ErrAppID), v.e.AppID.String(), actual.String())
	case v.p.AppID.IsZero():
		return Check{Outcome: NotAsked, Detail: "it is " + actual.String()}
	}
	return passed(actual.String(), "")
}

func (v *verifier) checkComposeHash() Check {
	return compare(ErrComposeHash, texts(v.p.ComposeHashes), v.events.ComposeHash.String())
}

// checkComposeText hashes the unchanged text.
func (v *verifier) checkComposeText() Check {
	expected := v.events.ComposeHash
	if v.e.AppCompose == "" {
		if len(v.p.ComposeHashes) > 0 {
			return Check{Outcome: NotAsked, Detail: "the evidence has no app-compose text, and the policy expects its hash"}
		}
		return notPossible(ErrComposeText, "", fmt.Sprintf(
			"the evidence has no app-compose text to compare with the measured hash %s, and Policy.ComposeHashes is empty", expected))
	}
	actual := compose.Sum([]byte(v.e.AppCompose))
	if actual.Equal(expected) {
		return passed(expected.String(), "")
	}
	c := failed(ErrComposeText, expected.String(), actual.String())
	for difference, text := range map[string]string{
		"an additional newline at its end": strings.TrimRight(v.e.AppCompose, "\r\n"), "no newline at its end": v.e.AppCompose + "\n",
	} {
		if sum := compose.Sum([]byte(text)); sum.Equal(expected) {
			c.err = fmt.Errorf("%w: it has %s, and no other difference; the hash is that of the exact bytes", ErrComposeText, difference)
			c.Detail = c.err.Error()
		}
	}
	return c
}

func (v *verifier) checkInstanceID() Check {
	actual := v.events.InstanceID
	expected, sentinel := v.p.InstanceID, ErrInstanceID
	if expected == "" && v.e.InstanceID != "" {
		expected, sentinel = v.e.InstanceID, fmt.Errorf("%w than the evidence states", ErrInstanceID)
	}
	if expected == "" {
		return passed(actual, "")
	}
	bare, err := parseInstanceID(expected)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", sentinel, err), "", actual)
	}
	return compare(sentinel, []string{bare}, actual)
}

func (v *verifier) checkKeyProvider() Check {
	var actual string
	if p := v.events.KeyProvider; p != nil {
		actual = p.String()
	}
	var accepted []string
	for _, spki := range v.p.KMSRootCAs {
		accepted = append(accepted, KeyProvider{"kms", hex.EncodeToString(spki)}.String())
	}
	for _, p := range v.p.KeyProviders {
		accepted = append(accepted, KeyProvider{p.Name, strings.ToLower(p.ID)}.String())
	}
	return compare(ErrKeyProvider, accepted, actual)
}

// checkOSImage compares the hash of the image in the event log. The guest received it from the KMS; it does not follow
// from the registers.
func (v *verifier) checkOSImage() Check {
	c := compare(ErrOSImage, texts(v.p.OSImageHashes), v.events.OSImageHash)
	if v.events.OSImageHash != "" {
		c.Detail = strings.TrimPrefix(c.Detail+"; reported by the KMS through an event of RTMR3, not computed from MRTD and RTMR0 to RTMR2", "; ")
		c.Pin = fmt.Sprintf("policy.OSImageHashes, err = attest.ParseOSImageHashes(%q)", v.events.OSImageHash)
	}
	return c
}

// checkMRConfigID compares the host's configuration at start with the measured values.
func (v *verifier) checkMRConfigID() Check {
	actual := v.q.MRConfigID
	switch {
	case actual.IsZero() && len(v.p.ComposeHashes) > 0:
		return Check{Outcome: NotAsked, Detail: "the host set none; RTMR3 and the expected compose hash bind the app"}
	case actual.IsZero():
		return notPossible(ErrMRConfigID, "", "the host set none; RTMR3 and a compose hash in Policy.ComposeHashes would bind the app without it")
	case len(v.e.ConfigDocument) > MaxConfigDocument:
		return failed(fmt.Errorf("%w: document of %d bytes, want at most %d", ErrMRConfigID, len(v.e.ConfigDocument), MaxConfigDocument), "", "")
	}
	expected, err := configOf(actual, v.events, []byte(v.e.ConfigDocument))
	if err != nil {
		return failed(fmt.Errorf("%w: %w", ErrMRConfigID, err), "", actual.String())
	}
	return compare(ErrMRConfigID, []string{expected.String()}, actual.String())
}

// The host sets mr_config_id before the guest starts, and the guest boots only the app that it binds. The first byte
// selects one of three formats (dstack, dstack-types/src/mr_config.rs).

// MRConfigIDV1 returns the mr_config_id that binds the compose hash.
func MRConfigIDV1(hash compose.Hash) Measurement { return configID(1, hash) }

// MRConfigIDV2 returns the mr_config_id that binds compose hash, app id and key provider, whose name is "none",
// "local", "local-sgx", "kms" or "tpm" and whose id is in hex.
func MRConfigIDV2(hash compose.Hash, app kms.AppID, provider KeyProvider) (Measurement, error) {
	kind := slices.Index([]string{"none", "local", "kms", "tpm"}, configProvider(provider.Name))
	if kind < 0 {
		return Measurement{}, fmt.Errorf("key provider %.80q, want none, local, kms or tpm", provider.Name)
	}
	id, err := hex.DecodeString(provider.ID)
	if err != nil {
		return Measurement{}, fmt.Errorf("key provider id %.80q: want hexadecimal digits", provider.ID)
	}
	return configID(2, [32]byte(crypto.Keccak256(hash[:], app[:], []byte{byte(kind)}, id))), nil
}

// MRConfigIDV3 returns the mr_config_id that binds the exact text of a document; see [ParseConfigDocument].
func MRConfigIDV3(document []byte) Measurement {
	h := sha256.New()
	h.Write([]byte("dstack-mr-config-v3:\x00"))
	h.Write(document)
	return configID(3, [32]byte(h.Sum(nil)))
}

func configID(version byte, hash [32]byte) Measurement {
	m := Measurement{version}
	copy(m[1:], hash[:])
	return m
}

// configProvider is the name of a key provider in mr_config_id; the event log has "local-sgx".
func configProvider(name string) string {
	if name == "local-sgx" {
		return "local"
	}
	return name
}

// MaxConfigDocument is the maximum size of a document of mr_config_id, in bytes.
const MaxConfigDocument = 16 << 10

// ConfigDocument is the document that the third format of mr_config_id binds. Empty members are left out of the text,
// except that an empty list of init scripts means that none may run. The order of the fields is that of the text.
type ConfigDocument struct {
	AppID            string    `json:"app_id,omitempty"`
	ComposeHash      string    `json:"compose_hash"`
	GPUPolicyHash    string    `json:"gpu_policy_hash,omitempty"`
	InitScriptHashes *[]string `json:"init_script_hashes,omitempty"`
	InstanceID       string    `json:"instance_id,omitempty"`
	KeyProvider      string    `json:"key_provider"`
	KeyProviderID    string    `json:"key_provider_id,omitempty"`
	Version          int       `json:"version"`
}

// ParseConfigDocument parses a document of mr_config_id. It must be canonical: members sorted, no white space, no
// unknown or repeated member.
func ParseConfigDocument(text []byte) (*ConfigDocument, error) {
	if len(text) > MaxConfigDocument {
		return nil, fmt.Errorf("mr_config_id document of %d bytes, want at most %d", len(text), MaxConfigDocument)
	}
	var d ConfigDocument
	if err := strictjson.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("mr_config_id document: %w", err)
	}
	if d.Version != 3 {
		return nil, fmt.Errorf("mr_config_id document of version %d, want 3", d.Version)
	}
	if canonical := d.Canonical(); !bytes.Equal(canonical, text) {
		return nil, fmt.Errorf("mr_config_id document %.400q, want the canonical %.400q", text, canonical)
	}
	return &d, nil
}

// Canonical returns the text that is hashed.
func (d *ConfigDocument) Canonical() []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(d); err != nil {
		return nil // a struct of strings always encodes
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// configOf returns the expected mr_config_id of a quote, in the format of its actual one: from the boot events, and
// for the third format from the document, or without one from the documents that the events allow.
func configOf(got Measurement, events *BootEvents, document []byte) (Measurement, error) {
	var provider KeyProvider
	if events.KeyProvider != nil {
		provider = *events.KeyProvider
	}
	switch got[0] {
	case 1:
		return MRConfigIDV1(events.ComposeHash), nil
	case 2:
		return MRConfigIDV2(events.ComposeHash, events.AppID, provider)
	case 3:
		if len(document) == 0 {
			return guessDocument(got, events, provider), nil
		}
		d, err := ParseConfigDocument(document)
		if err != nil {
			return Measurement{}, err
		}
		return MRConfigIDV3(document), d.agrees(events, provider)
	}
	return Measurement{}, fmt.Errorf("mr_config_id of format %d, want 1, 2 or 3", got[0])
}

// agrees compares the document with the events. It binds only the members that it has.
func (d *ConfigDocument) agrees(events *BootEvents, provider KeyProvider) error {
	for _, member := range []struct{ name, document, event string }{
		{"app_id", d.AppID, events.AppID.String()},
		{"compose_hash", d.ComposeHash, events.ComposeHash.String()},
		{"gpu_policy_hash", d.GPUPolicyHash, events.gpuPolicyHash},
		{"instance_id", d.InstanceID, events.InstanceID},
		{"key_provider", d.KeyProvider, configProvider(provider.Name)},
		{"key_provider_id", d.KeyProviderID, provider.ID},
	} {
		required := member.name == "compose_hash" || member.name == "key_provider"
		if (required || member.document != "") && member.document != member.event {
			return fmt.Errorf("%s %.200q in the document of mr_config_id, %.200q in the event log", member.name, member.document, member.event)
		}
	}
	if d.InitScriptHashes != nil && !slices.Equal(*d.InitScriptHashes, events.initScriptHashes) {
		return fmt.Errorf("init_script_hashes %.400q in the document of mr_config_id, %.400q in the event log", *d.InitScriptHashes, events.initScriptHashes)
	}
	return nil
}

// guessDocument tries the documents whose members all agree with the events. If none hashes to got, it returns the
// hash of the most complete one.
func guessDocument(got Measurement, events *BootEvents, provider KeyProvider) Measurement {
	scripts := append([]string{}, events.initScriptHashes...)
	var last Measurement
	for choice := range 32 {
		d := ConfigDocument{ComposeHash: events.ComposeHash.String(), KeyProvider: configProvider(provider.Name), Version: 3}
		for bit, add := range []func(){
			func() { d.AppID = events.AppID.String() },
			func() { d.KeyProviderID = provider.ID },
			func() { d.InstanceID = events.InstanceID },
			func() { d.GPUPolicyHash = events.gpuPolicyHash },
			func() { d.InitScriptHashes = &scripts },
		} {
			if choice&(1<<bit) != 0 {
				add()
			}
		}
		if last = MRConfigIDV3(d.Canonical()); last == got {
			break
		}
	}
	return last
}
