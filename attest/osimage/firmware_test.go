package osimage

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testSection is a section of a made-up firmware.
type testSection struct {
	content          []byte
	address, memory  uint64
	kind, attributes uint32
}

// dstackSections are like those of dstack's firmware, with less content.
func dstackSections() []testSection {
	code := bytes.Repeat([]byte("firmware"), 2*pageSize/8)
	return []testSection{
		{content: code, address: 0xffe00000, memory: 2 * pageSize, attributes: attributeExtend},
		{content: make([]byte, 64), address: 0xffc00000, memory: pageSize, kind: 1},
		{address: 0x810000, memory: 0x10000, kind: sectionTempMemory},
		{address: 0x80b000, memory: 0x2000, kind: sectionTempMemory},
		{address: 0x809000, memory: 0x2000, kind: sectionTDHOB},
		{address: 0x800000, memory: 0x6000, kind: sectionTempMemory},
	}
}

// makeFirmware writes a file with the content, the descriptor, the table of GUIDs and the reset vector.
func makeFirmware(sections []testSection) []byte {
	var file bytes.Buffer
	file.WriteString("padding")
	descriptor := binary.LittleEndian.AppendUint32([]byte("TDVF"), uint32(descriptorSize+sectionSize*len(sections)))
	descriptor = binary.LittleEndian.AppendUint32(descriptor, descriptorVersion)
	descriptor = binary.LittleEndian.AppendUint32(descriptor, uint32(len(sections)))
	for _, s := range sections {
		descriptor = binary.LittleEndian.AppendUint32(descriptor, uint32(file.Len()))
		descriptor = binary.LittleEndian.AppendUint32(descriptor, uint32(len(s.content)))
		descriptor = binary.LittleEndian.AppendUint64(descriptor, s.address)
		descriptor = binary.LittleEndian.AppendUint64(descriptor, s.memory)
		descriptor = binary.LittleEndian.AppendUint32(descriptor, s.kind)
		descriptor = binary.LittleEndian.AppendUint32(descriptor, s.attributes)
		file.Write(s.content)
	}
	at := file.Len()
	file.Write(descriptor)
	entry := func(data []byte, guid string) []byte {
		return append(binary.LittleEndian.AppendUint16(data, uint16(len(data)+tableEntry)), guid...)
	}
	table := entry([]byte("another"), "another GUID....")
	// The offset counts from the end of the file: this entry, the footer and the reset vector still follow.
	back := file.Len() + len(table) + 4 + 2*tableEntry + resetVector - at
	table = append(table, entry(binary.LittleEndian.AppendUint32(nil, uint32(back)), metadataOffset)...)
	table = append(table, entry(make([]byte, 0), "one more GUID...")...)
	// One more entry moved the end.
	binary.LittleEndian.PutUint32(table[len(table)-2*tableEntry-4:], uint32(back+tableEntry))
	file.Write(table)
	file.Write(append(binary.LittleEndian.AppendUint16(nil, uint16(len(table)+tableEntry)), tableFooter...))
	file.Write(make([]byte, resetVector))
	return file.Bytes()
}

// The measurement is written out here record by record, as Intel's document lists them.
func TestFirmware_MRTD(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte{1, 2, 3, 4}, 2*pageSize/4)
	f, err := parseFirmware(makeFirmware([]testSection{
		{content: content, address: 0x10000, memory: 2 * pageSize, attributes: attributeExtend},
		{address: 0x20000, memory: pageSize, kind: sectionTDHOB},
		{address: 0x30000, memory: pageSize, kind: sectionTempMemory, attributes: attributeAug},
	}))
	require.NoError(t, err)
	record := func(name string, address uint64) []byte {
		b := make([]byte, 128)
		copy(b, name)
		binary.LittleEndian.PutUint64(b[16:], address)
		return b
	}
	var adds, extends [2][]byte
	for page := range 2 {
		base := uint64(0x10000 + page*0x1000)
		adds[page] = record("MEM.PAGE.ADD", base)
		for chunk := range 16 {
			extends[page] = append(extends[page], record("MR.EXTEND", base+uint64(chunk)*256)...)
			extends[page] = append(extends[page], content[page*0x1000+chunk*256:][:256]...)
		}
	}
	last := record("MEM.PAGE.ADD", 0x20000)
	assert.Equal(t, Digest(sha512.Sum384(bytes.Join([][]byte{adds[0], extends[0], adds[1], extends[1], last}, nil))), f.mrtd(false))
	assert.Equal(t, Digest(sha512.Sum384(bytes.Join([][]byte{adds[0], adds[1], extends[0], extends[1], last}, nil))), f.mrtd(true))
}

