package openapi

import (
	"encoding/json"
	"fmt"
	"time"
)

// Time is a moment as the API writes it.
//
// It exists because the API mostly sends RFC 3339, but in places leaves out the zone, which then means
// UTC, or sends seconds since 1970. null, "" and an absent field are the zero time.
type Time struct {
	time.Time
}

// UnmarshalJSON accepts RFC 3339, a date and time without a zone, a date, seconds since 1970, "" and null.
func (t *Time) UnmarshalJSON(data []byte) error {
	text, err := stringOrNumber(data)
	if err != nil {
		return fmt.Errorf("time: %w", err)
	}
	if text == "" {
		*t = Time{}
		return nil
	}
	if data[0] != '"' {
		var seconds int64
		if err := json.Unmarshal(data, &seconds); err != nil {
			return fmt.Errorf("time: %s is not a whole number of seconds", text)
		}
		t.Time = time.Unix(seconds, 0).UTC()
		return nil
	}
	if parsed, err := time.Parse(time.RFC3339, text); err == nil {
		t.Time = parsed
		return nil
	}
	// Without a zone the API means UTC. Fractions of a second are parsed by every layout.
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if parsed, err := time.Parse(layout, text); err == nil {
			t.Time = parsed
			return nil
		}
	}
	return fmt.Errorf("time: %.40q is neither RFC 3339 nor a date and time without a zone", text)
}

// MarshalJSON writes RFC 3339 in UTC, and null for the zero time.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return t.UTC().MarshalJSON()
}
