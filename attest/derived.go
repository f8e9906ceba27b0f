package attest

import (
	"crypto/sha256"
	"slices"
)

// MRAggregated is the SHA-256 over MRTD and the four run-time registers, and over mr_config_id, mr_owner and
// mr_owner_config where one of these is not zero. DstackApp and DstackKms contracts compare it.
func (q *Quote) MRAggregated() [32]byte {
	registers := []Measurement{q.MRTD, q.RTMR[0], q.RTMR[1], q.RTMR[2], q.RTMR[3]}
	if !q.MRConfigID.IsZero() || !q.MROwner.IsZero() || !q.MROwnerConfig.IsZero() {
		registers = append(registers, q.MRConfigID, q.MROwner, q.MROwnerConfig)
	}
	return sha256.Sum256(concat(registers))
}

// MRSystem is the SHA-256 over MRTD, RTMR0 to RTMR2 and the SHA-256 of the payload of the key-provider event,
// or 32 zero bytes without one. It identifies hardware, image and KMS, whatever the app.
func (q *Quote) MRSystem(keyProvider []byte) [32]byte {
	var provider [32]byte
	if len(keyProvider) > 0 {
		provider = sha256.Sum256(keyProvider)
	}
	return sha256.Sum256(append(concat([]Measurement{q.MRTD, q.RTMR[0], q.RTMR[1], q.RTMR[2]}), provider[:]...))
}

// DeviceID is the SHA-256 of a platform's PPID.
func DeviceID(ppid []byte) [32]byte { return sha256.Sum256(ppid) }

func concat(registers []Measurement) []byte {
	var b []byte
	for _, m := range registers {
		b = slices.Concat(b, m[:])
	}
	return b
}
