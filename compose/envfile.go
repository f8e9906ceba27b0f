package compose

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// maxEnvFile bounds an env file; the guest accepts at most 1 MiB of variables.
const maxEnvFile = 1 << 20

// ReadEnvFile reads the variables of an env file; see [ReadEnv].
func ReadEnvFile(path string) ([]EnvVar, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	env, err := ReadEnv(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return env, nil
}

// ReadEnv reads variables in the form of env files, in order:
//
//	# a comment
//	NAME=value            # blank space around the value is not part of it, nor is this comment
//	export NAME=value
//	NAME='as it is, over several lines if need be'
//	NAME="with \n \r \t \" \\ \$ escapes, over several lines if need be"
//
// Nothing is expanded: a dollar sign is part of the value. A file of another form is an error, and so is a file without a
// variable, with a variable twice, with an unquoted value that begins like a comment (#x), or longer than 1 MiB. Errors
// contain lines and names, never values.
func ReadEnv(r io.Reader) ([]EnvVar, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxEnvFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxEnvFile:
		return nil, fmt.Errorf("env file: longer than %d bytes", maxEnvFile)
	case !utf8.Valid(data):
		return nil, errors.New("env file: not UTF-8 text")
	case strings.IndexByte(string(data), 0) >= 0:
		return nil, errors.New("env file: contains a NUL byte, so it is not text")
	}
	text := strings.TrimPrefix(string(data), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	p := envParser{text: text, line: 1, seen: map[string]int{}}
	if i := strings.IndexByte(text, '\r'); i >= 0 {
		return nil, p.fail(1+strings.Count(text[:i], "\n"), "a carriage return that ends no line")
	}
	for p.pos < len(p.text) {
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
	if len(p.env) == 0 {
		return nil, errors.New("env file: it defines no variable")
	}
	return p.env, nil
}

type envParser struct {
	text string
	pos  int
	line int
	env  []EnvVar
	seen map[string]int // name to line
}

func (p *envParser) fail(line int, format string, args ...any) error {
	return fmt.Errorf("env file, line %d: %s", line, fmt.Sprintf(format, args...))
}

func (p *envParser) blanks() {
	for p.pos < len(p.text) && isBlank(p.text[p.pos]) {
		p.pos++
	}
}

// restOfLine returns the rest of the line and moves behind it.
func (p *envParser) restOfLine() string {
	rest := p.text[p.pos:]
	if end := strings.IndexByte(rest, '\n'); end >= 0 {
		rest = rest[:end]
		p.pos++
	}
	p.pos += len(rest)
	p.line++
	return rest
}

func (p *envParser) statement() error {
	p.blanks()
	if p.pos == len(p.text) {
		return nil
	}
	if c := p.text[p.pos]; c == '\n' || c == '#' {
		p.restOfLine()
		return nil
	}
	line := p.line
	name := p.name()
	if name == "export" && p.pos < len(p.text) && isBlank(p.text[p.pos]) {
		p.blanks()
		name = p.name()
	}
	p.blanks()
	switch {
	case name == "":
		return p.fail(line, "want NAME=value, with a name of letters, digits and underscores")
	case p.pos == len(p.text) || p.text[p.pos] != '=':
		return p.fail(line, "want = after %s", name)
	}
	p.pos++
	if before, twice := p.seen[name]; twice {
		return p.fail(line, "%s is defined again, after line %d", name, before)
	}
	value, err := p.value(name)
	if err != nil {
		return err
	}
	p.seen[name] = line
	p.env = append(p.env, EnvVar{Key: name, Value: value})
	return nil
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func (p *envParser) name() string {
	end := nameEnd(p.text, p.pos)
	name := p.text[p.pos:end]
	p.pos = end
	return name
}

func (p *envParser) value(name string) (string, error) {
	begin := p.pos
	p.blanks()
	if p.pos < len(p.text) && (p.text[p.pos] == '\'' || p.text[p.pos] == '"') {
		return p.quoted(name, p.text[p.pos])
	}
	line := p.line
	value := p.restOfLine()
	if strings.HasPrefix(value, "#") {
		if p.text[begin] == '#' || len(value) > 1 && !isBlank(value[1]) {
			return "", p.fail(line, "the value of %s begins with #, which may be meant as a comment; quote it, or put blanks around the sign", name)
		}
		value = ""
	}
	if i := strings.Index(value, " #"); i >= 0 {
		value = value[:i]
	}
	if strings.Contains(value, "\t#") {
		return "", p.fail(line, "the value of %s has a tab before #, which may be meant as a comment; quote it, or use a space", name)
	}
	return strings.TrimRight(value, " \t"), nil
}

func (p *envParser) quoted(name string, quote byte) (string, error) {
	line := p.line
	p.pos++
	var b strings.Builder
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		switch {
		case c == quote:
			p.pos++
			if rest := strings.TrimSpace(p.restOfLine()); rest != "" && rest[0] != '#' {
				return "", p.fail(p.line-1, "something follows the closing quote of %s", name)
			}
			return b.String(), nil
		case c == '\\' && quote == '"' && p.pos+1 < len(p.text):
			p.pos++
			b.WriteString(unescapeEnv(p.text[p.pos]))
			if p.text[p.pos] == '\n' {
				p.line++
			}
		default:
			if c == '\n' {
				p.line++
			}
			b.WriteByte(c)
		}
	}
	return "", p.fail(line, "the value of %s has no closing quote", name)
}

// unescapeEnv returns the text of a backslash and c. An unknown pair is unchanged.
func unescapeEnv(c byte) string {
	switch c {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	case 't':
		return "\t"
	case '"', '\\', '$':
		return string(rune(c))
	}
	return string([]byte{'\\', c})
}
