package attest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
)

// systemReady ends the part of the log that dstack alone writes: after it the app may extend events of any
// name.
const systemReady = "system-ready"

// BootEvents are the values that dstack measures before it gives control to the app. They mean something only
// after the log was replayed against a verified quote.
type BootEvents struct {
	AppID       kms.AppID    `json:"app_id"`
	ComposeHash compose.Hash `json:"compose_hash"`
	// InstanceID is 40 hexadecimal digits, or empty for an app without instance ids.
	InstanceID string `json:"instance_id,omitempty"`
	// KeyProvider gave the app its keys; nil where the log names none.
	KeyProvider *KeyProvider `json:"key_provider,omitempty"`
	// OSImageHash is 64 hexadecimal digits; empty where the image was not measured.
	OSImageHash string `json:"os_image_hash,omitempty"`
	// StorageFS is the file system of the disk, "zfs" or "ext4"; empty in older logs.
	StorageFS string `json:"storage_fs,omitempty"`

	gpuPolicyHash      string
	initScriptHashes   []string
	keyProviderPayload []byte
}

// KeyProvider is who gives an app its keys.
type KeyProvider struct {
	// Name is "kms", "local-sgx", "tpm" or "none".
	Name string `json:"name"`
	// ID is, for a KMS, the public key of its root CA (DER SubjectPublicKeyInfo, hexadecimal); for a local
	// one the measurement of its enclave.
	ID string `json:"id"`
}

// ReadBootEvents takes the values from the runtime events of RTMR3 that come before system-ready. It refuses a
// log in which one of them is there twice, and one without system-ready, which dstack writes since 0.4.
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
		// With the first form of the digest, "a:b" with payload "c" hashes as "a" with payload "b:c" does, so
		// that an event could be hidden under another name.
		if strings.Contains(e.Name, ":") {
			return nil, fmt.Errorf("%w: entry %d: name %.80q has a colon", ErrEventLog, i, e.Name)
		}
		if e.Name == "init-script-hash" { // one for each script
			scripts = append(scripts, hex.EncodeToString(e.Payload))
			continue
		}
		if _, twice := found[e.Name]; twice && isBootEvent(e.Name) {
			return nil, fmt.Errorf("%w: %s", ErrDuplicateEvent, e.Name)
		}
		found[e.Name] = e.Payload
	}
	if !ready {
		return nil, fmt.Errorf("%w: %s", ErrMissingEvent, systemReady)
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
		StorageFS: string(found["storage-fs"]), gpuPolicyHash: hex.EncodeToString(found["gpu-policy-hash"]),
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
		b.KeyProvider = &KeyProvider{}
		if err := json.Unmarshal(payload, b.KeyProvider); err != nil {
			return nil, fmt.Errorf("%w: key-provider: %w", ErrEventLog, err)
		}
		b.KeyProvider.ID = strings.ToLower(b.KeyProvider.ID)
	}
	return b, nil
}
