package attest

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// Measurement is a SHA-384, as TDX keeps them in MRTD and in the four run-time registers (RTMR).
type Measurement [48]byte

// ParseMeasurement reads 96 hexadecimal digits of either case, with or without "0x".
func ParseMeasurement(text string) (Measurement, error) {
	var m Measurement
	bare := strings.TrimPrefix(text, "0x")
	if len(bare) != 2*len(m) {
		return Measurement{}, fmt.Errorf("measurement %.120q: %d characters, want 96 hexadecimal digits", text, len(bare))
	}
	if _, err := hex.Decode(m[:], []byte(bare)); err != nil {
		return Measurement{}, fmt.Errorf("measurement %.120q: want 96 hexadecimal digits", text)
	}
	return m, nil
}

// String gives 96 lower-case hexadecimal digits.
func (m Measurement) String() string { return hex.EncodeToString(m[:]) }

// MarshalText is String.
func (m Measurement) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is [ParseMeasurement].
func (m *Measurement) UnmarshalText(text []byte) error {
	parsed, err := ParseMeasurement(string(text))
	if err != nil {
		return err
	}
	*m = parsed
	return nil
}

// IsZero tells a register that nothing was measured into.
func (m Measurement) IsZero() bool { return m == Measurement{} }

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
