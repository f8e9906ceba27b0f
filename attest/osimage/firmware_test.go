package osimage

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
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
		"not for TDX":         {replace(metadataOffset, "0123456789abcdef"), "not made for TDX"},
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
