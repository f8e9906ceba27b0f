package onchain

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// ParseBytes32 reads a compose hash or a device id: exactly 64 hex digits of either case, with or
// without "0x". Anything shorter is refused, not padded: a padded value is another value.
func ParseBytes32(text string) ([32]byte, error) {
	var out [32]byte
	bare := strings.TrimPrefix(text, "0x")
	if len(bare) != 2*len(out) {
		return out, fmt.Errorf("%.80q: %d hexadecimal digits, want 64 (32 bytes)", text, len(bare))
	}
	if _, err := hex.Decode(out[:], []byte(bare)); err != nil {
		return [32]byte{}, fmt.Errorf("%.80q: want 64 hexadecimal digits (32 bytes)", text)
	}
	return out, nil
}
