package compose

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// plainStart reports whether a scalar without quotes may begin here.
func (p *yamlParser) plainStart() bool {
	c := p.at(0)
	switch {
	case p.blankAt(0):
		return false
	case c == '-' || c == '?' || c == ':':
		return !p.blankAt(1)
	}
	return strings.IndexByte(",[]{}#&*!|>'\"%@`", c) < 0
}

// plainEnd reports whether a scalar without quotes ends before this character.
func (p *yamlParser) plainEnd(flow bool) bool {
	c := p.at(0)
	return c == ':' && p.blankAt(1) || flow && (c == '?' && p.blankAt(1) || strings.IndexByte(",[]{}", c) >= 0)
}

// plainLine reads a scalar without quotes up to the end of the line at most.
func (p *yamlParser) plainLine(flow bool) *yamlNode {
	begin, end := p.pos, p.pos
	for !p.breakAt(0) && !p.plainEnd(flow) {
		blank := p.blankAt(0)
		if p.at(0) == '#' && p.pos > end {
			break
		}
		p.pos++
		if !blank {
			end = p.pos
		}
	}
	p.pos = end
	return &yamlNode{value: p.text[begin:end], plain: true, line: p.line}
}

// folded is the text of a scalar over several lines: a line end between words is a blank, and each empty line
// is a line end.
type folded struct {
	strings.Builder
	blanks string // since the last character that is not blank
	breaks int    // line ends since then
	joined bool   // the first of these line ends was escaped, and does not count
}

// flush writes the blanks or line ends that a character follows.
func (f *folded) flush() {
	switch {
	case f.breaks == 0 && !f.joined:
		f.WriteString(f.blanks)
	case f.breaks == 1 && !f.joined:
		f.WriteByte(' ')
	default:
		for range f.breaks - 1 {
			f.WriteByte('\n')
		}
		if f.joined && f.breaks > 0 {
			f.WriteByte('\n')
		}
	}
	f.blanks, f.breaks, f.joined = "", 0, false
}

// space moves over blanks and line ends, and keeps what flush writes of them.
func (p *yamlParser) foldSpace(f *folded) error {
	for {
		begin := p.pos
		p.skipBlanks()
		if f.breaks == 0 && !f.joined {
			f.blanks += p.text[begin:p.pos]
		}
		if p.pos == len(p.text) || p.at(0) != '\n' {
			return nil
		}
		p.newline()
		f.breaks++
	}
}

// plain reads a scalar without quotes, over several lines if they are indented deeper than parent.
func (p *yamlParser) plain(parent int, flow bool) (*yamlNode, error) {
	begin := p.yamlMark
	if node := p.plainLine(flow); !p.continues(parent, flow) {
		return node, nil
	}
	p.yamlMark = begin
	node := &yamlNode{plain: true, line: p.line}
	var f folded
	var end yamlMark
	for {
		begin := p.pos
		for !p.blankAt(0) && !p.plainEnd(flow) {
			p.pos++
		}
		if p.pos > begin {
			f.flush()
			f.WriteString(p.text[begin:p.pos])
		}
		end = p.yamlMark
		if !p.blankAt(0) || p.pos == len(p.text) {
			break
		}
		if err := p.foldSpace(&f); err != nil {
			return nil, err
		}
		if p.atEnd() || p.at(0) == '#' || p.plainEnd(flow) || !flow && f.breaks > 0 && p.column() <= parent {
			break
		}
		if f.breaks > 0 && !flow && strings.IndexByte(p.text[p.lineStart:min(p.lineStart+parent+1, p.pos)], '\t') >= 0 {
			return nil, p.fail("a tab in the indentation")
		}
	}
	p.yamlMark = end
	node.value = f.String()
	return node, nil
}

// continues reports whether the scalar without quotes that ends here may go on on another line.
func (p *yamlParser) continues(parent int, flow bool) bool {
	end := p.yamlMark
	defer func() { p.yamlMark = end }()
	p.skipBlanks()
	if p.at(0) != '\n' || p.pos == len(p.text) {
		return false
	}
	for {
		switch {
		case p.at(0) == '\t' && p.column() <= parent:
			return true // an error, perhaps
		case p.at(0) == ' ' || p.at(0) == '\t':
			p.pos++
		case p.at(0) == '\n' && p.pos < len(p.text):
			p.newline()
		default:
			return flow || p.column() > parent
		}
	}
}

func (p *yamlParser) singleQuoted() (*yamlNode, error) {
	return p.quoted(func(f *folded) (bool, error) {
		if p.at(0) != '\'' {
			return false, nil
		}
		if p.at(1) != '\'' {
			return true, nil
		}
		f.WriteByte('\'')
		p.pos += 2
		return false, nil
	}, "'")
}

