package cloudtext

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseTime reads a time as the cloud writes one: RFC 3339, also with a blank for T, in lower case, with a zone of four
// digits or without one, which means UTC; a date; seconds since 1970. "" is the zero time.
func ParseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if parsed, err := time.Parse(time.RFC3339, text); err == nil {
		return parsed, nil
	}
	// 20.0 is how some servers write 20.
	if seconds, err := strconv.ParseInt(strings.TrimSuffix(text, ".0"), 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC(), nil
	}
	upper := strings.ToUpper(strings.TrimSpace(text))
	if len(upper) > len(time.DateOnly) && upper[len(time.DateOnly)] == ' ' {
		upper = upper[:len(time.DateOnly)] + "T" + strings.TrimSpace(upper[len(time.DateOnly):])
	}
	upper = strings.Replace(upper, " ", "", 1) // before a zone
	upper = strings.TrimSuffix(upper, "UTC")
	// Without a zone the API means UTC. Fractions of a second are parsed by every layout.
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateOnly} {
		if parsed, err := time.Parse(layout, upper); err == nil {
			return parsed, nil
		}
	}
	return time.Time{}, fmt.Errorf("time: %.40q is neither RFC 3339 nor a date and time without a zone", text)
}
