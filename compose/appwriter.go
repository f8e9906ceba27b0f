package compose

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/phala-go/phala/internal/jsontext"
)

// appWriter writes the members of an App in canonical form. Its methods are called in the order of the names.
type appWriter struct {
	out   []byte
	extra map[string]json.RawMessage
	names []string // of extra that are still to be written, in canonical order
	err   *SyntaxError
}

// extras writes the members of extra that come before a name, all if it is "". One of that name is dropped.
func (w *appWriter) extras(before string) {
	for len(w.names) > 0 && w.err == nil {
		name := w.names[0]
		if before != "" {
			if order := compareUTF16([]byte(name), []byte(before)); order > 0 {
				return
			} else if order == 0 {
				w.names = w.names[1:]
				return
			}
		}
		w.names = w.names[1:]
		w.member(name, w.extra[name])
	}
}

// member writes a member of extra.
func (w *appWriter) member(name string, raw json.RawMessage) {
	reason := badName([]byte(name))
	if reason == "" && !utf8.ValidString(name) {
		reason = "a name that is not UTF-8"
	}
	if reason != "" {
		w.err = (&SyntaxError{Reason: reason}).within(name)
		return
	}
	w.begin(name)
	value := writer{in: raw, out: w.out}
	value.space()
	err := value.value(2)
	if err == nil {
		if value.space(); value.pos != len(raw) {
			err = value.fail(value.pos, "something follows the value")
		}
	}
	if err != nil {
		w.err = err.within(name)
		return
	}
	w.out = value.out
}

// begin writes the name of a member.
func (w *appWriter) begin(name string) {
	if len(w.out) > 1 {
		w.out = append(w.out, ',')
	}
	w.out = append(jsontext.AppendString(w.out, name), ':')
}

// field writes the name of a field that is set, with the members of extra before it, and reports whether its
// value is to be written.
func (w *appWriter) field(name string, set bool) bool {
	if !set || w.err != nil {
		return false
	}
	w.extras(name)
	if w.err != nil {
		return false
	}
	w.begin(name)
	return true
}

func (w *appWriter) text(name string, value *string) {
	if w.field(name, value != nil) {
		w.string(name, *value)
	}
}

func (w *appWriter) string(name, value string) {
	if !utf8.ValidString(value) {
		w.err = (&SyntaxError{Reason: "a string that is not UTF-8"}).within(name)
		return
	}
	w.out = jsontext.AppendString(w.out, value)
}

func (w *appWriter) list(name string, values []string) {
	if !w.field(name, values != nil) {
		return
	}
	w.out = append(w.out, '[')
	for i, value := range values {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.string(name, value)
	}
	w.out = append(w.out, ']')
}

func (w *appWriter) flag(name string, value *bool) {
	if w.field(name, value != nil) {
		w.out = strconv.AppendBool(w.out, *value)
	}
}

func (w *appWriter) number(name string, value *int) {
	if !w.field(name, value != nil) {
		return
	}
	begin := len(w.out)
	w.out = strconv.AppendInt(w.out, int64(*value), 10)
	// The rule of the canonical form for integers beyond 2^53.
	number := writer{in: bytes.Clone(w.out[begin:])}
	if err := number.number(); err != nil {
		w.err = err.within(name)
	}
}
