package osimage

import (
	"errors"
	"fmt"

	"github.com/phala-go/phala/internal/strictjson"
)

// maxVMConfig bounds a vm_config, in bytes. Real ones have 300 to 1,500.
const maxVMConfig = 256 << 10

// VMConfig is the host's unsigned description of a virtual machine.
type VMConfig struct {
	// OSImageHash is the stated hash of the image; empty in old guests.
	OSImageHash ImageHash `json:"os_image_hash"`
	// Memory is the stated size of the memory in bytes; 0 in old guests.
	Memory uint64 `json:"memory_size"`
	// Image is the host's name of the image, such as "dstack-0.6.0" or "dstack-dev-0.5.4".
	Image string `json:"image"`
	// Material is nil up to dstack 0.5.
	Material *Material `json:"tdx_measurement"`
	// MRConfig is the document that the third form of mr_config_id binds; empty for other guests.
	MRConfig string `json:"mr_config"`
}

// ParseVMConfig reads the JSON text vm_config, as GetQuote, /prpc/Info and attestations have it, or a JSON object
// with that text as its member "vm_config". An empty text is the zero value. Unknown members are ignored.
func ParseVMConfig(text string) (VMConfig, error) {
	return parseVMConfig(text, true)
}

func parseVMConfig(text string, nested bool) (VMConfig, error) {
	var c struct {
		VMConfig
		Nested *string `json:"vm_config"`
	}
	if text == "" {
		return c.VMConfig, nil
	}
	if len(text) > maxVMConfig {
		return c.VMConfig, fmt.Errorf("vm_config: %d bytes, want at most %d", len(text), maxVMConfig)
	}
	if err := strictjson.Unmarshal([]byte(text), &c); err != nil {
		return VMConfig{}, fmt.Errorf("vm_config: %w", err)
	}
	if c.Nested == nil {
		return c.VMConfig, nil
	}
	if !nested {
		return VMConfig{}, errors.New("vm_config: more than one object with the member vm_config within another")
	}
	inner, err := parseVMConfig(*c.Nested, false)
	if inner.MRConfig == "" {
		inner.MRConfig = c.MRConfig
	}
	return inner, err
}
