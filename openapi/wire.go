package openapi

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
)

// ID identifies a thing of the API: a CVM, a user, a node.
//
// It exists because the same field is a number under an older API version and a prefixed string
// ("cvm_…", "usr_…") under a newer one, and decoding a response must not depend on which. A number is kept
// as its decimal digits; null and an absent field are "".
type ID string

// UnmarshalJSON accepts a JSON string, an integer or null.
func (id *ID) UnmarshalJSON(data []byte) error {
	text, err := stringOrNumber(data)
	if err != nil {
		return fmt.Errorf("id: %w", err)
	}
	*id = ID(text)
	return nil
}

// stringOrNumber returns the text of a JSON string, the digits of a JSON number, or "" for null.
func stringOrNumber(data []byte) (string, error) {
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("no value")
	case string(data) == "null":
		return "", nil
	case data[0] == '"':
		if plainString(data) {
			return string(data[1 : len(data)-1]), nil
		}
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	case data[0] == '-' || data[0] >= '0' && data[0] <= '9':
		if data[0] != '0' && allDigits(data) {
			return string(data), nil
		}
		var n json.Number
		err := json.Unmarshal(data, &n)
		return n.String(), err
	}
	return "", fmt.Errorf("want a string or a number, got %.20q", data)
}

// plainString reports whether a JSON string stands for the bytes between its quotes, as nearly all do that this
// package reads: no escape, nothing but printing ASCII.
func plainString(data []byte) bool {
	last := len(data) - 1
	if last < 1 || data[last] != '"' {
		return false
	}
	for _, c := range data[1:last] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

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

// Decimal is an amount of money or a rate, exact, as decimal text.
//
// It exists because the API writes money as a string in most responses and as a number in some; either is
// kept digit by digit, never rounded through a float. null and an absent field are "".
type Decimal string

// UnmarshalJSON accepts a JSON string, a number or null. A string that is not a decimal number is an error.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	text, err := stringOrNumber(data)
	if err != nil {
		return fmt.Errorf("decimal: %w", err)
	}
	if text != "" && !plainDecimal(text) && !Decimal(text).isDecimal() {
		return fmt.Errorf("decimal: %.40q is not a decimal number", text)
	}
	*d = Decimal(text)
	return nil
}

// plainDecimal reports whether text is digits with at most one point between them, as nearly all money is.
func plainDecimal(text string) bool {
	whole, fraction, point := strings.Cut(text, ".")
	return len(text) <= maxDecimal && allDigits(whole) && (!point || allDigits(fraction))
}

func allDigits[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return len(text) > 0
}

func (d Decimal) isDecimal() bool {
	_, ok := d.Rat()
	return ok
}

// maxDecimal bounds the text that is read as a number, in bytes, so that an exponent cannot ask for
// gigabytes of digits.
const maxDecimal = 64

// Rat returns the exact value, and false where d is empty or not a decimal number.
func (d Decimal) Rat() (*big.Rat, bool) {
	if d == "" || len(d) > maxDecimal {
		return nil, false
	}
	exponent := false
	for i := range len(d) {
		switch c := d[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+':
		case (c == 'e' || c == 'E') && !exponent:
			// Two exponent digits are far beyond money; more would only build a huge number.
			if len(d)-i > len("e+99") {
				return nil, false
			}
			exponent = true
		default:
			return nil, false
		}
	}
	return new(big.Rat).SetString(string(d))
}

// Flag is a boolean that the API writes as a boolean in some responses and as 0 or 1 in others.
type Flag bool

// UnmarshalJSON accepts true, false, 0, 1, the same as text, and null, which is no.
func (f *Flag) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `"`)) {
	case "true", "1", "1.0":
		*f = true
	case "false", "0", "0.0", "null", "":
		*f = false
	default:
		return fmt.Errorf("flag: want true, false, 0 or 1, got %.20q", data)
	}
	return nil
}