func TestFirmware_HandoffRanges(t *testing.T) {
	t.Parallel()
	f, err := parseFirmware(makeFirmware(dstackSections()))
	require.NoError(t, err)
	h, err := f.hob()
	require.NoError(t, err)
	assert.Equal(t, dstackRanges(), h)
}

func TestParseFirmware_Refuses(t *testing.T) {
	t.Parallel()
	with := func(change func(s []testSection) []testSection) []byte { return makeFirmware(change(dstackSections())) }
	set := func(i int, change func(s *testSection)) []byte {
		return with(func(s []testSection) []testSection { change(&s[i]); return s })
	}
	good := makeFirmware(dstackSections())
	replace := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":             {nil, "0 bytes"},
		"no table":            {make([]byte, 4096), "no table of GUIDs"},
		"not for TDX":         {replace(metadataOffset, "0123456789abcdef"), "does not support TDX"},
		"no descriptor":       {replace("TDVF", "XXXX"), "no TDVF descriptor"},
		"another version":     {replace("TDVF\xd0\x00\x00\x00\x01", "TDVF\xd0\x00\x00\x00\x02"), "version 2, want 1"},
		"no sections":         {with(func([]testSection) []testSection { return nil }), "0 sections"},
		"too many sections":   {with(func(s []testSection) []testSection { return append(s, make([]testSection, 64)...) }), "70 sections"},
		"half a page":         {set(0, func(s *testSection) { s.memory += 1 }), "whole pages"},
		"an odd address":      {set(0, func(s *testSection) { s.address += 1 }), "whole pages"},
		"no pages":            {set(2, func(s *testSection) { s.memory = 0 }), "whole pages"},
		"too many pages":      {set(2, func(s *testSection) { s.memory = 1 << 40 }), "beyond the memory"},
		"pages that add up":   {set(2, func(s *testSection) { s.memory = maxFirmwareMemory }), "cover more than"},
		"content beyond them": {set(1, func(s *testSection) { s.content = make([]byte, 2*pageSize) }), "want at most 4096"},
		"too little measured": {set(0, func(s *testSection) { s.memory += pageSize }), "of measured content, want"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseFirmware(tt.data)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	for name, data := range map[string][]byte{
		"no hand-off block":  set(4, func(s *testSection) { s.kind = sectionTempMemory }),
		"two of them":        set(3, func(s *testSection) { s.kind = sectionTDHOB }),
		"overlapping ranges": set(5, func(s *testSection) { s.memory = 0x10000 }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := parseFirmware(data)
			require.NoError(t, err)
			_, err = f.hob()
			assert.Error(t, err)
		})
	}
}

// A changed byte of the measured content, of an address or of a size is another MRTD, or no firmware at all.
func TestFirmware_EachMeasuredByteCounts(t *testing.T) {
	t.Parallel()
	good := makeFirmware(dstackSections())
	f, err := parseFirmware(good)
	require.NoError(t, err)
	want := f.mrtd(false)
	start := bytes.Index(good, []byte("firmware"))
	for _, at := range []int{start, start + 255, start + 256, start + pageSize, start + 2*pageSize - 1, bytes.Index(good, []byte("TDVF")) + 16 + 9} {
		changed := append([]byte(nil), good...)
		changed[at] ^= 0x10
		f, err := parseFirmware(changed)
		if err == nil {
			assert.NotEqual(t, want, f.mrtd(false), "byte %d", at)
		}
	}
}

func FuzzParseFirmware(f *testing.F) {
	f.Add(makeFirmware(dstackSections()))
	f.Add(makeFirmware(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		firmware, err := parseFirmware(data)
		if err != nil {
			return
		}
		if h, err := firmware.hob(); err == nil {
			parsed, err := parseTDHOB(h.encode())
			require.NoError(t, err)
			require.Equal(t, h, parsed)
		}
		total := uint64(0)
		for _, s := range firmware.sections {
			total += s.pages
		}
		if total < 1024 {
			firmware.mrtd(true)
		}
	})
}

// dstackRanges are those of dstack's firmware, from 0.3 to 0.6.
func dstackRanges() tdHOB {
	return tdHOB{base: 0x809, ranges: []pageRange{{0x800, 6}, {0x809, 2}, {0x80b, 2}, {0x810, 16}}}
}

