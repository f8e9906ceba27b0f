package attest

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/phala-go/phala/attest/osimage"
	"github.com/phala-go/phala/internal/jsontext"
	"github.com/phala-go/phala/openapi"
)

// MaxEventLog is the maximum size of an event log, in bytes of JSON. Real ones have about 10,000.
const MaxEventLog = 4 << 20

// RuntimeEvent is the type of the events that dstack and the app extend into RTMR3.
const RuntimeEvent = 0x08000001

// Event is one entry of an event log.
type Event struct {
	// IMR is the register that was extended, 0 to 3 for RTMR0 to RTMR3.
	IMR int
	// Type is [RuntimeEvent] for events of dstack and the app, otherwise one of the firmware's.
	Type uint32
	// Name of the event, such as compose-hash; empty for the firmware's.
	Name string
	// Payload is the content of the event.
	Payload []byte
	// Digest is the SHA-384 that extended the register. It may be empty for runtime events, and is never used
	// unchecked.
	Digest []byte
	// Version is the format of a runtime event's digest: 0 and 1 for the first, 2 for the second.
	Version int
	// Preimage is the hashed data, only in version 2.
	Preimage []byte
}

// RuntimeDigest returns the digest of a runtime event in the first format (version 0 or 1), or in the second.
func RuntimeDigest(version int, name string, payload []byte) (Measurement, error) {
	preimage, err := RuntimePreimage(version, name, payload)
	if err != nil {
		return Measurement{}, err
	}
	return sha512.Sum384(preimage), nil
}

// RuntimePreimage returns the hashed data of a runtime event.
func RuntimePreimage(version int, name string, payload []byte) ([]byte, error) {
	switch version {
	case 0, 1:
		// dstack, cc-eventlog/src/runtime_events.rs.
		b := make([]byte, 0, 6+len(name)+len(payload))
		b = binary.LittleEndian.AppendUint32(b, RuntimeEvent)
		b = append(b, ':')
		b = append(b, name...)
		b = append(b, ':')
		return append(b, payload...), nil
	case 2:
		if !utf8.ValidString(name) {
			return nil, fmt.Errorf("name %.80q is not UTF-8", name)
		}
		b := append(make([]byte, 0, 48+len(name)+2*len(payload)), `{"name":`...)
		b = jsontext.AppendString(b, name) // as the JSON canonicalization scheme (RFC 8785)
		b = append(b, `,"payload":"`...)
		b = hex.AppendEncode(b, payload)
		b = append(b, `","type":`...)
		return append(fmt.Appendf(b, "%d", RuntimeEvent), '}'), nil
	}
	return nil, fmt.Errorf("digest of version %d, want 1 or 2", version)
}

// measured returns the digest that extended the register. That of a runtime event is computed from name and payload,
// and the digest in the log must be equal.
func (e *Event) measured() (Measurement, error) {
	if e.Type != RuntimeEvent {
		var m Measurement
		if len(e.Digest) == 0 || len(e.Digest) > len(m) {
			return Measurement{}, fmt.Errorf("%w: %d bytes, want 48; it cannot be computed for an event of type %#x", ErrEventDigest, len(e.Digest), e.Type)
		}
		copy(m[:], e.Digest)
		return m, nil
	}
	preimage, err := RuntimePreimage(e.Version, e.Name, e.Payload)
	if err != nil {
		return Measurement{}, fmt.Errorf("%w: %w", ErrEventDigest, err)
	}
	if e.Version == 2 && !bytes.Equal(preimage, e.Preimage) {
		return Measurement{}, fmt.Errorf("%w: %.200q, want %.200q", ErrEventPreimage, e.Preimage, preimage)
	}
	m := Measurement(sha512.Sum384(preimage))
	if len(e.Digest) != 0 && !equal(e.Digest, m[:]) {
		return Measurement{}, fmt.Errorf("%w: %.96x, want %s, computed from its name and payload", ErrEventDigest, e.Digest, m)
	}
	return m, nil
}

// Replay returns the four registers, extended by the events of a log in its order. The digest of each runtime event
// is computed from its name and payload; Replay returns an error if the digest in the log differs.
func Replay(log []Event) ([4]Measurement, error) {
	var registers [4]Measurement
	var buffer [2 * sha512.Size384]byte
	for i := range log {
		e := &log[i]
		if e.IMR < 0 || e.IMR >= len(registers) {
			return registers, fmt.Errorf("%w: entry %d: register %d, want 0 to 3", ErrEventLog, i, e.IMR)
		}
		if e.IMR == 3 && e.Type != RuntimeEvent {
			// Its digest cannot be computed from name and payload.
			return registers, fmt.Errorf("%w: entry %d (%.80q): type %#x in RTMR3, want %#x", ErrEventLog, i, e.Name, e.Type, RuntimeEvent)
		}
		digest, err := e.measured()
		if err != nil {
			return registers, fmt.Errorf("entry %d (%.80q): %w", i, e.Name, err)
		}
		copy(buffer[:], registers[e.IMR][:])
		copy(buffer[sha512.Size384:], digest[:])
		registers[e.IMR] = sha512.Sum384(buffer[:])
	}
	return registers, nil
}

