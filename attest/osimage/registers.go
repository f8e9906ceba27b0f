package osimage

import (
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// Digest is a SHA-384.
type Digest = [sha512.Size384]byte

// Machine contains the inputs of the registers besides the image. They are not trusted: with a false one, the computed
// registers differ from those of the quote.
type Machine struct {
	// Memory is the size of the guest's memory in bytes; 0 if it is not known.
	Memory uint64
	// Handoff is the digest of the firmware's hand-off block, the first event of RTMR0 in the event log; nil if the log
	// does not have it. If Memory is 0, it determines the size: whole GiB up to 4 TiB are tried. Without a size, RTMR0
	// is not computed, and RTMR1 is that of a guest with 2 GiB or at least 2816 MiB.
	Handoff *Digest
	// ACPI are the digests of the three ACPI events of RTMR0 (loader, RSDP, tables), from the event log. If nil, RTMR0
	// is not computed.
	ACPI []Digest
}

// Registers are the measurements of a guest at the end of its boot.
type Registers struct {
	MRTD, RTMR0, RTMR1, RTMR2 Digest
	// AnyRTMR0 is true if RTMR0 could not be computed and is zero.
	AnyRTMR0 bool
}

// Reasons for which registers cannot be computed.
var (
	// ErrHashOnly is returned for an image of which only the hash is known.
	ErrHashOnly = errors.New("only the hash of the image is known")
	// ErrMemory is returned if the image's material does not contain the digest of the kernel for this size of memory.
	// [Open] the image.
	ErrMemory = errors.New("the image's material covers guests with 2 GiB or at least 2816 MiB of memory")
)

// Firmware events that are the same in each guest. Real event logs from dstack 0.3 to 0.6 have them.
const (
	// configurationVolume is the digest of the firmware's empty variable store.
	configurationVolume = "\x34\x4b\xc5\x1c\x98\x0b\xa6\x21\xaa\xa0\x0d\xa3\xed\x74\x36\xf7\xd6\xe5\x49\x19\x7d\xfe\x69\x95" +
		"\x15\xdf\xa2\xc6\x58\x3d\x95\xe6\x41\x2a\xf2\x1c\x09\x7d\x47\x31\x55\x87\x5f\xfd\x56\x1d\x67\x90"
	// bootOption is the digest of Boot0000, the firmware's own menu.
	bootOption = "\x23\xad\xa0\x7f\x52\x61\xf1\x2f\x34\xa0\xbd\x8e\x46\x76\x09\x62\xd6\xb4\xd5\x76\xa4\x16\xf1\xfe" +
		"\xa1\xc6\x4b\xc6\x56\xb1\xd2\x8e\xac\xf7\x04\x7a\xe6\xe9\x67\xc5\x8f\xd2\xa9\x8b\xfa\x74\xc2\x98"
)

// Vendors of UEFI variables: GUIDs in the order of their bytes.
const (
	globalVariable = "\x61\xdf\xe4\x8b\xca\x93\xd2\x11\xaa\x0d\x00\xe0\x98\x03\x2b\x8c" // 8be4df61-93ca-11d2-aa0d-00e098032b8c
	imageSecurity  = "\xcb\xb2\x19\xd7\x3a\x3d\x96\x45\xa3\xbc\xda\xd0\x0e\x67\x65\x6f" // d719b2cb-3d3a-4596-a3bc-dad00e67656f
)

// Events are the digests that a guest extends into RTMR0, RTMR1 and RTMR2, in their order.
type Events [3][]Digest

// events returns the events of a guest; kernel is the digest of the kernel as patched for this machine. The events of
// RTMR0 are nil if they cannot be computed.
func (m *Digests) events(machine Machine, kernel Digest) (Events, error) {
	e := Events{
		1: {kernel, sum("Calling EFI Application from Boot Option"), separator(), sum("Exit Boot Services Invocation"), sum("Exit Boot Services Returned with Success")},
		2: {m.CommandLine, m.Initrd},
	}
	if machine.Memory == 0 || machine.ACPI == nil {
		return e, nil
	}
	if len(machine.ACPI) != 3 {
		return Events{}, fmt.Errorf("%d ACPI digests, want 3", len(machine.ACPI))
	}
	h, err := parseTDHOB(m.TDHOB)
	if err != nil {
		return Events{}, err
	}
	hob, err := h.digest(machine.Memory)
	if err != nil {
		return Events{}, err
	}
	e[0] = []Digest{
		hob, Digest([]byte(configurationVolume)),
		variable(globalVariable, "SecureBoot"), variable(globalVariable, "PK"), variable(globalVariable, "KEK"),
		variable(imageSecurity, "db"), variable(imageSecurity, "dbx"), separator(),
		machine.ACPI[0], machine.ACPI[1], machine.ACPI[2],
		sum("\x00\x00"), // BootOrder
		Digest([]byte(bootOption)),
	}
	return e, nil
}

// candidates returns the registers for both orders in which QEMU measures the firmware.
func (m *Digests) candidates(e Events) []Registers {
	r := Registers{RTMR0: extend(e[0]...), RTMR1: extend(e[1]...), RTMR2: extend(e[2]...), AnyRTMR0: e[0] == nil}
	single, two := r, r
	single.MRTD, two.MRTD = m.MRTDSinglePass, m.MRTDTwoPass
	return []Registers{single, two}
}

// extend replays digests into a register that starts at zero.
func extend(digests ...Digest) Digest {
	var register Digest
	for _, d := range digests {
		register = sha512.Sum384(append(register[:], d[:]...))
	}
	return register
}

func sum(text string) Digest { return sha512.Sum384([]byte(text)) }

// separator is the event between the firmware and what it starts: four zero bytes.
func separator() Digest { return sum("\x00\x00\x00\x00") }

// variable returns the digest of the event of a UEFI variable that is not set (UEFI_VARIABLE_DATA of the TCG PC
// client specification): its GUID, the number of characters of its name, its size, its name in UTF-16.
func variable(guid, name string) Digest {
	b := []byte(guid)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(name)))
	b = binary.LittleEndian.AppendUint64(b, 0)
	return sha512.Sum384(appendUTF16(b, name))
}

func appendUTF16(b []byte, text string) []byte {
	for _, unit := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return b
}
