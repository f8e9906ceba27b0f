package compose

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// EnvVar is an environment variable of an app, usually a secret. Formatting shows its name only.
type EnvVar struct {
	Key   string
	Value string
}

// Format writes the name, and "[redacted]" for the value, whatever the verb.
func (v EnvVar) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(v.redacted())) }

// LogValue returns the text of Format, so that the value is never logged.
func (v EnvVar) LogValue() slog.Value { return slog.StringValue(v.redacted()) }

// redacted returns the valid part of the name: of "KEY=value" as a name, the rest may be a secret.
func (v EnvVar) redacted() string { return v.Key[:nameEnd(v.Key, 0)] + "=" + redaction }

const redaction = "[redacted]"

// MarshalJSON returns {"key": …, "value": "[redacted]"}, which [EnvVar.UnmarshalJSON] refuses: JSON does not store a
// variable.
func (v EnvVar) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"key": v.Key[:nameEnd(v.Key, 0)], "value": redaction})
}

// UnmarshalJSON reads an object with key and value. A value that [EnvVar.MarshalJSON] redacted is an error, so
// that "[redacted]" never becomes a secret.
func (v *EnvVar) UnmarshalJSON(data []byte) error {
	var pair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	if err := json.Unmarshal(data, &pair); err != nil {
		return errors.New("variable: want an object with key and value")
	}
	if pair.Value == redaction {
		return fmt.Errorf("variable %.80q: its value was redacted when it was written", pair.Key)
	}
	v.Key, v.Value = pair.Key, pair.Value
	return nil
}

// EnvFromMap returns the variables of a map in the order of their names.
func EnvFromMap(values map[string]string) []EnvVar {
	env := make([]EnvVar, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, EnvVar{Key: name, Value: values[name]})
	}
	return env
}

// The guest's bounds on variables: dstack-util, parse_env_file.rs.
const (
	maxGuestName  = 255
	maxGuestValue = 128 << 10
)

// CheckGuestValue returns an error if a guest does not pass the variable to the containers unchanged; see [GuestEnv]
// for its rules. The error contains the name of the variable and the rule, never the value.
func CheckGuestValue(v EnvVar) error {
	if err := ValidateEnvName(v.Key); err != nil {
		return err
	}
	rule := ""
	switch {
	case len(v.Key) > maxGuestName:
		rule = fmt.Sprintf("its name has %d bytes, the guest accepts %d", len(v.Key), maxGuestName)
	case len(v.Value) > maxGuestValue:
		rule = fmt.Sprintf("its value has %d bytes, the guest accepts %d", len(v.Value), maxGuestValue)
	case !utf8.ValidString(v.Value):
		rule = "its value is not UTF-8 text"
	case strings.IndexByte(v.Value, 0) >= 0:
		rule = "its value has a NUL byte, which no environment can carry"
	case strings.IndexByte(v.Value, '\n') >= 0:
		rule = `its value has a newline, which arrives as the two characters \n; encode it (base64) and decode it in the container`
	case strings.IndexByte(v.Value, '\r') >= 0:
		rule = "its value has a carriage return, at which the guest cuts it"
	case strings.HasSuffix(v.Value, `\`):
		rule = "its value ends in a backslash, which swallows the next variable"
	case backslashPair(v.Value):
		rule = "its value has a backslash before a backslash, a quote, a backtick or a dollar sign, of which one is lost"
	default:
		if _, intact := GuestValue(v.Value); !intact {
			rule = "its value does not arrive as it is"
		}
	}
	if rule == "" {
		return nil
	}
	return fmt.Errorf("variable %.80s: %s", v.Key, rule)
}

// backslashPair reports whether a backslash stands before a character that the guest escapes, or before another.
func backslashPair(value string) bool {
	for i := range len(value) - 1 {
		if value[i] == '\\' && strings.IndexByte("\\\"`$", value[i+1]) >= 0 {
			return true
		}
	}
	return false
}

// GuestValue returns a value as the containers of a guest receive it, and reports whether it is unchanged and does
// not affect the next variable; see [GuestEnv].
func GuestValue(value string) (arrives string, intact bool) {
	const name, next = "A", "B"
	read := GuestEnv([]EnvVar{{name, value}, {next, next}})
	for _, v := range read {
		if v.Key == name {
			arrives = v.Value
		}
	}
	return arrives, slices.Equal(read, []EnvVar{{name, value}, {next, next}})
}

