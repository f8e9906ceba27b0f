package openapi

import (
	"fmt"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
)

// Time is a moment as the API writes it.
//
// It exists because the API mostly sends RFC 3339, but in places leaves out the zone, which then means
// UTC, or sends seconds since 1970. null, "" and an absent field are the zero time.
type Time struct {
	time.Time
}

// UnmarshalJSON accepts RFC 3339, also with a blank for T, in lower case, with a zone of four digits or without
// one, a date, seconds since 1970 as number or text, "" and null.
func (t *Time) UnmarshalJSON(data []byte) error {
	text, err := stringOrNumber(data)
	if err != nil {
		return fmt.Errorf("time: %w", err)
	}
	parsed, err := cloudtext.ParseTime(text)
	if err != nil {
		return err
	}
	t.Time = parsed
	return nil
}

// MarshalJSON writes RFC 3339 in UTC, and null for the zero time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().MarshalJSON()
}
