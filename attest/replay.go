package attest

import (
	"crypto/sha512"
	"fmt"
)

// Replay extends the four registers by the events of a log, in its order. The digest of each runtime event is
// computed from its name and payload; where the log says otherwise Replay fails.
func Replay(log []Event) ([4]Measurement, error) {
	var registers [4]Measurement
	var buffer [2 * sha512.Size384]byte
	for i := range log {
		e := &log[i]
		if e.IMR < 0 || e.IMR >= len(registers) {
			return registers, fmt.Errorf("%w: entry %d: register %d, want 0 to 3", ErrEventLog, i, e.IMR)
		}
		if e.IMR == 3 && e.Type != RuntimeEvent {
			// Its digest could not be tied to its name and payload.
			return registers, fmt.Errorf("%w: entry %d (%.80q): type %#x in RTMR3, want %#x", ErrEventLog, i, e.Name, e.Type, RuntimeEvent)
		}
		digest, err := e.measured()
		if err != nil {
			return registers, fmt.Errorf("entry %d (%.80q): %w", i, e.Name, err)
		}
		copy(buffer[:], registers[e.IMR][:])
		copy(buffer[sha512.Size384:], digest[:])
		registers[e.IMR] = sha512.Sum384(buffer[:])
	}
	return registers, nil
}
