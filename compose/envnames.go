package compose

import (
	"fmt"
	"slices"
	"strings"
)

// EnvNames returns the variables that a docker-compose file mentions as $NAME or ${NAME}, each once, in
// order of appearance, with those inside of defaults such as ${A:-${B}}. "$$" is a dollar sign, and comments
// do not count. Like Docker Compose it refuses a dollar sign that begins no variable.
func EnvNames(dockerCompose string) ([]string, error) {
	s := nameScanner{text: withoutComments(dockerCompose)}
	if err := s.scan(0, false); err != nil {
		return nil, err
	}
	return s.names, nil
}

type nameScanner struct {
	text  string
	pos   int
	names []string
}

// scan reads up to the end of the text, or within braces up to the closing one.
func (s *nameScanner) scan(depth int, braces bool) error {
	if depth > maxDepth {
		return s.fail("defaults are nested too deeply")
	}
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case '}':
			if braces {
				return nil
			}
			s.pos++
		case '$':
			if err := s.variable(depth); err != nil {
				return err
			}
		default:
			s.pos++
		}
	}
	return nil
}

// variable reads what begins with a dollar sign.
func (s *nameScanner) variable(depth int) error {
	s.pos++
	switch {
	case strings.HasPrefix(s.text[s.pos:], "$"):
		s.pos++
		return nil
	case strings.HasPrefix(s.text[s.pos:], "{"):
		s.pos++
		return s.braced(depth)
	}
	end := nameEnd(s.text, s.pos)
	if end == s.pos {
		return s.fail("a dollar sign without a name; write $$ for the sign itself")
	}
	s.add(end)
	return nil
}

// braced reads NAME}, or NAME with an operator and a word: :- - :? ? :+ +.
func (s *nameScanner) braced(depth int) error {
	open := s.pos
	end := nameEnd(s.text, s.pos)
	if end == s.pos {
		return s.fail("${ without a name")
	}
	s.add(end)
	rest := s.text[s.pos:]
	if !strings.HasPrefix(rest, "}") {
		rest = strings.TrimPrefix(rest, ":")
		if rest == "" || strings.IndexByte("-?+", rest[0]) < 0 {
			return s.fail("${ without its closing brace, or with an unknown operator")
		}
		s.pos = len(s.text) - len(rest) + 1
		if err := s.scan(depth+1, true); err != nil {
			return err
		}
	}
	if s.pos >= len(s.text) {
		s.pos = open
		return s.fail("${ without its closing brace")
	}
	s.pos++
	return nil
}

func (s *nameScanner) add(end int) {
	if name := s.text[s.pos:end]; !slices.Contains(s.names, name) {
		s.names = append(s.names, name)
	}
	s.pos = end
}

func (s *nameScanner) fail(reason string) error {
	line := 1 + strings.Count(s.text[:min(s.pos, len(s.text))], "\n")
	return fmt.Errorf("docker-compose file, line %d: %s", line, reason)
}
