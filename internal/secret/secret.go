// Package secret has the types of text that must not end up in a log, an error or a file by accident. The public
// packages export them under names of their own.
package secret

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// Redacted is what is shown instead of a secret.
const Redacted = "[redacted]"

// revealed begins a secret that [Marshal] is about to write. No text of JSON begins with this byte, because it
// never occurs in UTF-8.
const revealed = "\xff"

// ErrRedacted is returned if a redacted value is read back.
var ErrRedacted = errors.New("the value was redacted when it was written")

// Text is text that must not end up in a log: a token, a signing secret, an encrypted environment. fmt with any
// verb, log/slog and encoding/json write "[redacted]"; string(s) is the text, and Marshal of the package that
// exports the type writes the JSON that is sent. "[redacted]" itself is refused when JSON is read, so that it never
// becomes a secret.
type Text string

// Format writes "[redacted]" whatever the verb, and nothing for an empty secret.
func (s Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.shown())) }

// LogValue keeps the text out of structured logs.
func (s Text) LogValue() slog.Value { return slog.StringValue(s.shown()) }

// MarshalText keeps the text out of JSON and other encodings.
func (s Text) MarshalText() ([]byte, error) {
	if text, ok := strings.CutPrefix(string(s), revealed); ok {
		return []byte(text), nil
	}
	return []byte(s.shown()), nil
}

// UnmarshalText reads the text, unless it is "[redacted]".
func (s *Text) UnmarshalText(text []byte) error {
	if string(text) == Redacted {
		return ErrRedacted
	}
	*s = Text(text)
	return nil
}

func (s Text) shown() string {
	if s == "" {
		return ""
	}
	return Redacted
}

// Bytes is text that may repeat a secret. fmt with any verb, log/slog and encoding/json write its length;
// []byte(b) is the text.
type Bytes []byte

// String returns the length.
func (b Bytes) String() string { return fmt.Sprintf("[%d bytes, hidden]", len(b)) }

// Format writes the length, whatever the verb.
func (b Bytes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(b.String())) }

// LogValue keeps the text out of structured logs.
func (b Bytes) LogValue() slog.Value { return slog.StringValue(b.String()) }

// MarshalJSON keeps the text out of JSON.
func (b Bytes) MarshalJSON() ([]byte, error) {
	switch {
	case len(b) > 0 && b[0] == revealed[0]:
		return b[1:], nil
	case b == nil:
		return []byte("null"), nil
	}
	return []byte(`"` + b.String() + `"`), nil
}

// UnmarshalJSON keeps the JSON as it is, unless MarshalJSON has hidden it.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if s := string(data); strings.HasPrefix(s, `"[`) && strings.HasSuffix(s, ` bytes, hidden]"`) {
		return ErrRedacted
	}
	*b = append((*b)[:0:0], data...)
	return nil
}

// Format writes a struct under the verbs that fit one, for the Format method of a struct that holds a secret. plain is
// the struct as a type without methods. Another verb would make fmt print nested pointers with none of the methods of
// what they point to.
func Format(f fmt.State, plain any) {
	switch {
	case f.Flag('#'):
		_, _ = fmt.Fprintf(f, "%#v", plain)
	case f.Flag('+'):
		_, _ = fmt.Fprintf(f, "%+v", plain)
	default:
		_, _ = fmt.Fprintf(f, "%v", plain)
	}
}
