package osimage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// Names of files of an image.
const (
	checksumFile    = "sha256sum.txt"
	metadataFile    = "metadata.json"
	measurementFile = "measurement.tdx.cbor"
)

// Limits of the material of a guest, in bytes. The real ones have about 500 and 400.
const (
	maxChecksums   = 64 << 10
	maxMeasurement = 16 << 10
)

// measurementVersion is the supported version of measurement.tdx.cbor.
const measurementVersion = 3

// Digests are the content of measurement.tdx.cbor: the digests of an image from which its registers follow for a
// virtual machine of any size.
type Digests struct {
	// MRTDSinglePass and MRTDTwoPass are the MRTD of the firmware for the two orders in which QEMU adds and
	// measures its pages.
	MRTDSinglePass, MRTDTwoPass Digest
	// Kernel is the Authenticode SHA-384 of the kernel as QEMU patches it for a guest with 2 GiB of memory, or with at
	// least 2816 MiB.
	Kernel Digest
	// CommandLine is the SHA-384 of the kernel's command line in UTF-16, with its final zero.
	CommandLine Digest
	// Initrd is the SHA-384 of the initial file system.
	Initrd Digest
	// TDHOB are the ranges of memory that the firmware accepts before it measures its hand-off block, in the
	// compact form of dstack: unsigned LEB128 numbers, in pages of 4 KiB.
	TDHOB []byte
}

// Material consists of two files of an image, which a guest sends: sha256sum.txt, and measurement.tdx.cbor, whose hash
// is in the former.
type Material struct {
	// ChecksumFile are the bytes of sha256sum.txt.
	ChecksumFile []byte `json:"checksum_file"`
	// Measurement are the bytes of measurement.tdx.cbor.
	Measurement []byte `json:"measurement"`
}

// document is the CBOR form; the order of the members is that of dstack's writer.
type document struct {
	Version uint64 `cbor:"version"`
	Image   struct {
		CommandLine []byte `cbor:"cmdline_sha384"`
		Kernel      []byte `cbor:"kernel_authenticode"`
		Initrd      []byte `cbor:"initrd_sha384"`
	} `cbor:"image"`
	TDVF struct {
		OVMF string `cbor:"ovmf"`
		MRTD struct {
			SinglePass []byte `cbor:"single_pass"`
			TwoPass    []byte `cbor:"two_pass"`
		} `cbor:"mrtd"`
		TDHOB []byte `cbor:"td_hob"`
	} `cbor:"tdvf"`
}

// layout is the order of the firmware's events, named by dstack after the first EDK2 release with another order. No
// guest with another layout is known.
const layout = "pre202505"

// ParseDigests reads measurement.tdx.cbor. It is strict: unknown members, members that occur twice, digests
// of another length than 48 bytes and trailing bytes are errors.
func ParseDigests(data []byte) (*Digests, error) {
	if len(data) > maxMeasurement {
		return nil, fmt.Errorf("%s: %d bytes, want at most %d", measurementFile, len(data), maxMeasurement)
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden, MaxNestedLevels: 4,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		return nil, err
	}
	var d document
	if err := mode.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("%s: %w", measurementFile, err)
	}
	if d.Version != measurementVersion {
		return nil, fmt.Errorf("%s: version %d, want %d", measurementFile, d.Version, measurementVersion)
	}
	if d.TDVF.OVMF != layout {
		return nil, fmt.Errorf("%s: firmware layout %.40q, want %q", measurementFile, d.TDVF.OVMF, layout)
	}
	m := &Digests{TDHOB: d.TDVF.TDHOB}
	for _, field := range []struct {
		name string
		from []byte
		into *Digest
	}{
		{"tdvf.mrtd.single_pass", d.TDVF.MRTD.SinglePass, &m.MRTDSinglePass},
		{"tdvf.mrtd.two_pass", d.TDVF.MRTD.TwoPass, &m.MRTDTwoPass},
		{"image.kernel_authenticode", d.Image.Kernel, &m.Kernel},
		{"image.cmdline_sha384", d.Image.CommandLine, &m.CommandLine},
		{"image.initrd_sha384", d.Image.Initrd, &m.Initrd},
	} {
		if len(field.from) != len(field.into) {
			return nil, fmt.Errorf("%s: %s of %d bytes, want %d", measurementFile, field.name, len(field.from), len(field.into))
		}
		copy(field.into[:], field.from)
	}
	if _, err := parseTDHOB(m.TDHOB); err != nil {
		return nil, fmt.Errorf("%s: %w", measurementFile, err)
	}
	return m, nil
}

// Encode returns the bytes of measurement.tdx.cbor, as dstack writes them.
func (m *Digests) Encode() ([]byte, error) {
	var d document
	d.Version = measurementVersion
	d.Image.CommandLine, d.Image.Kernel, d.Image.Initrd = m.CommandLine[:], m.Kernel[:], m.Initrd[:]
	d.TDVF.OVMF, d.TDVF.TDHOB = layout, m.TDHOB
	d.TDVF.MRTD.SinglePass, d.TDVF.MRTD.TwoPass = m.MRTDSinglePass[:], m.MRTDTwoPass[:]
	return cbor.Marshal(d)
}

// errNotListed is returned if sha256sum.txt does not name a file.
var errNotListed = errors.New("not listed")

// listed returns the SHA-256 of a file according to sha256sum.txt.
func listed(checksums []byte, name string) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	found := false
	for i, line := range strings.Split(string(checksums), "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return sum, fmt.Errorf("%s: line %d: %.80q, want a hash and a file name", checksumFile, i+1, line)
		}
		// sha256sum marks a file that it read in binary mode with an asterisk.
		if strings.TrimPrefix(fields[1], "*") != name {
			continue
		}
		raw, err := hex.DecodeString(fields[0])
		if err != nil || len(raw) != len(sum) {
			return sum, fmt.Errorf("%s: line %d: %.80q, want 64 hexadecimal digits", checksumFile, i+1, fields[0])
		}
		if found {
			return sum, fmt.Errorf("%s: %s is listed twice", checksumFile, name)
		}
		found = true
		copy(sum[:], raw)
	}
	if !found {
		return sum, fmt.Errorf("%s: %s: %w", checksumFile, name, errNotListed)
	}
	return sum, nil
}
