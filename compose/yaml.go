package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The reader of YAML in this file and in yamlscalar.go knows as much of YAML as a docker-compose file needs:
// where its values are, what their text is, and what is null. The package is for the standard library alone, so
// that a program that hashes documents carries no YAML library. It takes what go.yaml.in/yaml/v4, which Docker
// Compose uses, takes; a fuzz test compares the two. Types of scalars other than null are not resolved.

type yamlKind int

const (
	yamlScalar yamlKind = iota
	yamlMapping
	yamlSequence
)

// yamlNode is a value. An alias is the node of its anchor.
type yamlNode struct {
	kind  yamlKind
	value string      // of a scalar
	plain bool        // a scalar without quotes, which may be null
	tag   string      // such as !!str, "" if none
	line  int         // from 1
	items []*yamlNode // of a sequence; of a mapping its keys and values in turn
}

// isNull reports whether the node is null, or absent.
func (n *yamlNode) isNull() bool {
	if n == nil {
		return true
	}
	if n.kind != yamlScalar || !n.plain || n.tag != "" && n.tag != "!!null" {
		return false
	}
	switch n.value {
	case "", "~", "null", "Null", "NULL":
		return true
	}
	return false
}

// isMerge reports whether the node is the key of a merge.
func (n *yamlNode) isMerge() bool { return n.kind == yamlScalar && n.plain && n.value == "<<" }

// maxMerges bounds the work that merges of merges can make.
const maxMerges = 1000

// entry is a key and value of a mapping.
type yamlEntry struct{ key, value *yamlNode }

// entries returns the entries of a mapping with its merges resolved: its own keys come before those that are
// merged, and those of an earlier merge before those of a later one. Another node has none.
func (n *yamlNode) entries() []yamlEntry {
	var all []yamlEntry
	seen := map[string]bool{}
	merges := 0
	var add func(n *yamlNode)
	add = func(n *yamlNode) {
		if merges++; n == nil || n.kind != yamlMapping || merges > maxMerges {
			return
		}
		for i := 0; i < len(n.items); i += 2 {
			if key := n.items[i]; !key.isMerge() && !seen[key.value] {
				seen[key.value] = true
				all = append(all, yamlEntry{key, n.items[i+1]})
			}
		}
		for i := 0; i < len(n.items); i += 2 {
			switch merged := n.items[i+1]; {
			case !n.items[i].isMerge():
			case merged.kind == yamlSequence:
				for _, one := range merged.items {
					add(one)
				}
			default:
				add(merged)
			}
		}
	}
	add(n)
	return all
}

// addEntry adds a key and a value to a mapping. Like Docker Compose it refuses a key that is there already.
func (n *yamlNode) addEntry(keys map[string]bool, key, value *yamlNode) error {
	if keys[key.value] {
		return &yamlError{key.line, fmt.Sprintf("the key %.80q is there twice", key.value)}
	}
	keys[key.value] = true
	n.items = append(n.items, key, value)
	return nil
}

// get returns the value of a key, merges resolved; nil if there is none.
func (n *yamlNode) get(key string) *yamlNode {
	for _, e := range n.entries() {
		if e.key.value == key {
			return e.value
		}
	}
	return nil
}

// parseYAML reads all documents of a text.
func parseYAML(text string) ([]*yamlNode, error) {
	text = strings.TrimPrefix(text, "\uFEFF")
	if strings.IndexByte(text, '\r') >= 0 {
		text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	}
	p := yamlParser{text: text, yamlMark: yamlMark{line: 1}, anchors: map[string]*yamlNode{}, anchored: map[string]int{}}
	if err := p.checkCharacters(); err != nil {
		return nil, err
	}
	var documents []*yamlNode
	for {
		if err := p.skipToContent(); err != nil {
			return nil, err
		}
		fresh := true
		switch {
		case p.pos == len(text):
			return documents, nil
		case p.column() == 0 && text[p.pos] == '%':
			p.skipLine()
			continue
		case p.atMarker("..."):
			p.pos += 3
			if err := p.endLine(); err != nil {
				return nil, err
			}
			continue
		case p.atMarker("---"):
			p.pos += 3
			fresh = false
		}
		node, err := p.block(-1, blockContext{fresh: fresh})
		if err != nil {
			return nil, err
		}
		documents = append(documents, node)
		if err := p.skipToContent(); err != nil {
			return nil, err
		}
		if p.pos < len(text) && !p.atMarker("---") && !p.atMarker("...") {
			return nil, p.fail("want the end of the document")
		}
	}
}

