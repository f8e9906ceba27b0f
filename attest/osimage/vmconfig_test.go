package osimage

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseVMConfig_RealGuests(t *testing.T) {
	t.Parallel()
	c, err := ParseVMConfig(readEvidence(t, "dstack-tdx-lite-getquote").VMConfig)
	require.NoError(t, err)
	assert.Equal(t, uint64(2<<30), c.Memory)
	assert.Equal(t, "dstack-0.6.0", c.Image)
	image, err := FromMaterial(*c.Material)
	require.NoError(t, err)
	assert.Equal(t, c.OSImageHash, image.Hash)

	c, err = ParseVMConfig(readEvidence(t, "nearcloud-2026-06-10-014855-2").VMConfig)
	require.NoError(t, err)
	assert.Equal(t, uint64(2<<40), c.Memory)
	assert.Equal(t, "9b69bb1698bacbb6985409a2c272bcb892e09cdcea63d5399c6768b67d3ff677", c.OSImageHash.String())
	assert.Nil(t, c.Material)
}

func TestParseVMConfig_Forms(t *testing.T) {
	t.Parallel()
	c, err := ParseVMConfig("")
	require.NoError(t, err)
	assert.Zero(t, c)
	c, err = ParseVMConfig(`{"vm_config":"{\"memory_size\":5,\"more\":1,\"os_image_hash\":\"\"}","mr_config":"{}"}`)
	require.NoError(t, err)
	assert.Equal(t, VMConfig{Memory: 5, MRConfig: "{}"}, c)
	c, err = ParseVMConfig(`{"image":"dstack-dev-0.5.4","mr_config":"{\"version\":3}"}`)
	require.NoError(t, err)
	assert.Equal(t, VMConfig{Image: "dstack-dev-0.5.4", MRConfig: `{"version":3}`}, c)
	for name, text := range map[string]string{
		"not JSON":           "x",
		"a list":             "[]",
		"a short hash":       `{"os_image_hash":"00"}`,
		"a negative size":    `{"memory_size":-1}`,
		"material not bytes": `{"tdx_measurement":{"measurement":"%"}}`,
		"nested twice":       `{"vm_config":"{\"vm_config\":\"{}\"}"}`,
		"nested that is not": `{"vm_config":"x"}`,
		"too long":           strings.Repeat(" ", maxVMConfig) + "{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseVMConfig(text)
			assert.ErrorContains(t, err, "vm_config")
		})
	}
}
