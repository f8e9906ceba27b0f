package openapi

import (
	"fmt"
	"math/big"
	"strings"
)

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
