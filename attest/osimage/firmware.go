package osimage

import (
	"bytes"
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Layout of TDX firmware (TDVF), from Intel's "TDX Virtual Firmware Design Guide", section 11, and EDK2's
// OvmfPkg/ResetVector. Its last 32 bytes are the reset vector, after a table of GUIDs. One entry of that table is the
// distance of the descriptor of the sections from the end.
const (
	resetVector       = 32
	tableEntry        = 18 // length (2), GUID (16), after the data
	descriptorSize    = 16
	sectionSize       = 32
	descriptorVersion = 1
	sectionTDHOB      = 2
	sectionTempMemory = 3
	attributeExtend   = 1 // the content is measured
	attributeAug      = 2 // the pages are added by the guest, and not measured
	extendChunk       = 256
	maxSections       = 64
	maxFirmware       = 64 << 20
	// maxFirmwareMemory limits the total size of the sections, and so the time to hash them.
	maxFirmwareMemory = 1 << 30
)

// GUIDs in the order of their bytes.
const (
	tableFooter    = "\xde\x82\xb5\x96\xb2\x1f\xf7\x45\xba\xea\xa3\x66\xc5\x5a\x08\x2d" // 96b582de-1fb2-45f7-baea-a366c55a082d
	metadataOffset = "\x35\x65\x7a\xe4\x4a\x98\x98\x47\x86\x5e\x46\x85\xa7\xbf\x8e\xc2" // e47a6535-984a-4798-865e-4685a7bf8ec2
)

// firmware is TDVF with its sections.
type firmware struct {
	data     []byte
	sections []section
}

// section is a piece of the guest's memory that exists before it starts.
type section struct {
	data       []byte // its content; shorter than its pages if the rest is not measured
	address    uint64
	pages      uint64
	kind       uint32
	attributes uint32
}

func parseFirmware(data []byte) (*firmware, error) {
	offset, err := descriptorOffset(data)
	if err != nil {
		return nil, err
	}
	rest := data[offset:]
	if len(rest) < descriptorSize || string(rest[:4]) != "TDVF" {
		return nil, fmt.Errorf("firmware: no TDVF descriptor at byte %d", offset)
	}
	if version := binary.LittleEndian.Uint32(rest[8:]); version != descriptorVersion {
		return nil, fmt.Errorf("firmware: TDVF version %d, want %d", version, descriptorVersion)
	}
	count := binary.LittleEndian.Uint32(rest[12:])
	if count == 0 || count > maxSections || uint64(len(rest)) < descriptorSize+uint64(count)*sectionSize {
		return nil, fmt.Errorf("firmware: %d sections, want 1 to %d within the file", count, maxSections)
	}
	f := &firmware{data: data}
	total := uint64(0)
	for i := range int(count) {
		s, err := parseSection(data, rest[descriptorSize+i*sectionSize:])
		if err != nil {
			return nil, fmt.Errorf("firmware: section %d: %w", i, err)
		}
		if total += s.pages * pageSize; total > maxFirmwareMemory {
			return nil, fmt.Errorf("firmware: sections cover more than %d bytes", maxFirmwareMemory)
		}
		f.sections = append(f.sections, s)
	}
	return f, nil
}

// descriptorOffset reads the table of GUIDs from its end.
func descriptorOffset(data []byte) (int, error) {
	if len(data) > maxFirmware || len(data) < resetVector+tableEntry {
		return 0, fmt.Errorf("firmware: %d bytes, want %d to %d", len(data), resetVector+tableEntry, maxFirmware)
	}
	end := len(data) - resetVector
	if string(data[end-16:end]) != tableFooter {
		return 0, errors.New("firmware: no table of GUIDs at its end")
	}
	// The length of the footer is that of the whole table with the footer.
	size := int(binary.LittleEndian.Uint16(data[end-tableEntry:]))
	if size < tableEntry || size > end {
		return 0, fmt.Errorf("firmware: table of GUIDs of %d bytes, want %d to %d", size, tableEntry, end)
	}
	table := data[end-size : end-tableEntry]
	for len(table) > 0 {
		if len(table) < tableEntry {
			return 0, errors.New("firmware: table of GUIDs: its lengths do not add up")
		}
		guid := string(table[len(table)-16:])
		size := int(binary.LittleEndian.Uint16(table[len(table)-tableEntry:]))
		if size < tableEntry || size > len(table) {
			return 0, fmt.Errorf("firmware: table of GUIDs: entry of %d bytes, want %d to %d", size, tableEntry, len(table))
		}
		entry := table[len(table)-size : len(table)-tableEntry]
		if guid == metadataOffset {
			if len(entry) != 4 {
				return 0, fmt.Errorf("firmware: TDX metadata offset of %d bytes, want 4", len(entry))
			}
			back := binary.LittleEndian.Uint32(entry)
			if uint64(back) > uint64(len(data)) {
				return 0, fmt.Errorf("firmware: TDX metadata %d bytes before the end of %d", back, len(data))
			}
			return len(data) - int(back), nil
		}
		table = table[:len(table)-size]
	}
	return 0, errors.New("firmware: no TDX metadata; it does not support TDX")
}

func parseSection(firmware, b []byte) (section, error) {
	offset, size := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	memory := binary.LittleEndian.Uint64(b[16:])
	s := section{
		address: binary.LittleEndian.Uint64(b[8:]), pages: memory / pageSize,
		kind: binary.LittleEndian.Uint32(b[24:]), attributes: binary.LittleEndian.Uint32(b[28:]),
	}
	switch {
	case s.address%pageSize != 0 || memory%pageSize != 0 || memory == 0:
		return section{}, fmt.Errorf("%d bytes at %#x, want whole pages", memory, s.address)
	case memory > maxFirmwareMemory || s.address > maxMemory:
		return section{}, fmt.Errorf("%d bytes at %#x, beyond the memory", memory, s.address)
	case size > memory:
		return section{}, fmt.Errorf("%d bytes of content, want at most %d", size, memory)
	case offset+size > uint64(len(firmware)):
		return section{}, fmt.Errorf("content of %d bytes at %d, beyond the file", size, offset)
	case s.attributes&attributeExtend != 0 && size != memory:
		return section{}, fmt.Errorf("%d bytes of measured content, want %d", size, memory)
	}
	s.data = firmware[offset : offset+size]
	return s, nil
}

// mrtd returns the measurement of the sections, in one of QEMU's two orders: page by page, or all pages of a section
// first and their content afterwards. Source: Intel's "TDX Module ABI", TDH.MEM.PAGE.ADD and TDH.MR.EXTEND.
func (f *firmware) mrtd(twoPass bool) Digest {
	h := sha512.New384()
	record := func(name string, address uint64) {
		var b [128]byte
		copy(b[:], name)
		binary.LittleEndian.PutUint64(b[16:], address)
		h.Write(b[:])
	}
	for _, s := range f.sections {
		add := func(page uint64) {
			if s.attributes&attributeAug == 0 {
				record("MEM.PAGE.ADD", s.address+page*pageSize)
			}
		}
		extend := func(page uint64) {
			if s.attributes&attributeExtend == 0 {
				return
			}
			for at := page * pageSize; at < (page+1)*pageSize; at += extendChunk {
				record("MR.EXTEND", s.address+at)
				h.Write(s.data[at : at+extendChunk])
			}
		}
		for page := range s.pages {
			add(page)
			if !twoPass {
				extend(page)
			}
		}
		for page := range s.pages {
			if twoPass {
				extend(page)
			}
		}
	}
	return Digest(h.Sum(nil))
}

// hob returns the ranges that the firmware accepts before it measures its hand-off block.
func (f *firmware) hob() (tdHOB, error) {
	var h tdHOB
	blocks := 0
	for _, s := range f.sections {
		switch s.kind {
		case sectionTDHOB:
			h.base = s.address / pageSize
			blocks++
		case sectionTempMemory:
		default:
			continue
		}
		h.ranges = append(h.ranges, pageRange{start: s.address / pageSize, count: s.pages})
	}
	if blocks != 1 {
		return tdHOB{}, fmt.Errorf("firmware: %d TD HOB sections, want 1", blocks)
	}
	return h, h.check()
}

// Sizes and types of the hand-off blocks (HOB) of the UEFI platform initialization specification, volume 3.
const (
	hobHandoff, hobHandoffSize   = 1, 56
	hobResource, hobResourceSize = 3, 48
	hobVersion                   = 9
	resourceMemory               = 0 // accepted by the firmware
	resourceUnaccepted           = 7
	resourceAttributes           = 7 // present, initialized, tested
)

const (
	pageSize = 4 << 10
	gib      = 1 << 30
	// highMemory is the size from which on QEMU keeps only the first 2 GiB below the 4 GiB boundary.
	highMemory = 2816 << 20
	// maxMemory bounds the size of a guest. 52 bits are the physical address space of TDX.
	maxMemory = 1 << 52
	// maxRanges bounds the ranges of a firmware; dstack's has four.
	maxRanges = 64
)

// pageRange is a piece of memory, in pages.
type pageRange struct{ start, count uint64 }

// tdHOB describes the memory that the firmware accepts before it measures the hand-off block of the host.
type tdHOB struct {
	base   uint64 // the page of the block itself
	ranges []pageRange
}

// parseTDHOB reads dstack's compact form: the lowest page, the page of the block above it, the number of ranges,
// and for each its first page above the lowest and its length.
func parseTDHOB(data []byte) (tdHOB, error) {
	r := bytes.NewReader(data)
	next := func() uint64 {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > maxMemory/pageSize {
			return maxMemory // no page has this number: it is refused below
		}
		return n
	}
	lowest := next()
	h := tdHOB{base: lowest + next()}
	count := next()
	if count == 0 || count > maxRanges || h.base > maxMemory/pageSize {
		return tdHOB{}, fmt.Errorf("TD HOB ranges %.40x: want a page and 1 to %d ranges", data, maxRanges)
	}
	for range count {
		h.ranges = append(h.ranges, pageRange{start: lowest + next(), count: next()})
	}
	if r.Len() > 0 {
		return tdHOB{}, fmt.Errorf("TD HOB ranges: %d bytes after the last one", r.Len())
	}
	return h, h.check()
}

// encode is the reverse of parseTDHOB.
func (h tdHOB) encode() []byte {
	lowest := h.ranges[0].start
	b := binary.AppendUvarint(nil, lowest)
	b = binary.AppendUvarint(b, h.base-lowest)
	b = binary.AppendUvarint(b, uint64(len(h.ranges)))
	for _, r := range h.ranges {
		b = binary.AppendUvarint(b, r.start-lowest)
		b = binary.AppendUvarint(b, r.count)
	}
	return b
}

// check sorts the ranges and returns an error for invalid ones.
func (h tdHOB) check() error {
	slices.SortFunc(h.ranges, func(a, b pageRange) int { return cmp.Compare(a.start, b.start) })
	end := uint64(0)
	for _, r := range h.ranges {
		if r.count == 0 || r.count > maxMemory/pageSize || r.start > maxMemory/pageSize || r.start < end {
			return fmt.Errorf("TD HOB ranges: page %d and %d more: empty, too large or overlapping", r.start, r.count)
		}
		end = r.start + r.count
	}
	if len(h.ranges) == 0 || h.base < h.ranges[0].start {
		return errors.New("TD HOB ranges: the block lies below them")
	}
	return nil
}

// digest returns the SHA-384 of the hand-off block that QEMU writes for a guest with this size of memory, in bytes: a
// header, and a resource for each range of memory in ascending order.
func (h tdHOB) digest(memory uint64) (Digest, error) {
	last := h.ranges[len(h.ranges)-1]
	cursor := (last.start + last.count) * pageSize
	if memory <= cursor || memory > maxMemory {
		return Digest{}, fmt.Errorf("memory of %d bytes, want more than %d and at most %d", memory, cursor, uint64(maxMemory))
	}
	block := make([]byte, hobHandoffSize, hobHandoffSize+(2*len(h.ranges)+2)*hobResourceSize)
	resource := func(kind byte, start, length uint64) {
		if length == 0 {
			return
		}
		b := make([]byte, hobResourceSize)
		binary.LittleEndian.PutUint16(b, hobResource)
		binary.LittleEndian.PutUint16(b[2:], hobResourceSize)
		b[24] = kind
		binary.LittleEndian.PutUint32(b[28:], resourceAttributes)
		binary.LittleEndian.PutUint64(b[32:], start)
		binary.LittleEndian.PutUint64(b[40:], length)
		block = append(block, b...)
	}
	cursor = 0
	for _, r := range h.ranges {
		resource(resourceUnaccepted, cursor, r.start*pageSize-cursor)
		resource(resourceMemory, r.start*pageSize, r.count*pageSize)
		cursor = (r.start + r.count) * pageSize
	}
	if memory < highMemory {
		resource(resourceUnaccepted, cursor, memory-cursor)
	} else {
		// Memory beyond 2 GiB begins at 4 GiB.
		if cursor < 2*gib {
			resource(resourceUnaccepted, cursor, 2*gib-cursor)
		}
		resource(resourceUnaccepted, 4*gib, memory-2*gib)
	}
	binary.LittleEndian.PutUint16(block, hobHandoff)
	binary.LittleEndian.PutUint16(block[2:], hobHandoffSize)
	binary.LittleEndian.PutUint32(block[8:], hobVersion)
	binary.LittleEndian.PutUint64(block[48:], h.base*pageSize+uint64(len(block))+8) // where the list ends
	return sha512.Sum384(block), nil
}
