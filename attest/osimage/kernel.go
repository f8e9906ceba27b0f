package osimage

import (
	"cmp"
	"crypto"
	_ "crypto/sha512" // SHA-384, the firmware's hash
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"
)

// Fields of the setup header of a Linux kernel, from its Documentation/arch/x86/boot.rst.
const (
	headerMagic   = 0x202 // "HdrS"
	headerVersion = 0x206
	headerLoader  = 0x210
	headerFlags   = 0x211
	headerInitrd  = 0x218 // address and size
	headerHeapEnd = 0x224
	headerCmdline = 0x228
	headerMaxAddr = 0x22c
	headerXFlags  = 0x236
	minKernel     = 4 << 10
	maxKernel     = 256 << 20

	loadedHigh   = 1 << 0 // flags: the kernel is loaded at 1 MiB
	canUseHeap   = 1 << 7 // flags
	above4G      = 1 << 6 // extended flags: the initial file system may lie above 4 GiB
	loaderQEMU   = 0xb0
	realModeAddr = 0x10000
	cmdlineAddr  = 0x20000
	initrdMax    = 0x37ffffff // if the kernel states none
	// acpiReserve is the size that QEMU reserves for ACPI tables below the end of low memory.
	acpiReserve = 0x28000
)

// kernel is a Linux kernel with the size of its initial file system, whose address QEMU writes into the kernel.
type kernel struct {
	data       []byte
	initrdSize uint64

	mu      sync.Mutex
	digests map[uint32]Digest // by address of the initial file system
}

// fixedPlacement reports whether the end of low memory, below which QEMU places the initial file system, is 2 GiB. An
// unknown size, 0, counts as one of these.
func fixedPlacement(memory uint64) bool {
	return memory == 0 || memory == 2*gib || memory >= highMemory
}

// newKernel checks a kernel. Of QEMU's cases only that of a boot protocol of version 2.12 or later is supported, which
// every kernel since 3.8 (2013) has.
func newKernel(data []byte, initrdSize uint64) (*kernel, error) {
	if len(data) < minKernel || len(data) > maxKernel {
		return nil, fmt.Errorf("kernel: %d bytes, want %d to %d", len(data), minKernel, maxKernel)
	}
	if string(data[headerMagic:headerMagic+4]) != "HdrS" {
		return nil, errors.New("kernel: not a Linux kernel for x86")
	}
	if version := binary.LittleEndian.Uint16(data[headerVersion:]); version < 0x20c {
		return nil, fmt.Errorf("kernel: boot protocol %#x, want 0x20c or later", version)
	}
	if data[headerFlags]&loadedHigh == 0 {
		return nil, errors.New("kernel: not a bzImage")
	}
	return &kernel{data: data, initrdSize: initrdSize, digests: map[uint32]Digest{}}, nil
}