// GuestEnv returns variables as the containers of a guest receive them, in the order of their names. The guest writes
// them to a file and systemd reads that file, with different rules for some characters:
//
//   - a newline arrives as the two characters \n, so that a PEM file arrives as one line;
//   - a carriage return outside of quotes ends the value;
//   - a backslash before a backslash is lost, one before a quote ends the value there, and one at the end swallows
//     the next variable. A lone backslash before another character arrives.
//
// The rules are those of dstack-util (parse_env_file.rs at 312dc605) and of systemd 252 (env-file.c).
func GuestEnv(env []EnvVar) []EnvVar {
	values := map[string]string{}
	for _, v := range env {
		values[v.Key] = v.Value
	}
	var file strings.Builder
	for _, v := range EnvFromMap(values) {
		file.WriteString(v.Key)
		file.WriteByte('=')
		writeGuestValue(&file, v.Value)
		file.WriteByte('\n')
	}
	read := map[string]string{}
	readEnvironmentFile(file.String(), func(name, value string) {
		if ValidateEnvName(name) == nil && utf8.ValidString(value) {
			read[name] = value
		}
	})
	return EnvFromMap(read)
}

// writeGuestValue writes a value as the guest does: in double quotes if a character needs them, with a
// backslash before some characters, but not before a backslash.
func writeGuestValue(file *strings.Builder, value string) {
	quote := strings.ContainsAny(value, " \t|&;<>()$`\\\"'\n")
	if quote {
		file.WriteByte('"')
	}
	for i := range len(value) {
		switch c := value[i]; c {
		case '\n':
			file.WriteString(`\n`)
		case '"', '$', '`':
			file.WriteByte('\\')
			file.WriteByte(c)
		default:
			file.WriteByte(c)
		}
	}
	if quote {
		file.WriteByte('"')
	}
}

// environmentState is the state of a reader of an environment file.
type environmentState int

const (
	beforeName environmentState = iota
	inName
	beforeValue
	inValue
	inValueEscape
	inSingleQuotes
	inDoubleQuotes
	inDoubleQuotesEscape
	inComment
	inCommentEscape
)

// readEnvironmentFile reads a file as the EnvironmentFile= of systemd 252 does.
func readEnvironmentFile(text string, push func(name, value string)) {
	var name, value []byte
	state, blanks := beforeName, 0 // blanks at the end of the value, which do not belong to it
	done := func() {
		push(strings.TrimRight(string(name), " \t\r\n"), string(value[:len(value)-blanks]))
		name, value, blanks, state = name[:0], value[:0], 0, beforeName
	}
	for i := range len(text) {
		c := text[i]
		newline := c == '\n' || c == '\r'
		blank := newline || c == ' ' || c == '\t'
		switch state {
		case beforeName:
			switch {
			case c == '#' || c == ';':
				state = inComment
			case !blank:
				name, state = append(name, c), inName
			}
		case inName:
			switch {
			case newline:
				name, state = name[:0], beforeName
			case c == '=':
				state = beforeValue
			default:
				name = append(name, c)
			}
		case beforeValue:
			switch {
			case newline:
				done()
			case c == '\'':
				state = inSingleQuotes
			case c == '"':
				state = inDoubleQuotes
			case c == '\\':
				state = inValueEscape
			case !blank:
				value, state = append(value, c), inValue
			}
		case inValue:
			switch {
			case newline:
				done()
			case c == '\\':
				state, blanks = inValueEscape, 0
			default:
				value = append(value, c)
				if blanks++; !blank {
					blanks = 0
				}
			}
		case inValueEscape:
			if state = inValue; !newline {
				value = append(value, c)
			}
		case inSingleQuotes:
			if c == '\'' {
				state = beforeValue
			} else {
				value = append(value, c)
			}
		case inDoubleQuotes:
			switch c {
			case '"':
				state = beforeValue
			case '\\':
				state = inDoubleQuotesEscape
			default:
				value = append(value, c)
			}
		case inDoubleQuotesEscape:
			state = inDoubleQuotes
			switch {
			case strings.IndexByte("\"\\`$", c) >= 0:
				value = append(value, c)
			case c != '\n':
				value = append(value, '\\', c)
			}
		case inComment:
			switch {
			case c == '\\':
				state = inCommentEscape
			case newline:
				state = beforeName
			}
		case inCommentEscape:
			state = inComment
		}
	}
	switch state {
	case beforeName, inName, inComment, inCommentEscape:
	default:
		done()
	}
}
