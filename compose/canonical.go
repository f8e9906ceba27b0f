package compose

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/phala-go/phala/internal/jsontext"
)

// Canonicalize returns the canonical bytes of an app-compose document, a JSON object: members sorted by their
// names in UTF-16 order, no white space, strings with the shortest escapes, numbers as ECMAScript writes
// them. The order of lists, null and unknown members stay.
//
// A document whose canonical form depends on the implementation is a [*SyntaxError] with the place: duplicate names, the
// names "__proto__" and "constructor" and names that look like list indices (JavaScript treats them differently), lone
// surrogates, invalid UTF-8, integers beyond 2^53 that a double does not represent exactly, nesting deeper than 100, and
// text after the object.
func Canonicalize(doc []byte) ([]byte, error) {
	return canonical(doc, false)
}

// Normalize returns the bytes of [Canonicalize] without the members that the runner ignores: docker_compose_file if
// the runner is bash, bash_script if it is docker-compose or nerdctl-compose, and a pre_launch_script that is null,
// false, 0 or "".
func Normalize(doc []byte) ([]byte, error) {
	return canonical(doc, true)
}

func canonical(doc []byte, normalize bool) ([]byte, error) {
	w := writer{in: doc, out: make([]byte, 0, len(doc)+len(doc)/64+16)}
	if err := w.document(normalize); err != nil {
		return nil, err
	}
	return w.out, nil
}

// SyntaxError is returned if a document has no canonical form.
type SyntaxError struct {
	// Path leads to the value, such as $.docker_config.password or $.features[1].
	Path string
	// Offset is the place in the text, in bytes from 0.
	Offset int
	// Reason is the rule that was broken.
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("app-compose: %s at %s (byte %d)", e.Reason, e.Path, e.Offset)
}

func (e *SyntaxError) within(name string) *SyntaxError {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			e.Path = "[" + strconv.Quote(name) + "]" + e.Path
			return e
		}
	}
	e.Path = "." + name + e.Path
	return e
}

func (e *SyntaxError) at(index int) *SyntaxError {
	e.Path = "[" + strconv.Itoa(index) + "]" + e.Path
	return e
}

// maxDepth bounds nesting; real documents have four levels.
const maxDepth = 100

// writer reads a document once and appends its canonical form to out. The members of an object are sorted at its end,
// which costs nothing if they are in order already.
type writer struct {
	in      []byte
	pos     int
	out     []byte
	members []member // of all open objects, the innermost last
	scratch []byte
}

// member is one name and value of an object, as spans of out.
type member struct {
	name       []byte // unescaped; points into in or is a copy
	start, end int    // of `"name":value`
	value      int    // where the value starts
}

func (w *writer) fail(offset int, reason string) *SyntaxError {
	return &SyntaxError{Offset: offset, Reason: reason}
}

func (w *writer) document(normalize bool) error {
	w.space()
	if w.pos == len(w.in) {
		return &SyntaxError{Path: "$", Reason: "empty document"}
	}
	if w.in[w.pos] != '{' {
		return &SyntaxError{Path: "$", Offset: w.pos, Reason: "want an object"}
	}
	if err := w.object(1, normalize); err != nil {
		err.Path = "$" + err.Path
		return err
	}
	w.space()
	if w.pos != len(w.in) {
		return &SyntaxError{Path: "$", Offset: w.pos, Reason: "something follows the object"}
	}
	return nil
}

