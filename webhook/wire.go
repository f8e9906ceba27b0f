package webhook

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
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

// when is a time in one of the forms in which the cloud writes one.
type when struct{ time.Time }

func (w *when) UnmarshalJSON(data []byte) error {
	var s text
	if err := s.UnmarshalJSON(data); err != nil {
		return err
	}
	parsed, err := cloudtext.ParseTime(string(s))
	w.Time = parsed
	return err
}
