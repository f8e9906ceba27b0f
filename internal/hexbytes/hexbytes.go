// Package hexbytes parses hexadecimal text of a fixed length: hashes, keys and ids.
package hexbytes

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Parse fills into with the bytes of text: exactly two digits per byte, of either case, with or without "0x". Shorter
// text is refused and not padded: a padded value is another value. name says in errors what the text is; into is zero
// after an error.
func Parse(into []byte, name, text string) error {
	bare := strings.TrimPrefix(text, "0x")
	if len(bare) != 2*len(into) {
		return fmt.Errorf("%s %.120q: %d characters, want %d hexadecimal digits", name, text, len(bare), 2*len(into))
	}
	if _, err := hex.Decode(into, []byte(bare)); err != nil {
		clear(into)
		return fmt.Errorf("%s %.120q: want %d hexadecimal digits", name, text, 2*len(into))
	}
	return nil
}