// The first event of RTMR0 in real logs is the digest of the hand-off block for the memory that vm_config states.
func TestTDHOB_RealLogs(t *testing.T) {
	t.Parallel()
	for name, memory := range map[string]uint64{
		"dstack-tdx-lite-getquote":      2 << 30,
		"nearcloud-2026-06-10-014855-0": 8 << 30,
		"nearcloud-2026-06-10-014855-2": 2 << 40,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := readEvidence(t, name).digests(t, 0, typeHandoff)
			require.Len(t, want, 1)
			have, err := dstackRanges().digest(memory)
			require.NoError(t, err)
			assert.Equal(t, want[0], have)
		})
	}
}

// RTMR0 of real guests up to dstack 0.5 follows from the firmware's ranges, the memory and the ACPI digests alone:
// all other events are fixed.
func TestRTMR0_RealGuests(t *testing.T) {
	t.Parallel()
	m := &Digests{TDHOB: dstackRanges().encode()}
	for name, memory := range map[string]uint64{
		"nearcloud-2026-06-10-014855-0": 8 << 30,
		"nearcloud-2026-06-10-014855-2": 2 << 40,
		"solver-alice":                  2 << 30,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := readEvidence(t, name)
			have, err := m.events(Machine{Memory: memory, ACPI: e.digests(t, 0, typeACPI)}, Digest{})
			require.NoError(t, err)
			assert.Equal(t, e.registers(t).RTMR0, m.candidates(have)[0].RTMR0)
		})
	}
}

// RTMR1 and RTMR2 of real guests follow from the digests of kernel, command line and initial file system.
func TestRTMR1And2_RealGuests(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"dstack-tdx-lite-getquote", "nearcloud-2026-06-10-014855-0", "nearcloud-2026-06-10-014855-2", "solver-alice",
		"mpc-2026-01-28-832c32", "mpc-2026-08-14-50328c", "private-ml-sdk-sample", "solver-2025-06", "tinychat-2026",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := readEvidence(t, name)
			kernel, loaded := e.digests(t, 1, 0x80000003), e.digests(t, 2, 6)
			require.Len(t, kernel, 1)
			require.Len(t, loaded, 2)
			m := &Digests{CommandLine: loaded[0], Initrd: loaded[1]}
			events, err := m.events(Machine{}, kernel[0])
			require.NoError(t, err)
			registers := m.candidates(events)
			assert.Equal(t, e.registers(t).RTMR1, registers[0].RTMR1)
			assert.Equal(t, e.registers(t).RTMR2, registers[0].RTMR2)
		})
	}
}

func TestTDHOB_Encode(t *testing.T) {
	t.Parallel()
	// The value that dstack's own test states for these ranges.
	assert.Equal(t, "80100904000609020b021010", hex.EncodeToString(dstackRanges().encode()))
	parsed, err := parseTDHOB(dstackRanges().encode())
	require.NoError(t, err)
	assert.Equal(t, dstackRanges(), parsed)
}

func TestParseTDHOB_Refuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":             "",
		"no ranges":           "801009" + "00",
		"fewer than stated":   "80100904000609020b02",
		"more than stated":    "80100903000609020b021010",
		"an empty range":      "801009" + "01" + "0000",
		"overlapping":         "801009" + "02" + "0006" + "0502",
		"a number of 11":      "ffffffffffffffffffffff01" + "0901" + "0006",
		"a page too high":     "ffffffffffffffff7f" + "0901" + "0006",
		"a length too large":  "801009" + "01" + "00" + "ffffffffffffffff7f",
		"the block below all": "801000" + "01" + "0106",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			raw, err := hex.DecodeString(text)
			require.NoError(t, err)
			_, err = parseTDHOB(raw)
			assert.Error(t, err)
		})
	}
}

func TestTDHOB_MemoryBounds(t *testing.T) {
	t.Parallel()
	h := dstackRanges()
	_, err := h.digest(0x820 * pageSize)
	require.ErrorContains(t, err, "want more than")
	_, err = h.digest(maxMemory + 1)
	require.Error(t, err)
	// Each size is another digest, also around the point from which on memory continues above 4 GiB.
	seen := map[Digest]uint64{}
	for _, memory := range []uint64{1 * gib, 2 * gib, highMemory - pageSize, highMemory, highMemory + pageSize, 3 * gib, 4 * gib} {
		d, err := h.digest(memory)
		require.NoError(t, err)
		require.NotContains(t, seen, d)
		seen[d] = memory
	}
}
