package compose

import "strings"

// withoutComments returns YAML text with its comments turned to blanks, so that places in it stay the same.
// A number sign within quotes or a block scalar, such as a shell script, is no comment. It follows the rules
// of YAML 1.2, sections 6.6 and 8.1, as far as they decide that.
func withoutComments(text string) string {
	if strings.IndexByte(text, '#') < 0 {
		return text
	}
	s := commentScanner{out: []byte(text), block: noBlock}
	for line := range strings.Lines(text) {
		s.line(strings.TrimRight(line, "\r\n"))
		s.at += len(line)
	}
	return string(s.out)
}

const noBlock = -1

type commentScanner struct {
	out   []byte
	at    int  // where the line begins
	block int  // column whose deeper lines are a block scalar
	quote byte // the open quote, which may have begun lines before
	flow  int  // open brackets
}

func (s *commentScanner) line(line string) {
	indent := len(line) - len(strings.TrimLeft(line, " "))
	if s.block != noBlock {
		if strings.TrimSpace(line) == "" || indent > s.block {
			return
		}
		s.block = noBlock
	}
	begin, parent := true, indent // a node may begin here; the column it belongs to
	for i := indent; i < len(line); i++ {
		c := line[i]
		switch {
		case s.quote != 0:
			i = s.quoted(line, i)
			begin = false
		case c == ' ' || c == '\t':
		case c == '#' && (i == 0 || isBlank(line[i-1])):
			for j := i; j < len(line); j++ {
				s.out[s.at+j] = ' '
			}
			return
		case begin && (c == '"' || c == '\''):
			s.quote = c
			parent = s.column(line, parent, i)
		case begin && (c == '!' || c == '&'): // a tag or an anchor, before the node itself
			for i+1 < len(line) && !isBlank(line[i+1]) {
				i++
			}
		case begin && (c == '-' || c == '?') && endsWord(line, i+1):
			parent = i
		case begin && s.flow == 0 && (c == '|' || c == '>') && isBlockHeader(line[i+1:]):
			s.block = parent
		case begin && (c == '[' || c == '{'):
			s.flow++
		case s.flow > 0 && (c == ']' || c == '}'):
			s.flow--
			begin = false
		case s.flow > 0 && c == ',', c == ':' && endsWord(line, i+1):
			begin = true
		default:
			if begin {
				parent = s.column(line, parent, i)
			}
			begin = false
		}
	}
}

// column is where the node at i counts as indented: itself where only dashes come before it.
func (s *commentScanner) column(line string, parent, i int) int {
	if s.flow == 0 && strings.Trim(line[parent:i], "-? ") == "" {
		return i
	}
	return parent
}

// quoted moves on from i within a quoted scalar, to its closing quote or the character before the next.
func (s *commentScanner) quoted(line string, i int) int {
	switch {
	case s.quote == '"' && line[i] == '\\', s.quote == '\'' && strings.HasPrefix(line[i:], "''"):
		return i + 1
	case line[i] == s.quote:
		s.quote = 0
	}
	return i
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func endsWord(line string, i int) bool { return i >= len(line) || isBlank(line[i]) }

// isBlockHeader tells what may follow | or >: an indentation, a chomping sign, and a comment.
func isBlockHeader(rest string) bool {
	rest = strings.TrimLeft(rest, "+-123456789")
	trimmed := strings.TrimLeft(rest, " \t")
	return trimmed == "" || trimmed[0] == '#' && trimmed != rest
}
