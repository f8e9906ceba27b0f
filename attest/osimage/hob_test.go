package osimage

import (
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

// If the size of the memory is not stated, the hand-off block's digest tells it.
func TestImage_FindsTheMemory(t *testing.T) {
	t.Parallel()
	e := readEvidence(t, "dstack-tdx-lite-getquote")
	image, err := FromMaterial(e.material(t))
	require.NoError(t, err)
	handoff := e.digests(t, 0, typeHandoff)[0]
	registers, err := image.Registers(Machine{Handoff: &handoff, ACPI: e.digests(t, 0, typeACPI)})
	require.NoError(t, err)
	assert.Contains(t, registers, e.registers(t))

	other := Digest{1}
	registers, err = image.Registers(Machine{Handoff: &other, ACPI: e.digests(t, 0, typeACPI)})
	require.NoError(t, err)
	assert.True(t, registers[0].AnyRTMR0, "a block of no known size")

	for name, memory := range map[string]uint64{
		"nearcloud-2026-06-10-014855-0": 8 << 30, "nearcloud-2026-06-10-014855-2": 2 << 40, "solver-alice": 2 << 30,
		"mpc-2026-08-14-50328c": 64 << 30,
	} {
		assert.Equal(t, memory, image.memory(readEvidence(t, name).digests(t, 0, typeHandoff)[0]), name)
	}
}
