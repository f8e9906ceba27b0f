package onchain

import "github.com/phala-go/phala/internal/hexbytes"

// ParseBytes32 reads a compose hash or a device id: exactly 64 hex digits of either case, with or
// without "0x". Anything shorter is refused, not padded: a padded value is another value.
func ParseBytes32(text string) ([32]byte, error) {
	var out [32]byte
	if err := hexbytes.Parse(out[:], "32 bytes", text); err != nil {
		return [32]byte{}, err
	}
	return out, nil
}