// digest returns the Authenticode SHA-384 of the kernel as patched for a guest with this size of memory; see QEMU's
// x86_load_linux. It is computed once for each address of the initial file system.
func (k *kernel) digest(memory uint64) (Digest, error) {
	address, err := k.initrdAddress(memory)
	if err != nil {
		return Digest{}, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if d, ok := k.digests[address]; ok {
		return d, nil
	}
	sum, err := authenticode(k.patched(address), crypto.SHA384)
	if err != nil {
		return Digest{}, err
	}
	d := Digest(sum)
	if len(k.digests) < 64 { // sizes come from the guest
		k.digests[address] = d
	}
	return d, nil
}

// initrdAddress returns the highest page below the end of low memory at which the initial file system fits.
func (k *kernel) initrdAddress(memory uint64) (uint32, error) {
	low := uint64(2 * gib)
	if !fixedPlacement(memory) {
		low = memory
	}
	limit := uint64(binary.LittleEndian.Uint32(k.data[headerMaxAddr:]))
	if binary.LittleEndian.Uint16(k.data[headerXFlags:])&above4G != 0 {
		limit = 1<<32 - 1
	} else if limit == 0 {
		limit = initrdMax
	}
	if low <= acpiReserve {
		return 0, fmt.Errorf("memory of %d bytes, want more", memory)
	}
	limit = min(limit, low-acpiReserve-1)
	if k.initrdSize >= limit {
		return 0, fmt.Errorf("memory of %d bytes, too small for an initial file system of %d", memory, k.initrdSize)
	}
	return uint32(limit-k.initrdSize) &^ (pageSize - 1), nil
}

// patched returns the kernel with the fields that QEMU sets as its boot loader.
func (k *kernel) patched(initrd uint32) []byte {
	b := slices.Clone(k.data)
	b[headerLoader] = loaderQEMU
	b[headerFlags] |= canUseHeap
	binary.LittleEndian.PutUint32(b[headerHeapEnd:], cmdlineAddr-realModeAddr-0x200)
	binary.LittleEndian.PutUint32(b[headerCmdline:], cmdlineAddr)
	if k.initrdSize > 0 {
		binary.LittleEndian.PutUint32(b[headerInitrd:], initrd)
		binary.LittleEndian.PutUint32(b[headerInitrd+4:], uint32(k.initrdSize))
	}
	return b
}

// Offsets in a PE file, from Microsoft's "PE Format".
const (
	peOffset       = 0x3c
	coffSize       = 24 // signature and COFF header
	peChecksum     = 64 // in the optional header
	peHeaders      = 60
	directories32  = 96
	directories64  = 112
	certDirectory  = 4 // entry of the certificate table
	peSectionSize  = 40
	pe64           = 0x20b
	maxPESections  = 96
	peRequiredSize = coffSize + directories64 + 8*(certDirectory+1)
)

// authenticode returns the hash by which firmware measures a PE file: all of it except its checksum, the entry of its
// certificate table and the certificates. Source: Microsoft's "Windows Authenticode Portable Executable Signature
// Format".
func authenticode(data []byte, algorithm crypto.Hash) ([]byte, error) {
	malformed := func(what string) error { return fmt.Errorf("kernel: malformed PE file: %s", what) }
	if len(data) < peOffset+4 {
		return nil, malformed("too short")
	}
	pe := uint64(binary.LittleEndian.Uint32(data[peOffset:]))
	if pe+peRequiredSize > uint64(len(data)) || string(data[pe:pe+4]) != "PE\x00\x00" {
		return nil, malformed("no PE header")
	}
	count := int(binary.LittleEndian.Uint16(data[pe+6:]))
	optional := pe + coffSize
	optionalSize := uint64(binary.LittleEndian.Uint16(data[pe+20:]))
	directories := optional + directories32
	if binary.LittleEndian.Uint16(data[optional:]) == pe64 {
		directories = optional + directories64
	}
	certificate := directories + 8*certDirectory
	headers := uint64(binary.LittleEndian.Uint32(data[optional+peHeaders:]))
	table := optional + optionalSize
	if headers < certificate+8 || headers > uint64(len(data)) || table+uint64(count)*peSectionSize > uint64(len(data)) || count > maxPESections {
		return nil, malformed("its headers do not add up")
	}
	if binary.LittleEndian.Uint32(data[directories-4:]) <= certDirectory {
		return nil, malformed("no certificate table")
	}
	certificates := uint64(binary.LittleEndian.Uint32(data[certificate+4:]))

	h := algorithm.New()
	h.Write(data[:optional+peChecksum])
	h.Write(data[optional+peChecksum+4 : certificate])
	h.Write(data[certificate+8 : headers])
	hashed, err := hashSections(h, data, table, count)
	if err != nil {
		return nil, malformed(err.Error())
	}
	// By the format, the rest begins at the number of bytes so far, not at the end of the last section.
	if hashed += headers; hashed+certificates > uint64(len(data)) {
		return nil, malformed("its lengths do not add up")
	}
	h.Write(data[hashed : uint64(len(data))-certificates])
	// A signed file is a multiple of 8 bytes; an unsigned one is measured as if it were.
	h.Write(make([]byte, (8-len(data)%8)%8))
	return h.Sum(nil), nil
}

// hashSections hashes the sections in the order of their offsets, and returns the number of bytes.
func hashSections(h hash.Hash, data []byte, table uint64, count int) (uint64, error) {
	type extent struct{ start, size uint64 }
	var extents []extent
	for i := range uint64(count) {
		s := data[table+i*peSectionSize:]
		e := extent{uint64(binary.LittleEndian.Uint32(s[20:])), uint64(binary.LittleEndian.Uint32(s[16:]))}
		if e.size > 0 {
			extents = append(extents, e)
		}
	}
	slices.SortFunc(extents, func(a, b extent) int { return cmp.Compare(a.start, b.start) })
	end, hashed := uint64(0), uint64(0)
	for _, e := range extents {
		if e.start < end || e.start+e.size > uint64(len(data)) {
			return 0, fmt.Errorf("section of %d bytes at %d", e.size, e.start)
		}
		end = e.start + e.size
		hashed += e.size
		h.Write(data[e.start:end])
	}
	return hashed, nil
}
