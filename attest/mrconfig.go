package attest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
)

// The host writes mr_config_id before the guest starts, and the guest refuses to boot anything else. Three
// forms are known, by the first byte (dstack, dstack-types/src/mr_config.rs).

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
	if err := json.Unmarshal(text, &d); err != nil {
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
	return Measurement{}, fmt.Errorf("form %d of mr_config_id, want 1, 2 or 3", got[0])
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