// yamlMark is a position, to which the parser can go back.
type yamlMark struct {
	pos       int
	line      int
	lineStart int
}

type yamlParser struct {
	yamlMark
	text    string
	anchors map[string]*yamlNode
	// anchored is where the anchor begins that a name stands for. One within another node of the same name ends
	// first, but counts as the later one.
	anchored map[string]int
	depth    int
}

// yamlError is an error at a line.
type yamlError struct {
	line   int
	reason string
}

func (e *yamlError) Error() string {
	return fmt.Sprintf("docker-compose file, line %d: %s", e.line, e.reason)
}

func (p *yamlParser) fail(reason string) error { return &yamlError{p.line, reason} }

func (p *yamlParser) checkCharacters() error {
	if !utf8.ValidString(p.text) {
		return errors.New("docker-compose file: not UTF-8 text")
	}
	for i := range len(p.text) {
		c := p.text[i]
		if c < ' ' && c != '\n' && c != '\t' || c == 0xef && (p.text[i:i+3] == "\ufffe" || p.text[i:i+3] == "\uffff") {
			r, _ := utf8.DecodeRuneInString(p.text[i:])
			return &yamlError{1 + strings.Count(p.text[:i], "\n"), fmt.Sprintf("the control character %U", r)}
		}
	}
	return nil
}

func (p *yamlParser) column() int { return p.pos - p.lineStart }

// at returns the character i places on, 0 at the end.
func (p *yamlParser) at(i int) byte {
	if p.pos+i < len(p.text) {
		return p.text[p.pos+i]
	}
	return 0
}

// blankAt reports whether a blank, a line's end or the text's end is i places on.
func (p *yamlParser) blankAt(i int) bool {
	switch p.at(i) {
	case ' ', '\t', '\n':
		return true
	}
	return p.pos+i >= len(p.text)
}

// breakAt reports whether a line's end or the text's end is i places on.
func (p *yamlParser) breakAt(i int) bool { return p.pos+i >= len(p.text) || p.at(i) == '\n' }

func (p *yamlParser) skipBlanks() {
	for c := p.at(0); c == ' ' || c == '\t'; c = p.at(0) {
		p.pos++
	}
}

func (p *yamlParser) newline() {
	p.pos++
	p.line++
	p.lineStart = p.pos
}

func (p *yamlParser) skipLine() {
	if n := strings.IndexByte(p.text[p.pos:], '\n'); n >= 0 {
		p.pos += n
		p.newline()
		return
	}
	p.pos = len(p.text)
}

// skipToContent moves over blanks, comments and line ends.
func (p *yamlParser) skipToContent() error {
	for {
		begin := p.pos
		p.skipBlanks()
		switch {
		case p.pos == len(p.text):
			return nil
		case p.at(0) == '#':
			p.skipLine()
		case p.at(0) == '\n':
			p.newline()
		case begin == p.lineStart && strings.IndexByte(p.text[begin:p.pos], '\t') >= 0:
			return p.fail("a tab in the indentation")
		default:
			return nil
		}
	}
}

// endLine returns an error if something but a comment follows on the line.
func (p *yamlParser) endLine() error {
	p.skipBlanks()
	if !p.breakAt(0) && p.at(0) != '#' {
		return p.fail("something follows the value: " + p.shown())
	}
	return nil
}

// shown returns the next characters of the line, for an error: a compose file is no secret, but may be long.
func (p *yamlParser) shown() string {
	rest := p.text[p.pos:]
	if n := strings.IndexByte(rest, '\n'); n >= 0 {
		rest = rest[:n]
	}
	return fmt.Sprintf("%.20q", rest)
}

