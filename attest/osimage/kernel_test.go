package osimage

import (
	"bytes"
	"crypto"
	"crypto/sha512"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// makeKernel is a file that is both a Linux kernel and a PE file, as bzImage is. certificates is the size of a
// signature at its end.
func makeKernel(certificates int) []byte {
	b := make([]byte, 2*pageSize)
	for i := range b {
		b[i] = byte(i * 7)
	}
	copy(b[headerMagic:], "HdrS")
	binary.LittleEndian.PutUint16(b[headerVersion:], 0x20f)
	b[headerFlags] = loadedHigh
	binary.LittleEndian.PutUint16(b[headerXFlags:], above4G)
	const pe, optionalSize = 0x40, directories64 + 8*6
	binary.LittleEndian.PutUint32(b[peOffset:], pe)
	copy(b[pe:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(b[pe+6:], 2)
	binary.LittleEndian.PutUint16(b[pe+20:], optionalSize)
	optional := pe + coffSize
	binary.LittleEndian.PutUint16(b[optional:], pe64)
	binary.LittleEndian.PutUint32(b[optional+peHeaders:], pageSize)
	binary.LittleEndian.PutUint32(b[optional+directories64-4:], 6)
	binary.LittleEndian.PutUint64(b[optional+directories64+8*certDirectory:], 0)
	table := optional + optionalSize
	for i, s := range [][2]uint32{{pageSize + 0x800, 0x800}, {pageSize, 0x800}} { // in the wrong order
		clear(b[table+i*peSectionSize:][:peSectionSize])
		binary.LittleEndian.PutUint32(b[table+i*peSectionSize+16:], s[1])
		binary.LittleEndian.PutUint32(b[table+i*peSectionSize+20:], s[0])
	}
	if certificates > 0 {
		binary.LittleEndian.PutUint32(b[optional+directories64+8*certDirectory:], uint32(len(b)))
		binary.LittleEndian.PutUint32(b[optional+directories64+8*certDirectory+4:], uint32(certificates))
		b = append(b, bytes.Repeat([]byte{0xcc}, certificates)...)
	}
	return b
}

func TestAuthenticode_LeavesOutChecksumAndCertificates(t *testing.T) {
	t.Parallel()
	plain := makeKernel(0)
	const optional = 0x40 + coffSize
	const entry = optional + directories64 + 8*certDirectory
	want := sha512.Sum384(bytes.Join([][]byte{plain[:optional+peChecksum], plain[optional+peChecksum+4 : entry], plain[entry+8:]}, nil))
	have, err := authenticode(plain, crypto.SHA384)
	require.NoError(t, err)
	assert.Equal(t, want[:], have)

	signed := makeKernel(64)
	signed[optional+peChecksum] ^= 0xff
	have, err = authenticode(signed, crypto.SHA384)
	require.NoError(t, err)
	assert.Equal(t, want[:], have, "a signature changes nothing")

	for _, at := range []int{0, optional + peChecksum - 1, optional + peChecksum + 4, entry - 1, entry + 8, pageSize - 1, pageSize, len(plain) - 1} {
		changed := bytes.Clone(plain)
		changed[at] ^= 1
		if other, err := authenticode(changed, crypto.SHA384); err == nil {
			assert.NotEqual(t, want[:], other, "byte %d", at)
		}
	}
}

func TestAuthenticode_Refuses(t *testing.T) {
	t.Parallel()
	const optional = 0x40 + coffSize
	put32 := func(at int, n uint32) []byte {
		b := makeKernel(0)
		binary.LittleEndian.PutUint32(b[at:], n)
		return b
	}
	for name, data := range map[string][]byte{
		"nothing":                 nil,
		"no PE header":            put32(peOffset, 1<<30),
		"another signature":       put32(0x40, 0),
		"headers beyond the file": put32(optional+peHeaders, 1<<20),
		"headers too short":       put32(optional+peHeaders, 16),
		"too many sections":       put32(0x40+4, 0xffff0000),
		"a section beyond":        put32(optional+directories64+8*6+16, 1<<20),
		"overlapping sections":    put32(optional+directories64+8*6+20, pageSize+0x400),
		"certificates beyond":     put32(optional+directories64+8*certDirectory+4, 1<<20),
		"no certificate table":    put32(optional+directories64-4, 4),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := authenticode(data, crypto.SHA384)
			assert.Error(t, err)
		})
	}
}

// The address of the initial file system follows from the memory; from 2816 MiB on, and at exactly 2 GiB, it is
// the same. These are the rules that dstack's own test states.
func TestKernel_DependsOnSmallMemoriesOnly(t *testing.T) {
	t.Parallel()
	k, err := newKernel(makeKernel(0), 0x100000)
	require.NoError(t, err)
	digest := func(memory uint64) Digest {
		d, err := k.digest(memory)
		require.NoError(t, err)
		return d
	}
	fixed := digest(2 * gib)
	for _, memory := range []uint64{0, highMemory, 4 * gib, 2 << 40} {
		assert.Equal(t, fixed, digest(memory), "%d", memory)
	}
	for _, memory := range []uint64{1 * gib, 2*gib - pageSize, 2*gib + pageSize, highMemory - pageSize} {
		assert.NotEqual(t, fixed, digest(memory), "%d", memory)
	}
	address, err := k.initrdAddress(2 * gib)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x7fed7000), address, "2 GiB less the ACPI reserve, one byte and 1 MiB, rounded down")
}

func TestKernel_AddressLimitOfTheKernel(t *testing.T) {
	t.Parallel()
	data := makeKernel(0)
	binary.LittleEndian.PutUint16(data[headerXFlags:], 0)
	binary.LittleEndian.PutUint32(data[headerMaxAddr:], 0x1fffffff)
	k, err := newKernel(data, 0x100000)
	require.NoError(t, err)
	address, err := k.initrdAddress(4 * gib)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x1fefffff)&^0xfff, address)
	binary.LittleEndian.PutUint32(data[headerMaxAddr:], 0)
	address, err = k.initrdAddress(4 * gib)
	require.NoError(t, err)
	assert.Equal(t, uint32(0x37efffff)&^0xfff, address)
}

func TestNewKernel_Refuses(t *testing.T) {
	t.Parallel()
	change := func(at int, b ...byte) []byte {
		data := makeKernel(0)
		copy(data[at:], b)
		return data
	}
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"too short":     {make([]byte, 100), "100 bytes"},
		"not Linux":     {change(headerMagic, 'X'), "not a Linux kernel"},
		"too old":       {change(headerVersion, 0x0b), "boot protocol 0x20b"},
		"not a bzImage": {change(headerFlags, 0), "not a bzImage"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newKernel(tt.data, 1)
			assert.ErrorContains(t, err, tt.want)
		})
	}
	k, err := newKernel(makeKernel(0), 3*gib)
	require.NoError(t, err)
	_, err = k.digest(4 * gib)
	require.ErrorContains(t, err, "too small for an initial file system")
	_, err = k.digest(acpiReserve)
	require.Error(t, err)
}

func FuzzAuthenticode(f *testing.F) {
	f.Add(makeKernel(0))
	f.Add(makeKernel(64))
	f.Fuzz(func(t *testing.T, data []byte) {
		if k, err := newKernel(data, 1<<20); err == nil {
			_, _ = k.digest(2 * gib)
		}
		_, _ = authenticode(data, crypto.SHA384)
	})
}
