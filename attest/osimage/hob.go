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

// tdHOB describes what the firmware accepts before it measures the hand-off block that the host wrote.
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
			return maxMemory // refused below, because no page has this number
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

// check sorts the ranges and refuses those that cannot be.
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

// digest returns the SHA-384 of the hand-off block that QEMU writes for a guest with so many bytes of memory:
// a header, and one resource for each piece of memory in ascending order.
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
		// What does not fit below 2 GiB continues at 4 GiB.
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