// atMarker reports whether a line begins with the marker of a document's begin or end.
func (p *yamlParser) atMarker(marker string) bool {
	return p.column() == 0 && strings.HasPrefix(p.text[p.pos:], marker) && p.blankAt(len(marker))
}

func (p *yamlParser) atEnd() bool {
	return p.pos == len(p.text) || p.atMarker("---") || p.atMarker("...")
}

// yamlProperties are the anchor and tag before a node.
type yamlProperties struct {
	anchor, tag string
	begin       int // of the anchor
}

// blockContext is what may begin at a position.
type blockContext struct {
	fresh      bool // a block collection may begin on this line
	sameColumn bool // a sequence may begin at the column of the parent, as it does in a mapping
}

// block reads the node that comes next and belongs to a collection at the column parent.
func (p *yamlParser) block(parent int, context blockContext) (*yamlNode, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	defer func() { p.depth-- }()
	var props yamlProperties
	begin := p.line
	for {
		line := p.line
		if err := p.skipToContent(); err != nil {
			return nil, err
		}
		fresh := context.fresh || p.line > line
		context.fresh = false
		column := p.column()
		if p.atEnd() || p.line > begin && (column < parent || column == parent && !p.atParentColumn(context)) {
			return p.made(&yamlNode{plain: true, line: begin}, props), nil
		}
		if fresh {
			node, err := p.blockCollection(column)
			if node != nil || err != nil {
				return p.made(node, props), err
			}
		}
		if p.at(0) != '&' && p.at(0) != '!' {
			isBlock := p.at(0) == '|' || p.at(0) == '>'
			node, err := p.leaf(parent)
			if err != nil {
				return nil, err
			}
			if !isBlock {
				err = p.endLine()
			}
			return p.made(node, props), err
		}
		if err := p.property(&props); err != nil {
			return nil, err
		}
	}
}

// atParentColumn reports whether what comes next may stand at the column of the collection that it belongs to:
// a sequence in a mapping, and with go-yaml a block scalar.
func (p *yamlParser) atParentColumn(context blockContext) bool {
	return p.at(0) == '|' || p.at(0) == '>' || context.sameColumn && p.at(0) == '-' && p.blankAt(1)
}

// made returns a node with its properties.
func (p *yamlParser) made(node *yamlNode, props yamlProperties) *yamlNode {
	if node == nil {
		return nil
	}
	if props.tag != "" {
		node.tag = props.tag
	}
	if props.anchor != "" && p.anchored[props.anchor] <= props.begin {
		p.anchors[props.anchor], p.anchored[props.anchor] = node, props.begin
	}
	return node
}

// anchorStops end the name of an anchor. YAML would allow a colon in it, go-yaml does not.
const anchorStops = ",[]{}:"

// property reads an anchor or a tag.
func (p *yamlParser) property(props *yamlProperties) error {
	kind, begin := p.at(0), p.pos
	p.pos++
	stops := ",[]{}"
	switch {
	case kind == '&':
		stops = anchorStops
	case p.at(0) == '<':
		stops = ""
	}
	for !p.blankAt(0) && strings.IndexByte(stops, p.at(0)) < 0 {
		p.pos++
	}
	text := p.text[begin:p.pos]
	switch {
	case kind == '&' && props.anchor == "" && len(text) > 1:
		props.anchor, props.begin = text[1:], begin
	case kind == '!' && props.tag == "":
		props.tag = text
	default:
		return p.fail("a broken anchor or tag")
	}
	return nil
}

// blockCollection reads a mapping or sequence that begins here, nil if none does.
func (p *yamlParser) blockCollection(column int) (*yamlNode, error) {
	switch {
	case p.at(0) == '-' && p.blankAt(1):
		return p.blockSequence(column)
	case p.at(0) == '?' && p.blankAt(1):
		return p.blockMapping(column, nil)
	}
	key, err := p.implicitKey()
	if key == nil || err != nil {
		return nil, err
	}
	return p.blockMapping(column, key)
}

