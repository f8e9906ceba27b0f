package osimage

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/phala-go/phala/internal/hexbytes"
)

// Image is an image of the dstack operating system; see [Open], [FromMaterial] and [ByHash]. It can be used by several
// goroutines at once.
type Image struct {
	// Hash identifies the image.
	Hash ImageHash
	// Version of dstack, such as "0.5.4"; empty if it is not known.
	Version string
	// Development is true for an image that allows its operator to log in. Only [Open] can detect it; in other images
	// it is the caller's statement.
	Development bool

	digests *Digests // nil if only the hash is known
	kernel  *kernel  // nil if only the measurement is known

	mu       sync.Mutex
	memories map[Digest]uint64 // by the digest of the hand-off block; 0 if no size has it
}

// String returns the version, the kind and the hash, such as "dstack 0.5.4, production, os image 9b69…".
func (i *Image) String() string {
	version, kind := "dstack of an unknown version", "production"
	if i.Version != "" {
		version = "dstack " + i.Version
	}
	if i.Development {
		kind = "development"
	}
	return fmt.Sprintf("%s, %s, os image %s", version, kind, i.Hash)
}

// FromMaterial returns the image that the material of a guest describes. It returns an error if the material contradicts
// itself. The guest booted this image only if the computed registers are those of its quote; compare Hash with an
// expected one. Version and Development are not part of the material.
func FromMaterial(m Material) (*Image, error) {
	if len(m.ChecksumFile) > maxChecksums {
		return nil, fmt.Errorf("%s: %d bytes, want at most %d", checksumFile, len(m.ChecksumFile), maxChecksums)
	}
	want, err := listed(m.ChecksumFile, measurementFile)
	if err != nil {
		return nil, err
	}
	if have := sha256.Sum256(m.Measurement); subtle.ConstantTimeCompare(have[:], want[:]) != 1 {
		return nil, fmt.Errorf("%s: SHA-256 %x, want %x as listed in %s", measurementFile, have, want, checksumFile)
	}
	digests, err := ParseDigests(m.Measurement)
	if err != nil {
		return nil, err
	}
	return &Image{Hash: sha256.Sum256(m.ChecksumFile), digests: digests}, nil
}

// Registers returns the measurements of a guest with this image and machine. There are two results, because QEMU
// measures the firmware in one of two orders, depending on its version; they differ in MRTD alone. The error is
// [ErrHashOnly], [ErrMemory], or names the invalid value of the machine.
func (i *Image) Registers(m Machine) ([]Registers, error) {
	events, err := i.Events(m)
	if err != nil {
		return nil, err
	}
	return i.digests.candidates(events), nil
}

// Events returns the digests that RTMR0 to RTMR2 consist of. Those of RTMR0 are nil if they cannot be computed. The
// errors are those of Registers.
func (i *Image) Events(m Machine) (Events, error) {
	if i.digests == nil {
		return Events{}, ErrHashOnly
	}
	if m.Memory == 0 && m.Handoff != nil {
		m.Memory = i.memory(*m.Handoff)
	}
	kernel := i.digests.Kernel
	if !fixedPlacement(m.Memory) {
		if i.kernel == nil {
			return Events{}, fmt.Errorf("%w: this one has %d bytes", ErrMemory, m.Memory)
		}
		var err error
		if kernel, err = i.kernel.digest(m.Memory); err != nil {
			return Events{}, err
		}
	}
	return i.digests.events(m, kernel)
}

// maxSearched is the largest memory that is searched for, in GiB.
const maxSearched = 4 << 10

// memory returns the size for which the hand-off block has the digest, or 0. The search takes a few milliseconds; its
// results are cached.
func (i *Image) memory(handoff Digest) uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	if found, ok := i.memories[handoff]; ok {
		return found
	}
	found := uint64(0)
	h, err := parseTDHOB(i.digests.TDHOB)
	for n := uint64(1); n <= maxSearched && err == nil; n++ {
		if d, err := h.digest(n * gib); err == nil && d == handoff {
			found = n * gib
			break
		}
	}
	if len(i.memories) < 256 { // digests come from the guest
		if i.memories == nil {
			i.memories = map[Digest]uint64{}
		}
		i.memories[handoff] = found
	}
	return found
}

// ByHash returns images of which only the hash is known, 64 hex digits each, with or without "0x". That is enough for
// guests from dstack 0.6 on, which send the material of their image. Set Development of a development image.
func ByHash(hashes ...string) ([]*Image, error) {
	images := make([]*Image, len(hashes))
	for n, text := range hashes {
		hash, err := ParseImageHash(text)
		if err != nil {
			return nil, err
		}
		images[n] = &Image{Hash: hash}
	}
	return images, nil
}

// Validate returns an error for an image without a hash.
func (i *Image) Validate() error {
	if i == nil || i.Hash.IsZero() {
		return errors.New("an OS image without a hash")
	}
	return nil
}

// imageDocument is the JSON form of an image.
type imageDocument struct {
	Hash        ImageHash `json:"hash"`
	Version     string    `json:"version,omitempty"`
	Development bool      `json:"development,omitempty"`
	// Measurement is the content of measurement.tdx.cbor, in base64.
	Measurement []byte `json:"measurement,omitempty"`
}

// MarshalJSON writes the image without its kernel: an image that is read again does not cover guests for which
// [Image.Registers] returns [ErrMemory].
func (i *Image) MarshalJSON() ([]byte, error) {
	d := imageDocument{Hash: i.Hash, Version: i.Version, Development: i.Development}
	if i.digests != nil {
		var err error
		if d.Measurement, err = i.digests.Encode(); err != nil {
			return nil, err
		}
	}
	return json.Marshal(&d)
}

// UnmarshalJSON reads the form of MarshalJSON. It cannot check whether the digests belong to the hash.
func (i *Image) UnmarshalJSON(data []byte) error {
	var d imageDocument
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return err
	}
	i.Hash, i.Version, i.Development, i.digests, i.kernel = d.Hash, d.Version, d.Development, nil, nil
	if len(d.Measurement) > 0 {
		var err error
		if i.digests, err = ParseDigests(d.Measurement); err != nil {
			return err
		}
	}
	return i.Validate()
}

// ImageHash identifies an image: the SHA-256 of its sha256sum.txt, dstack's os_image_hash.
type ImageHash [sha256.Size]byte

// ParseImageHash parses 64 hex digits of either case, with or without "0x".
func ParseImageHash(text string) (ImageHash, error) {
	var h ImageHash
	err := hexbytes.Parse(h[:], "os image hash", text)
	return h, err
}

// String returns 64 lower-case hex digits.
func (h ImageHash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash is zero, which identifies no image.
func (h ImageHash) IsZero() bool { return h == ImageHash{} }

// MarshalText returns the text of [ImageHash.String], and nothing for the zero hash.
func (h ImageHash) MarshalText() ([]byte, error) {
	if h.IsZero() {
		return []byte{}, nil
	}
	return []byte(h.String()), nil
}

// UnmarshalText parses the text as [ParseImageHash] does; an empty text is the zero hash.
func (h *ImageHash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = ImageHash{}
		return nil
	}
	return hexbytes.Parse(h[:], "os image hash", string(text))
}