func (w *writer) space() {
	for w.pos < len(w.in) {
		switch w.in[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

func (w *writer) peek() byte {
	if w.pos < len(w.in) {
		return w.in[w.pos]
	}
	return 0
}

func (w *writer) value(depth int) *SyntaxError {
	if depth > maxDepth {
		return w.fail(w.pos, "nested too deeply")
	}
	switch c := w.peek(); {
	case c == '"':
		_, err := w.text(false)
		return err
	case c == '{':
		return w.object(depth, false)
	case c == '[':
		return w.array(depth)
	case c == '-' || '0' <= c && c <= '9':
		return w.number()
	}
	for _, literal := range [...]string{"true", "false", "null"} {
		if len(w.in)-w.pos >= len(literal) && string(w.in[w.pos:w.pos+len(literal)]) == literal {
			w.out = append(w.out, literal...)
			w.pos += len(literal)
			return nil
		}
	}
	if w.pos == len(w.in) {
		return w.fail(w.pos, "the document ends too early")
	}
	return w.fail(w.pos, "not a JSON value")
}

func (w *writer) array(depth int) *SyntaxError {
	w.pos++
	w.out = append(w.out, '[')
	for i := 0; ; i++ {
		w.space()
		if w.peek() == ']' && i == 0 {
			break
		}
		if err := w.value(depth + 1); err != nil {
			return err.at(i)
		}
		w.space()
		if w.peek() == ',' {
			w.pos++
			w.out = append(w.out, ',')
			continue
		}
		if w.peek() == ']' {
			break
		}
		return w.fail(w.pos, "want a comma or the end of the list")
	}
	w.pos++
	w.out = append(w.out, ']')
	return nil
}

func (w *writer) object(depth int, normalize bool) *SyntaxError {
	w.pos++
	w.out = append(w.out, '{')
	first, begin := len(w.members), len(w.out)
	for {
		w.space()
		if w.peek() == '}' && len(w.members) == first {
			break
		}
		if err := w.member(depth); err != nil {
			return err
		}
		w.space()
		if w.peek() == ',' {
			w.pos++
			w.out = append(w.out, ',')
			continue
		}
		if w.peek() == '}' {
			break
		}
		return w.fail(w.pos, "want a comma or the end of the object")
	}
	w.pos++
	if err := w.arrange(w.members[first:], begin, normalize); err != nil {
		return err
	}
	w.out = append(w.out, '}')
	w.members = w.members[:first]
	return nil
}

func (w *writer) member(depth int) *SyntaxError {
	at := w.pos
	if w.peek() != '"' {
		return w.fail(at, "want a member name in quotes")
	}
	start := len(w.out)
	name, err := w.text(true)
	if err != nil {
		return err
	}
	if reason := badName(name); reason != "" {
		return w.fail(at, reason).within(string(name))
	}
	w.space()
	if w.peek() != ':' {
		return w.fail(w.pos, "want a colon").within(string(name))
	}
	w.pos++
	w.out = append(w.out, ':')
	w.space()
	i := len(w.members)
	w.members = append(w.members, member{name: name, start: start, value: len(w.out)})
	if err := w.value(depth + 1); err != nil {
		return err.within(string(name))
	}
	w.members[i].end = len(w.out)
	return nil
}

// badName returns the reason for which a name is refused, or "". JavaScript, whose order of members is the reference of
// the canonical form, treats these names differently.
func badName(name []byte) string {
	switch {
	case string(name) == "__proto__":
		return "the name __proto__ has no portable form"
	case string(name) == "constructor":
		return "the name constructor has no portable order"
	case isIndex(name):
		return "a name that looks like a list index has no portable order"
	}
	return ""
}

// isIndex reports whether a name is an array index of ECMAScript: the decimal text of an integer below 2^32-1.
func isIndex(name []byte) bool {
	if len(name) == 0 || len(name) > 10 || name[0] == '0' && len(name) > 1 {
		return false
	}
	n := uint64(0)
	for _, c := range name {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + uint64(c-'0')
	}
	return n < math.MaxUint32
}

// immaterial returns a predicate of the members that normalizing drops.
func (w *writer) immaterial(members []member) func(member) bool {
	runner := ""
	for _, m := range members {
		if string(m.name) == "runner" {
			runner = string(w.out[m.value:m.end])
		}
	}
	return func(m member) bool {
		switch string(m.name) {
		case "docker_compose_file":
			return runner == `"bash"`
		case "bash_script":
			return runner == `"docker-compose"` || runner == `"nerdctl-compose"`
		case "pre_launch_script":
			switch string(w.out[m.value:m.end]) {
			case "null", `""`, "0", "false":
				return true
			}
		}
		return false
	}
}

// arrange sorts the members written from begin on, and returns an error if two have one name. If it normalizes, it drops
// the immaterial ones.
func (w *writer) arrange(members []member, begin int, normalize bool) *SyntaxError {
	inOrder := true
	for i := 1; i < len(members) && inOrder; i++ {
		inOrder = compareUTF16(members[i-1].name, members[i].name) < 0
	}
	if !inOrder {
		slices.SortStableFunc(members, func(a, b member) int { return compareUTF16(a.name, b.name) })
		for i := 1; i < len(members); i++ {
			if bytes.Equal(members[i-1].name, members[i].name) {
				return w.fail(w.pos, "two members of one name").within(string(members[i].name))
			}
		}
	}
	count := len(members)
	if normalize {
		members = slices.DeleteFunc(members, w.immaterial(members))
	}
	if inOrder && len(members) == count {
		return nil
	}
	w.scratch = append(w.scratch[:0], w.out[begin:]...)
	w.out = w.out[:begin]
	for i, m := range members {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.out = append(w.out, w.scratch[m.start-begin:m.end-begin]...)
	}
	return nil
}

// compareUTF16 orders UTF-8 text by its UTF-16 code units. That is the order of the bytes, except that
// characters beyond the basic plane (lead byte F0 on) come before U+E000 to U+FFFF (EE and EF).
func compareUTF16(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if x, y := a[i], b[i]; x != y {
			if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
				return int(y) - int(x)
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}

// text writes the string at pos in canonical form. For a name it also returns the unescaped text.
func (w *writer) text(isName bool) ([]byte, *SyntaxError) {
	begin := w.pos + 1
	in, pos, from := w.in, begin, begin
	w.out = append(w.out, '"')
	outBegin := len(w.out)
	ascii, escaped := true, false
	for {
		for pos+8 <= len(in) {
			marks := jsontext.Special(binary.LittleEndian.Uint64(in[pos:]))
			if marks != 0 {
				pos += bits.TrailingZeros64(marks) / 8
				break
			}
			pos += 8
		}
		if pos >= len(in) {
			return nil, w.fail(begin-1, "a string without an end")
		}
		switch c := in[pos]; {
		case c == '"':
			if !ascii && !utf8.Valid(in[begin:pos]) {
				return nil, w.fail(begin-1, "a string that is not UTF-8")
			}
			w.out = append(w.out, in[from:pos]...)
			w.pos = pos + 1
			name := in[begin:pos]
			if isName && escaped {
				name = unescaped(w.out[outBegin:])
			}
			w.out = append(w.out, '"')
			return name, nil
		case c == '\\':
			escaped = true
			if pos+1 >= len(in) {
				return nil, w.fail(begin-1, "a string without an end")
			}
			switch in[pos+1] {
			case '"', '\\', 'b', 'f', 'n', 'r', 't':
				pos += 2
			case '/':
				w.out = append(append(w.out, in[from:pos]...), '/')
				pos += 2
				from = pos
			case 'u':
				r, size := unicodeEscape(in[pos:])
				if size == 0 {
					return nil, w.fail(pos, "a broken \\u escape or a lone surrogate")
				}
				w.out = append(w.out, in[from:pos]...)
				w.out = jsontext.AppendEscaped(w.out, r)
				pos += size
				from = pos
			default:
				return nil, w.fail(pos, "an escape that is not JSON")
			}
		case c < ' ':
			return nil, w.fail(pos, "a control character within a string")
		case c >= 0x80:
			ascii = false
			pos++
		default:
			pos++
		}
	}
}

// unicodeEscape reads \uXXXX, or a pair of them for a character beyond the basic plane. The size is 0 if
// it is broken.
func unicodeEscape(in []byte) (r rune, size int) {
	high, ok := hex4(in)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(high):
		return high, 6
	}
	if low, ok := hex4(in[6:]); ok {
		if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
			return r, 12
		}
	}
	return 0, 0
}

func hex4(in []byte) (rune, bool) {
	if len(in) < 6 || in[0] != '\\' || in[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range in[2:6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescaped reads the text of a string in canonical form.
func unescaped(s []byte) []byte {
	text := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			text = append(text, s[i])
			continue
		}
		i++
		switch s[i] {
		case 'b':
			text = append(text, '\b')
		case 'f':
			text = append(text, '\f')
		case 'n':
			text = append(text, '\n')
		case 'r':
			text = append(text, '\r')
		case 't':
			text = append(text, '\t')
		case 'u':
			r, _ := hex4(s[i-1:])
			text = append(text, byte(r))
			i += 4
		default:
			text = append(text, s[i])
		}
	}
	return text
}

// number writes the number at pos as ECMAScript does.
func (w *writer) number() *SyntaxError {
	begin := w.pos
	whole := w.digits()
	text := string(w.in[begin:w.pos])
	switch {
	case whole == invalidNumber:
		return w.fail(begin, "not a JSON number")
	case whole == wholeNumber && len(text) <= 15:
		if text == "-0" {
			text = "0"
		}
		w.out = append(w.out, text...)
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return w.fail(begin, "a number that a double cannot represent")
	}
	// An integer beyond 2^53 is accepted if its digits stay, because 1e16 is written as such an integer.
	start := len(w.out)
	w.out = appendNumber(w.out, f)
	if whole == wholeNumber && string(w.out[start:]) != text {
		return w.fail(begin, "an integer beyond 2^53 that loses digits in JavaScript")
	}
	return nil
}

type numberKind int

const (
	invalidNumber numberKind = iota
	wholeNumber
	otherNumber
)

// digits moves over a number of the JSON grammar and returns its kind.
func (w *writer) digits() numberKind {
	run := func() bool {
		from := w.pos
		for w.pos < len(w.in) && '0' <= w.in[w.pos] && w.in[w.pos] <= '9' {
			w.pos++
		}
		return w.pos > from
	}
	if w.peek() == '-' {
		w.pos++
	}
	if w.peek() == '0' {
		w.pos++
	} else if !run() {
		return invalidNumber
	}
	kind := wholeNumber
	if w.peek() == '.' {
		w.pos++
		kind = otherNumber
		if !run() {
			return invalidNumber
		}
	}
	if c := w.peek(); c == 'e' || c == 'E' {
		w.pos++
		kind = otherNumber
		if c := w.peek(); c == '+' || c == '-' {
			w.pos++
		}
		if !run() {
			return invalidNumber
		}
	}
	return kind
}

// appendNumber follows Number::toString of ECMAScript: shortest digits, an exponent from 1e21 and below 1e-6.
func appendNumber(out []byte, f float64) []byte {
	if f == 0 {
		return append(out, '0')
	}
	if abs := math.Abs(f); abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(out, f, 'f', -1, 64)
	}
	out = strconv.AppendFloat(out, f, 'e', -1, 64)
	// Go writes at least two digits of exponent, ECMAScript only those that are needed.
	if n := len(out); n >= 4 && out[n-2] == '0' && (out[n-3] == '-' || out[n-3] == '+') {
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out
}