func (p *yamlParser) blockSequence(column int) (*yamlNode, error) {
	node := &yamlNode{kind: yamlSequence, line: p.line}
	for {
		p.pos++
		item, err := p.block(column, blockContext{fresh: true})
		if err != nil {
			return nil, err
		}
		node.items = append(node.items, item)
		if err := p.skipToContent(); err != nil {
			return nil, err
		}
		switch {
		case p.atEnd() || p.column() < column:
			return node, nil
		case p.column() > column:
			return nil, p.fail("the indentation fits no list and no mapping")
		case p.at(0) != '-' || !p.blankAt(1):
			return node, nil
		}
	}
}

// blockMapping reads a mapping whose first key has been read, unless it is nil.
func (p *yamlParser) blockMapping(column int, key *yamlNode) (*yamlNode, error) {
	node := &yamlNode{kind: yamlMapping, line: p.line}
	keys := map[string]bool{}
	for {
		value, err := (*yamlNode)(nil), error(nil)
		if key == nil {
			key, value, err = p.explicitEntry(column)
		} else {
			value, err = p.block(column, blockContext{sameColumn: true})
		}
		if err != nil {
			return nil, err
		}
		if err := node.addEntry(keys, key, value); err != nil {
			return nil, err
		}
		if err := p.skipToContent(); err != nil {
			return nil, err
		}
		switch {
		case p.atEnd() || p.column() < column:
			return node, nil
		case p.column() > column:
			return nil, p.fail("the indentation fits no list and no mapping")
		case p.at(0) == '?' && p.blankAt(1):
			key = nil
			continue
		}
		if key, err = p.implicitKey(); err != nil {
			return nil, err
		}
		if key == nil {
			return nil, p.fail("want a key and a colon: " + p.shown())
		}
	}
}

// explicitEntry reads "? key" and ": value".
func (p *yamlParser) explicitEntry(column int) (key, value *yamlNode, err error) {
	p.pos++
	if key, err = p.block(column, blockContext{fresh: true, sameColumn: true}); err != nil {
		return nil, nil, err
	}
	if err := p.skipToContent(); err != nil {
		return nil, nil, err
	}
	if p.column() != column || p.at(0) != ':' || !p.blankAt(1) {
		return key, &yamlNode{plain: true, line: p.line}, nil
	}
	p.pos++
	value, err = p.block(column, blockContext{fresh: true, sameColumn: true})
	return key, value, err
}

// implicitKey reads a key and its colon, both on this line, and returns nil if there is no such key.
func (p *yamlParser) implicitKey() (*yamlNode, error) {
	mark := p.yamlMark
	var props yamlProperties
	for p.at(0) == '&' || p.at(0) == '!' {
		if err := p.property(&props); err != nil {
			return nil, err
		}
		p.skipBlanks()
	}
	var key *yamlNode
	switch c := p.at(0); {
	case c == '*' || c == '"' || c == '\'' || c == '[' || c == '{':
		var err error
		if key, err = p.leaf(0); err != nil || p.line != mark.line {
			p.yamlMark = mark
			return nil, nil // which is read again as a value, with its error
		}
	case c == ':' && p.blankAt(1):
		key = &yamlNode{plain: true, line: p.line}
	case p.plainStart():
		key = p.plainLine(false)
	default:
		p.yamlMark = mark
		return nil, nil
	}
	p.skipBlanks()
	if p.at(0) != ':' || !p.blankAt(1) {
		p.yamlMark = mark
		return nil, nil
	}
	p.pos++
	return p.made(key, props), nil
}

// leaf reads an alias, a scalar, or a collection in brackets.
func (p *yamlParser) leaf(parent int) (*yamlNode, error) {
	switch c := p.at(0); {
	case c == '*':
		return p.alias()
	case c == '"':
		return p.doubleQuoted()
	case c == '\'':
		return p.singleQuoted()
	case c == '|' || c == '>':
		return p.blockScalar(parent)
	case c == '[' || c == '{':
		return p.flow()
	case p.plainStart():
		return p.plain(parent, false)
	}
	return nil, p.fail("no value begins like this: " + p.shown())
}

