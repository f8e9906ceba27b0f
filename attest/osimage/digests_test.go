package osimage

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The four registers of a real guest with dstack 0.6 follow from its material, its memory and its ACPI digests.
func TestFromMaterial_RegistersOfARealGuest(t *testing.T) {
	t.Parallel()
	e := readEvidence(t, "dstack-tdx-lite-getquote")
	image, err := FromMaterial(e.material(t))
	require.NoError(t, err)
	assert.Equal(t, "e6f5cfec20c02e7b97baa213d0f718020b55e040172d90ccbcb946d56c8b09db", image.Hash.String())

	acpi := e.digests(t, 0, typeACPI)
	registers, err := image.Registers(Machine{Memory: 2 << 30, ACPI: acpi})
	require.NoError(t, err)
	assert.Contains(t, registers, e.registers(t))

	t.Run("another order of the ACPI digests is another RTMR0", func(t *testing.T) {
		t.Parallel()
		registers, err := image.Registers(Machine{Memory: 2 << 30, ACPI: []Digest{acpi[1], acpi[0], acpi[2]}})
		require.NoError(t, err)
		for _, r := range registers {
			assert.NotEqual(t, e.registers(t).RTMR0, r.RTMR0)
			assert.Equal(t, e.registers(t).RTMR1, r.RTMR1)
		}
	})
	t.Run("another memory is another RTMR0", func(t *testing.T) {
		t.Parallel()
		registers, err := image.Registers(Machine{Memory: 4 << 30, ACPI: acpi})
		require.NoError(t, err)
		assert.NotContains(t, registers, e.registers(t))
	})
	t.Run("without memory or ACPI digests RTMR0 is open", func(t *testing.T) {
		t.Parallel()
		for _, m := range []Machine{{}, {Memory: 2 << 30}, {ACPI: acpi}} {
			registers, err := image.Registers(m)
			require.NoError(t, err)
			for _, r := range registers {
				assert.True(t, r.AnyRTMR0)
				assert.Zero(t, r.RTMR0)
				assert.Equal(t, e.registers(t).RTMR2, r.RTMR2)
			}
		}
	})
	t.Run("a memory for which the kernel's digest is not stated", func(t *testing.T) {
		t.Parallel()
		_, err := image.Registers(Machine{Memory: 1 << 30, ACPI: acpi})
		require.ErrorIs(t, err, ErrMemory)
		assert.ErrorContains(t, err, "1073741824")
		_, err = image.Registers(Machine{Memory: 2<<30 + 4096, ACPI: acpi})
		assert.ErrorIs(t, err, ErrMemory)
	})
	t.Run("two ACPI digests", func(t *testing.T) {
		t.Parallel()
		_, err := image.Registers(Machine{Memory: 2 << 30, ACPI: acpi[:2]})
		assert.ErrorContains(t, err, "2 ACPI digests, want 3")
	})
}

// No bit of the material can change without the hash, or the registers, being others.
func TestFromMaterial_EachBitCounts(t *testing.T) {
	t.Parallel()
	e := readEvidence(t, "dstack-tdx-lite-getquote")
	good := e.material(t)
	want, err := FromMaterial(good)
	require.NoError(t, err)
	flip := func(data []byte, bit int) []byte {
		changed := append([]byte(nil), data...)
		changed[bit/8] ^= 1 << (bit % 8)
		return changed
	}
	for bit := range 8 * len(good.Measurement) {
		_, err := FromMaterial(Material{ChecksumFile: good.ChecksumFile, Measurement: flip(good.Measurement, bit)})
		require.Error(t, err, "bit %d of the measurement", bit)
	}
	for bit := range 8 * len(good.ChecksumFile) {
		image, err := FromMaterial(Material{ChecksumFile: flip(good.ChecksumFile, bit), Measurement: good.Measurement})
		if err == nil { // white space, the case of a digit
			require.NotEqual(t, want.Hash, image.Hash, "bit %d of the checksum file", bit)
		}
	}
}

func example() *Digests {
	m := &Digests{TDHOB: tdHOB{base: 0x809, ranges: []pageRange{{0x800, 6}, {0x809, 2}, {0x80b, 2}, {0x810, 16}}}.encode()}
	for i, d := range []*Digest{&m.MRTDSinglePass, &m.MRTDTwoPass, &m.Kernel, &m.CommandLine, &m.Initrd} {
		d[0], d[47] = byte(i+1), byte(i+1)
	}
	return m
}

func TestDigests_EncodeAndParse(t *testing.T) {
	t.Parallel()
	encoded, err := example().Encode()
	require.NoError(t, err)
	parsed, err := ParseDigests(encoded)
	require.NoError(t, err)
	assert.Equal(t, example(), parsed)
}

func TestDigests_EncodesAsDstackDoes(t *testing.T) {
	t.Parallel()
	real := readEvidence(t, "dstack-tdx-lite-getquote").material(t).Measurement
	parsed, err := ParseDigests(real)
	require.NoError(t, err)
	again, err := parsed.Encode()
	require.NoError(t, err)
	assert.Equal(t, real, again)
}

