package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/phala-go/phala/attest"
)

// evidenceSeen detects the same evidence for two instances: a CVM that proves nothing could be hidden behind the
// evidence of another one. The keys are hashes of quotes, and instance ids that the hardware measured.
type evidenceSeen map[string]string

// again returns an error if the evidence of the instance was seen before, and records it.
func (s evidenceSeen) again(i *Instance) error {
	if i.Report == nil || i.Report.Quote == nil || i.Bundle == nil {
		return nil
	}
	quote := sha256.Sum256(i.Bundle.Evidence.Quote)
	keys := []string{"quote " + string(quote[:])}
	if b := i.Report.Attested.BootEvents; b != nil && b.InstanceID != "" {
		keys = append(keys, "instance "+b.InstanceID)
	}
	for _, key := range keys {
		if other, twice := s[key]; twice {
			return fmt.Errorf("%w: the cloud shows the same evidence for %.200q", attest.ErrInstanceID, other)
		}
	}
	for _, key := range keys {
		s[key] = i.label()
	}
	return nil
}

// unwrapped returns what an [Error] wraps.
func unwrapped(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
