package osimage

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestImageHash_Text(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0a", 32)
	for _, form := range []string{text, "0x" + text, strings.ToUpper(text)} {
		h, err := ParseImageHash(form)
		require.NoError(t, err)
		assert.Equal(t, text, h.String())
		again, err := h.MarshalText()
		require.NoError(t, err)
		assert.Equal(t, text, string(again))
	}
	for _, form := range []string{"", "0x", text[2:], text + "00", "zz" + text[2:], " " + text} {
		_, err := ParseImageHash(form)
		assert.Error(t, err)
	}
	empty, err := ImageHash{}.MarshalText()
	require.NoError(t, err)
	assert.Empty(t, empty)
}

func TestImage_ConcurrentUse(t *testing.T) {
	t.Parallel()
	image, err := Open(writeDirectory(t, edit(func(map[string][]byte) {})))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			_, err := image.Registers(Machine{Memory: uint64(1+i%3) << 30})
			assert.NoError(t, err)
		})
	}
	wg.Wait()
	assert.LessOrEqual(t, len(image.kernel.digests), 2, "the kernel is hashed once for each address: 1 GiB, and 2 GiB or more")
}

func TestImage_JSON(t *testing.T) {
	t.Parallel()
	image, err := Open(writeDirectory(t, edit(setMetadata(t, "is_dev", true))))
	require.NoError(t, err)
	for _, want := range []*Image{image, {Hash: ImageHash{1}}} {
		text, err := json.Marshal(want)
		require.NoError(t, err)
		var have Image
		require.NoError(t, json.Unmarshal(text, &have))
		assert.Equal(t, want.String(), have.String())
		assert.Equal(t, want.digests, have.digests)
	}
	for _, text := range []string{`{}`, `{"hash":"00"}`, `{"hash":"` + image.Hash.String() + `","measurement":"AA=="}`, `{"hash":"` + image.Hash.String() + `","more":1}`} {
		assert.Error(t, json.Unmarshal([]byte(text), &Image{}), text)
	}
}

func TestImage_HashOnly(t *testing.T) {
	t.Parallel()
	_, err := (&Image{Hash: [32]byte{1}}).Registers(Machine{})
	require.ErrorIs(t, err, ErrHashOnly)
	require.Error(t, (&Image{}).Validate())
	require.Error(t, (*Image)(nil).Validate())
	assert.Equal(t, "dstack 0.5.4, development, os image 01"+fmt.Sprintf("%062d", 0), (&Image{Hash: [32]byte{1}, Version: "0.5.4", Development: true}).String())
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