func TestParseDigests_Refuses(t *testing.T) {
	t.Parallel()
	change := func(f func(m map[string]any)) []byte {
		encoded, err := example().Encode()
		require.NoError(t, err)
		mode, err := cbor.DecOptions{DefaultMapType: nil}.DecMode()
		require.NoError(t, err)
		var m map[string]any
		require.NoError(t, mode.Unmarshal(encoded, &m))
		f(m)
		changed, err := cbor.Marshal(m)
		require.NoError(t, err)
		return changed
	}
	inner := func(m map[string]any, name string) map[any]any { return m[name].(map[any]any) }
	whole, err := example().Encode()
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"nothing":            {nil, "EOF"},
		"cut":                {whole[:len(whole)-1], "EOF"},
		"a byte more":        {append(append([]byte(nil), whole...), 0), "extraneous"},
		"another version":    {change(func(m map[string]any) { m["version"] = 4 }), "version 4, want 3"},
		"no version":         {change(func(m map[string]any) { delete(m, "version") }), "version 0, want 3"},
		"another layout":     {change(func(m map[string]any) { inner(m, "tdvf")["ovmf"] = "post202505" }), `layout "post202505"`},
		"an unknown member":  {change(func(m map[string]any) { m["more"] = 1 }), "unknown field"},
		"a short digest":     {change(func(m map[string]any) { inner(m, "image")["initrd_sha384"] = make([]byte, 47) }), "initrd_sha384 of 47 bytes, want 48"},
		"a missing digest":   {change(func(m map[string]any) { delete(inner(m, "image"), "kernel_authenticode") }), "kernel_authenticode of 0 bytes"},
		"a digest as text":   {change(func(m map[string]any) { inner(m, "image")["initrd_sha384"] = fmt.Sprintf("%096d", 0) }), "cannot unmarshal"},
		"no ranges":          {change(func(m map[string]any) { inner(m, "tdvf")["td_hob"] = []byte{0, 0, 0} }), "want a page and 1 to 64 ranges"},
		"too many bytes":     {make([]byte, maxMeasurement+1), "want at most"},
		"an indefinite map":  {append([]byte{0xbf}, 0xff), "indefinite"},
		"a member twice":     {append([]byte{0xa4, 0x67}, append([]byte("version\x03"), whole[1:]...)...), "duplicate"},
		"nesting too deep":   {[]byte{0xa1, 0x65, 'i', 'm', 'a', 'g', 'e', 0x81, 0x81, 0x81, 0x81, 0x81, 0x00}, "nest"},
		"another case":       {change(func(m map[string]any) { m["Version"] = m["version"]; delete(m, "version") }), "unknown field"},
		"a tag in the front": {append([]byte{0xd9, 0xd9, 0xf7}, whole...), "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseDigests(tt.data)
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func TestFromMaterial_Refuses(t *testing.T) {
	t.Parallel()
	measurement, err := example().Encode()
	require.NoError(t, err)
	line := fmt.Sprintf("%x  measurement.tdx.cbor\n", sha256.Sum256(measurement))
	_, err = FromMaterial(Material{ChecksumFile: []byte("00  bzImage\n\n" + line), Measurement: measurement})
	require.NoError(t, err)
	for name, tt := range map[string]struct{ checksums, want string }{
		"nothing":         {"", "not listed"},
		"other files":     {"00  bzImage\n", "not listed"},
		"twice":           {line + line, "listed twice"},
		"another hash":    {fmt.Sprintf("%064x  measurement.tdx.cbor\n", 1), "as listed in"},
		"a short hash":    {"00  measurement.tdx.cbor\n", "want 64 hexadecimal digits"},
		"a third column":  {"00 a b\n" + line, "want a hash and a file name"},
		"too many bytes":  {string(make([]byte, maxChecksums+1)), "want at most"},
		"a path to it":    {"00  x/measurement.tdx.cbor\n", "not listed"},
		"a name prefixed": {fmt.Sprintf("%x  xmeasurement.tdx.cbor\n", sha256.Sum256(measurement)), "not listed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := FromMaterial(Material{ChecksumFile: []byte(tt.checksums), Measurement: measurement})
			assert.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzParseDigests(f *testing.F) {
	whole, err := example().Encode()
	require.NoError(f, err)
	f.Add(whole)
	f.Add([]byte{0xbf, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseDigests(data)
		if err != nil {
			return
		}
		image := &Image{digests: m}
		registers, err := image.Registers(Machine{Memory: 4 << 30, ACPI: make([]Digest, 3)})
		if err != nil {
			return // ranges beyond the memory
		}
		require.Len(t, registers, 2)
		// What was understood can be written, and is understood again.
		again, err := m.Encode()
		require.NoError(t, err)
		parsed, err := ParseDigests(again)
		require.NoError(t, err)
		require.Equal(t, m, parsed)
	})
}