// ParseEventLog parses an event log in JSON: a list of entries, or a string that contains one, as in the guest
// agent's response with a quote.
func ParseEventLog(data []byte) ([]Event, error) {
	if len(data) > MaxEventLog {
		return nil, fmt.Errorf("event log of %d bytes, want at most %d", len(data), MaxEventLog)
	}
	data = bytes.TrimSpace(data)
	if isNull(data) {
		return nil, errors.New("event log: it is empty")
	}
	var entries []openapi.EventLogEntry
	if err := unwrap(data, &entries); err != nil {
		return nil, fmt.Errorf("event log: want a JSON list of entries with imr, event_type, digest, event and event_payload, or a string of one: %w", err)
	}
	return eventsOf(entries)
}

// eventsOf decodes the entries of a response of the API.
func eventsOf(entries []openapi.EventLogEntry) ([]Event, error) {
	log := make([]Event, len(entries))
	for i := range entries {
		var err error
		if log[i], err = eventOf(&entries[i]); err != nil {
			return nil, fmt.Errorf("event log: entry %d (%.80q): %w", i, entries[i].Event, err)
		}
	}
	return log, checkSize(log)
}

// checkSize bounds an event log that was not read by [ParseEventLog].
func checkSize(log []Event) error {
	size := 0
	for i := range log {
		e := &log[i]
		if size += 32 + 2*(len(e.Digest)+len(e.Payload)+len(e.Preimage)) + len(e.Name); size > MaxEventLog {
			return fmt.Errorf("%w: more than %d bytes", ErrEventLog, MaxEventLog)
		}
	}
	return nil
}

func eventOf(entry *openapi.EventLogEntry) (Event, error) {
	e := Event{IMR: entry.IMR, Type: uint32(entry.EventType), Name: entry.Event}
	if entry.IMR < 0 || entry.IMR > 3 {
		return Event{}, fmt.Errorf("register %d, want 0 to 3", entry.IMR)
	}
	if int64(e.Type) != entry.EventType {
		return Event{}, fmt.Errorf("type %d, want 32 bits", entry.EventType)
	}
	if entry.Version != nil {
		e.Version = *entry.Version
	}
	var errs [3]error
	e.Digest, errs[0] = hex.DecodeString(entry.Digest)
	e.Payload, errs[1] = hex.DecodeString(entry.EventPayload)
	e.Preimage, errs[2] = hex.DecodeString(entry.Preimage)
	return e, errors.Join(errs[:]...)
}

// LogEntries returns the log in the format of the API.
func LogEntries(log []Event) []openapi.EventLogEntry {
	entries := make([]openapi.EventLogEntry, len(log))
	for i, e := range log {
		entries[i] = openapi.EventLogEntry{
			IMR: e.IMR, EventType: int64(e.Type), Event: e.Name, Digest: hex.EncodeToString(e.Digest),
			EventPayload: hex.EncodeToString(e.Payload), Preimage: hex.EncodeToString(e.Preimage),
		}
		if e.Version != 0 {
			entries[i].Version = openapi.Ptr(e.Version)
		}
	}
	return entries
}

// eventACPI is the type of the three events in which the firmware measures what QEMU passes to it: the loader's
// commands, the root pointer and the tables of ACPI.
const eventACPI = 10

// acpiDigests returns their digests in this order, or nil if the log does not have exactly these three. They have names
// from dstack 0.6 on; in older logs they are identified by their order.
func acpiDigests(log []Event) []osimage.Digest {
	names := []string{"acpi-loader", "acpi-rsdp", "acpi-tables"}
	var found []osimage.Digest
	for i := range log {
		e := &log[i]
		if e.IMR != 0 || e.Type != eventACPI {
			continue
		}
		if len(found) == len(names) || len(e.Digest) != len(Measurement{}) || e.Name != "" && e.Name != names[len(found)] {
			return nil
		}
		found = append(found, osimage.Digest(e.Digest))
	}
	if len(found) != len(names) {
		return nil
	}
	return found
}

// onlyACPI reports whether the log of RTMR0 has the ACPI digests alone, as dstack 0.6 strips it.
func onlyACPI(log []Event) bool {
	n := 0
	for i := range log {
		if log[i].IMR == 0 {
			n++
		}
	}
	return n == 3 && acpiDigests(log) != nil
}
