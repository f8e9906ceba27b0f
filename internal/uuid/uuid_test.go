package uuid

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]struct{ is, v4 bool }{
		"0b1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d":  {true, true},
		"0B1B2C3D4E5F4A6B8C7D9E0F1A2B3C4D":      {true, true},
		"0b1b2c3d-4e5f-1a6b-8c7d-9e0f1a2b3c4d":  {true, false},
		"0b1b2c3d4e5f1a6b8c7d9e0f1a2b3c4d":      {false, false},
		"0b1b2c3d-4e5f-4a6b-cc7d-9e0f1a2b3c4d":  {true, false},
		"0b1b2c3d4-e5f-4a6b-8c7d-9e0f1a2b3c4d":  {false, false},
		"0b1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4g":  {false, false},
		"0b1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4":   {false, false},
		"0b1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d0": {false, false},
		"":                                      {false, false},
	} {
		assert.Equal(t, want.is, Is(id), id)
		assert.Equal(t, want.v4, IsV4(id), id)
	}
	assert.Equal(t, Bare("0b1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"), Bare("0B1B2C3D4E5F4A6B8C7D9E0F1A2B3C4D"))
}