func (p *yamlParser) doubleQuoted() (*yamlNode, error) {
	return p.quoted(func(f *folded) (bool, error) {
		switch p.at(0) {
		case '"':
			return true, nil
		case '\\':
			return false, p.escape(f)
		}
		return false, nil
	}, `"\`)
}

// quoted reads a scalar in quotes. special is called at each of the stops, which are no text, and reports
// whether the scalar ends there.
func (p *yamlParser) quoted(special func(*folded) (bool, error), stops string) (*yamlNode, error) {
	node := &yamlNode{line: p.line}
	unclosed := p.fail("a quote without its closing one")
	p.pos++
	if rest := p.text[p.pos:]; stops == `"\` {
		// The common case: a text on one line, without escapes.
		if i := strings.IndexAny(rest, "\"\\\n"); i >= 0 && rest[i] == '"' {
			node.value = rest[:i]
			p.pos += i + 1
			return node, nil
		}
	}
	var f folded
	for {
		if err := p.foldSpace(&f); err != nil {
			return nil, err
		}
		switch {
		case p.pos == len(p.text):
			return nil, unclosed
		case f.breaks > 0 && (p.atMarker("---") || p.atMarker("...")):
			return nil, p.fail("a document ends within quotes")
		}
		if strings.IndexByte(stops, p.at(0)) >= 0 {
			f.flush()
			done, err := special(&f)
			if err != nil {
				return nil, err
			}
			if done {
				p.pos++
				node.value = f.String()
				return node, nil
			}
			continue
		}
		f.flush()
		begin := p.pos
		for !p.blankAt(0) && strings.IndexByte(stops, p.at(0)) < 0 {
			p.pos++
		}
		f.WriteString(p.text[begin:p.pos])
	}
}

// escape reads what a backslash begins.
func (p *yamlParser) escape(f *folded) error {
	c := p.at(1)
	if c == '\n' && p.pos+1 < len(p.text) {
		p.pos++
		p.newline()
		f.joined = true
		return nil
	}
	p.pos += 2
	if i := strings.IndexByte("0abt\tnvfre \"'/\\N_LP", c); i >= 0 && c != 0 {
		f.WriteString([]string{"\x00", "\a", "\b", "\t", "\t", "\n", "\v", "\f", "\r", "\x1b", " ", `"`, "'", "/", `\`,
			"\u0085", "\u00a0", "\u2028", "\u2029"}[i])
		return nil
	}
	size := map[byte]int{'x': 2, 'u': 4, 'U': 8}[c]
	if size == 0 || p.pos+size > len(p.text) {
		return p.fail("an escape that YAML does not know")
	}
	code, err := strconv.ParseUint(p.text[p.pos:p.pos+size], 16, 32)
	if err != nil || code > utf8.MaxRune || !utf8.ValidRune(rune(code)) {
		return p.fail("an escape of no character")
	}
	p.pos += size
	f.WriteRune(rune(code))
	return nil
}

// blockScalar reads a scalar behind | or >, whose lines are indented deeper than parent.
func (p *yamlParser) blockScalar(parent int) (*yamlNode, error) {
	node := &yamlNode{line: p.line}
	literal := p.at(0) == '|'
	chomp, indent := byte(0), 0
	for p.pos++; ; p.pos++ {
		switch c := p.at(0); {
		case (c == '+' || c == '-') && chomp == 0:
			chomp = c
			continue
		case '1' <= c && c <= '9' && indent == 0:
			indent = int(c-'0') + max(parent, 0)
			continue
		}
		break
	}
	if err := p.endLine(); err != nil {
		return nil, err
	}
	p.skipLine()
	b := blockText{literal: literal}
	if indent == 0 {
		indent = p.detectIndent(parent)
	}
	for {
		breaks, err := p.blockBreaks(indent)
		if err != nil {
			return nil, err
		}
		b.breaks += breaks
		if p.column() != indent || p.pos == len(p.text) {
			break
		}
		begin := p.pos
		p.skipLineText()
		b.line(p.text[begin:p.pos])
		if p.pos == len(p.text) {
			break
		}
		p.newline()
		b.ended = true
	}
	node.value = b.end(chomp)
	return node, nil
}

func (p *yamlParser) skipLineText() {
	for !p.breakAt(0) {
		p.pos++
	}
}

// detectIndent returns the indentation of a block scalar: that of its first line with text, or of a deeper
// empty line before.
func (p *yamlParser) detectIndent(parent int) int {
	mark := p.yamlMark
	defer func() { p.yamlMark = mark }()
	deepest := 0
	for {
		for p.at(0) == ' ' {
			p.pos++
		}
		deepest = max(deepest, p.column())
		if p.at(0) != '\n' || p.pos == len(p.text) {
			return max(deepest, parent+1, 1)
		}
		p.newline()
	}
}

// blockBreaks moves over empty lines and the indentation of the next line, and returns how many were empty.
func (p *yamlParser) blockBreaks(indent int) (int, error) {
	for breaks := 0; ; breaks++ {
		for p.column() < indent && p.at(0) == ' ' {
			p.pos++
		}
		switch {
		case p.column() < indent && p.at(0) == '\t':
			return 0, p.fail("a tab in the indentation")
		case p.pos == len(p.text) || p.at(0) != '\n':
			return breaks, nil
		}
		p.newline()
	}
}

// blockText is the text of a block scalar. A folded one joins lines that are not indented further.
type blockText struct {
	strings.Builder
	literal  bool
	ended    bool // a line end follows the last line
	indented bool // the last line begins with a blank
	breaks   int  // empty lines since then
}

func (b *blockText) line(text string) {
	indented := strings.HasPrefix(text, " ") || strings.HasPrefix(text, "\t")
	switch {
	case !b.ended:
	case b.literal || b.indented || indented:
		b.WriteByte('\n')
	case b.breaks == 0:
		b.WriteByte(' ')
	}
	for range b.breaks {
		b.WriteByte('\n')
	}
	b.WriteString(text)
	b.breaks, b.ended, b.indented = 0, false, indented
}

// end returns the text with as many line ends as the header demands: '-' none, '+' all, else one.
func (b *blockText) end(chomp byte) string {
	if chomp != '-' && b.ended {
		b.WriteByte('\n')
	}
	if chomp == '+' {
		for range b.breaks {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
