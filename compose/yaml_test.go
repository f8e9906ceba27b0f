package compose

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// same compares a node with the one of go-yaml, which Docker Compose reads files with.
func same(ours *yamlNode, theirs *yaml.Node, depth int) error {
	if depth > 50 {
		return nil
	}
	if theirs.Kind == yaml.AliasNode {
		theirs = theirs.Alias
	}
	kind := map[yaml.Kind]yamlKind{yaml.ScalarNode: yamlScalar, yaml.MappingNode: yamlMapping, yaml.SequenceNode: yamlSequence}[theirs.Kind]
	if ours.kind != kind {
		return fmt.Errorf("line %d: kind %d, not %d", theirs.Line, ours.kind, kind)
	}
	if kind == yamlScalar {
		if ours.value != theirs.Value {
			return fmt.Errorf("line %d: %q, not %q", theirs.Line, ours.value, theirs.Value)
		}
		if ours.tag == "" && theirs.Style&yaml.TaggedStyle == 0 && ours.isNull() != (theirs.Tag == "!!null") {
			return fmt.Errorf("line %d: null %v, tag %s of %q", theirs.Line, ours.isNull(), theirs.Tag, theirs.Value)
		}
		return nil
	}
	if len(ours.items) != len(theirs.Content) {
		return fmt.Errorf("line %d: %d items, not %d", theirs.Line, len(ours.items), len(theirs.Content))
	}
	for i := range ours.items {
		if err := same(ours.items[i], theirs.Content[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// hasCycle reports whether an anchor is used within itself, which Docker Compose refuses.
func hasCycle(n *yaml.Node, outer []*yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		return slices.Contains(outer, n.Alias)
	}
	for _, inner := range n.Content {
		if hasCycle(inner, append(outer, n)) {
			return true
		}
	}
	return false
}

// compareYAML returns an error if go-yaml reads the text and we do not, or read something else.
func compareYAML(text string) error {
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var theirs []*yaml.Node
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if err != nil {
			if err.Error() == "EOF" {
				break
			}
			return nil
		}
		var value any
		if document.Decode(&value) != nil || hasCycle(&document, nil) { // such as a key that is there twice
			return nil
		}
		if len(document.Content) == 1 {
			theirs = append(theirs, document.Content[0])
		}
	}
	ours, err := parseYAML(text)
	if err != nil {
		return err
	}
	if len(ours) != len(theirs) {
		return fmt.Errorf("%d documents, not %d", len(ours), len(theirs))
	}
	for i := range ours {
		if err := same(ours[i], theirs[i], 0); err != nil {
			return err
		}
	}
	return nil
}

var yamlSamples = []string{
	"", "# nothing\n", "a", "a: b", "a: b\nc: d\n", "a:\n  b: c\n  d:\n  - e\n  - f: g\n    h: i\n", "- a\n- - b\n  - c\n-\n  d\n-\n",
	"a: |\n  x\n   y\n\n  z\n\nb: >\n  x\n  y\n\n  z\n   w\n  v\nc: |-\n  x\n\nd: |+\n  x\n\n\ne: |2\n    x\n  y\n",
	"a: 'x''y'\nb: \"x\\n\\x24\\u0041\\U0001F600\\\n   y\"\nc: \"a\n\n  b\n  c \"\nd: ' '\n",
	"a: [x, y: z, {b: c, \"d\":e, f}, [], {}]\nb: {\n  c: d, # comment\n  e\n}\n",
	"x-a: &a\n  K: v\n  L:\nb: *a\nc:\n  <<: *a\n  M: &m w\nd: [*m, *a]\n",
	"a: x\n  y\n\n  z # no\nb: c#d\ne: http://x:80/y\n", "? a\n: b\n? - c\n: - d\n", "--- # x\na: b\n...\n---\nc: d\n", "%YAML 1.2\n---\na: b\n",
	"a: !!str 5\nb: !reset\nc: !override [x]\nd: !!null ''\n", "\uFEFFa: b\r\nc: |\r\n  d\r\n", "a:\t b\n\"c\" : d\n'e': f\n[g]: h\n",
	"a: -\nb: - c\n", "a: ~\nb: null\nc: NULL\nd: ''\ne:\n", "a: |\n  x", "a: >\n\n\n  x\n  \n y: z", "a: b: c\n", "a:\n b\n  c: d\n", "a: 'x\ny'\n",
	"- |\n x\n- >1\n  y\n", "&a b: *a\n", "a: &x\n  b: 1\n", "a: &x\nb: *x\n", "- &a\n- *a\n", "a: {b: [c, d], ${X}: y}\n", "a: ${X}\nb: [\"${X}\"]\n", "a: x?y\nb: [x?y, ?z, -w]\n", "a: &a\n  b: &a\n  c: d\ne: *a\n", "-\n|\n x\n", "{? :x}", "&a: b\nc: *a\n",
}

func TestParseYAML_LikeDockerCompose(t *testing.T) {
	t.Parallel()
	for _, text := range yamlSamples {
		if err := compareYAML(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseYAML_Refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: [b":                   "line 1: a bracket without its closing one",
		"a: 'b":                   "line 1: a quote without its closing one",
		"a: b\nc":                 "line 2: want a key and a colon",
		"a: b\n  c: d":            "line 2: something follows the value",
		"a:\n    b: c\n  d: e":    "line 3: the indentation fits no list and no mapping",
		"a: *b":                   `no anchor "b"`,
		"a: b\na: c":              `line 2: the key "a" is there twice`,
		"a: \"\\q\"":              "an escape that YAML does not know",
		"a: \"\\ud800\"":          "an escape of no character",
		"a: @b":                   "no value begins like this",
		"\ta: b":                  "a tab in the indentation",
		"a: \x01":                 "the control character U+0001",
		"a: \xff":                 "not UTF-8",
		strings.Repeat("[", 200):  "nested too deeply",
		strings.Repeat("- ", 200): "nested too deeply",
		"a: [b}":                  "want a comma or the closing bracket",
		"a: {b: c\n---\n}":        "a document ends within brackets",
		"a: 'b\n---\n'":           "a document ends within quotes",
		"a: 'b' c":                "something follows the value",
		"a: |x\n  b":              "something follows the value",
		"a: &x &y b":              "a broken anchor or tag",
	} {
		_, err := parseYAML(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What go-yaml reads is read here, as the same values. Line ends of older standards, which go-yaml knows, are left out.
func FuzzParseYAML(f *testing.F) {
	for _, text := range yamlSamples {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.ContainsAny(text, "\u0085\u2028\u2029\uFEFF") || !utf8.ValidString(text) { // UTF-16, too, fits in no JSON
			return
		}
		if err := compareYAML(text); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