func (p *yamlParser) alias() (*yamlNode, error) {
	begin := p.pos + 1
	for p.pos++; !p.blankAt(0) && strings.IndexByte(anchorStops, p.at(0)) < 0; p.pos++ {
	}
	name := p.text[begin:p.pos]
	node := p.anchors[name]
	if node == nil {
		return nil, p.fail(fmt.Sprintf("no anchor %.80q before its alias", name))
	}
	return node, nil
}

// skipFlowSpace moves over what may stand between the parts of a collection in brackets.
func (p *yamlParser) skipFlowSpace() error {
	for {
		p.skipBlanks()
		switch {
		case p.at(0) == '\n' && p.pos < len(p.text):
			p.newline()
			if p.atMarker("---") || p.atMarker("...") {
				return p.fail("a document ends within brackets")
			}
		case p.at(0) == '#':
			p.skipLine()
		case p.pos == len(p.text):
			return p.fail("a bracket without its closing one")
		default:
			return nil
		}
	}
}

// flow reads a collection in brackets.
func (p *yamlParser) flow() (*yamlNode, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	defer func() { p.depth-- }()
	node := &yamlNode{kind: yamlSequence, line: p.line}
	closing := byte(']')
	if p.at(0) == '{' {
		node.kind, closing = yamlMapping, '}'
	}
	keys := map[string]bool{}
	p.pos++
	for {
		if err := p.skipFlowSpace(); err != nil {
			return nil, err
		}
		if p.at(0) == closing {
			p.pos++
			return node, nil
		}
		key, value, err := p.flowEntry(closing == ']' || len(node.items) > 0)
		if err != nil {
			return nil, err
		}
		switch {
		case node.kind == yamlMapping:
			if value == nil {
				value = &yamlNode{plain: true, line: p.line}
			}
			if err := node.addEntry(keys, key, value); err != nil {
				return nil, err
			}
		case value != nil:
			node.items = append(node.items, &yamlNode{kind: yamlMapping, line: key.line, items: []*yamlNode{key, value}})
		default:
			node.items = append(node.items, key)
		}
		switch p.at(0) {
		case ',':
			p.pos++
		case closing:
		default:
			return nil, p.fail("want a comma or the closing bracket: " + p.shown())
		}
	}
}

// flowEntry reads a value within brackets, or a key and its value, and what blanks follow. colon reports whether
// a scalar may begin with a colon, which go-yaml only takes behind a comma or [.
func (p *yamlParser) flowEntry(colon bool) (key, value *yamlNode, err error) {
	explicit := p.at(0) == '?' && p.blankAt(1)
	if explicit {
		p.pos++
		if err := p.skipFlowSpace(); err != nil {
			return nil, nil, err
		}
	}
	if key, err = p.flowNode(colon && !explicit); err != nil {
		return nil, nil, err
	}
	if err := p.skipFlowSpace(); err != nil {
		return nil, nil, err
	}
	if p.at(0) != ':' {
		if explicit {
			value = &yamlNode{plain: true, line: p.line}
		}
		return key, value, nil
	}
	p.pos++
	if err := p.skipFlowSpace(); err != nil {
		return nil, nil, err
	}
	if value, err = p.flowNode(false); err != nil {
		return nil, nil, err
	}
	return key, value, p.skipFlowSpace()
}

// flowNode reads a node within brackets, which may be empty.
func (p *yamlParser) flowNode(colon bool) (*yamlNode, error) {
	var props yamlProperties
	for p.at(0) == '&' || p.at(0) == '!' {
		if err := p.property(&props); err != nil {
			return nil, err
		}
		if err := p.skipFlowSpace(); err != nil {
			return nil, err
		}
	}
	var node *yamlNode
	var err error
	switch c := p.at(0); {
	case slices.Contains([]byte{'*', '"', '\'', '[', '{'}, c):
		node, err = p.leaf(0)
	case p.plainStart() && (c != ':' || colon):
		node, err = p.plain(-1, true)
	case strings.IndexByte(",]}:", c) >= 0:
		node = &yamlNode{plain: true, line: p.line}
	default:
		err = p.fail("no value begins like this: " + p.shown())
	}
	if err != nil {
		return nil, err
	}
	return p.made(node, props), nil
}
