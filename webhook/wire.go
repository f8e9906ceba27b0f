package webhook

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// text is a string that has been a number in other versions of the API.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil { // also null
		*t = text(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("%.40s is neither text nor a number", data)
	}
	*t = text(n)
	return nil
}

// when is a time in RFC 3339. The API has left out the zone in places, which then means UTC, and sent seconds
// since 1970.
type when struct{ time.Time }

func (w *when) UnmarshalJSON(data []byte) error {
	var s text
	if err := s.UnmarshalJSON(data); err != nil {
		return err
	}
	if s == "" {
		w.Time = time.Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if parsed, err := time.Parse(layout, string(s)); err == nil {
			w.Time = parsed
			return nil
		}
	}
	seconds, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return fmt.Errorf("time %.40q: want RFC 3339", string(s))
	}
	w.Time = time.Unix(seconds, 0).UTC()
	return nil
}
