package compose

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// CheckDockerCompose returns an error if a text is not a docker-compose file: a path to one, no YAML, no mapping,
// or a mapping without services. It does not check the services; package inspect does.
func CheckDockerCompose(text string) error {
	if looksLikePath(text) {
		return fmt.Errorf("docker-compose file: %.80q looks like a path; did you mean the file's content?", text)
	}
	documents, err := parseYAML(text)
	if err != nil {
		return err
	}
	for _, document := range documents {
		if document.kind != yaml.MappingNode {
			return &yamlError{document.line, "want a mapping with services"}
		}
		if services := document.get("services"); services != nil && services.kind == yaml.MappingNode && len(services.items) > 0 {
			return nil
		}
	}
	return errors.New("docker-compose file: it has no services")
}

// checkScript returns an error if a script is a path to one.
func checkScript(member, text string) error {
	if looksLikePath(text) {
		return fmt.Errorf("app-compose: %s: %.80q looks like a path; did you mean the file's content?", member, text)
	}
	return nil
}

// looksLikePath reports whether a text is one word that ends as the names of compose files and scripts do.
func looksLikePath(text string) bool {
	if text == "" || strings.ContainsAny(text, " \t\r\n") {
		return false
	}
	switch path.Ext(text) {
	case ".yml", ".yaml", ".json", ".sh", ".bash", ".txt":
		return true
	}
	return false
}

// yamlNode is a value of a docker-compose file. An alias is the node of its anchor.
type yamlNode struct {
	kind  yaml.Kind
	value string      // of a scalar
	tag   string      // such as !!str
	line  int         // from 1
	items []*yamlNode // of a sequence; of a mapping its keys and values alternately
}

// isNull reports whether the node is null, or absent.
func (n *yamlNode) isNull() bool { return n == nil || n.kind == yaml.ScalarNode && n.tag == "!!null" }

// yamlEntry is a key and value of a mapping.
type yamlEntry struct{ key, value *yamlNode }

// maxMerges bounds the work that merges of merges can make.
const maxMerges = 1000

// entries returns the entries of a mapping with its merges resolved: its own keys come before those that are
// merged, and those of an earlier merge before those of a later one. Another node has none.
func (n *yamlNode) entries() []yamlEntry {
	var all []yamlEntry
	seen := map[string]bool{}
	merges := 0
	var add func(n *yamlNode)
	add = func(n *yamlNode) {
		if merges++; n == nil || n.kind != yaml.MappingNode || merges > maxMerges {
			return
		}
		for i := 0; i < len(n.items); i += 2 {
			if key := n.items[i]; key.tag != "!!merge" && !seen[key.value] {
				seen[key.value] = true
				all = append(all, yamlEntry{key, n.items[i+1]})
			}
		}
		for i := 0; i < len(n.items); i += 2 {
			switch merged := n.items[i+1]; {
			case n.items[i].tag != "!!merge":
			case merged.kind == yaml.SequenceNode:
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

// get returns the value of a key, merges resolved; nil if there is none.
func (n *yamlNode) get(key string) *yamlNode {
	for _, e := range n.entries() {
		if e.key.value == key {
			return e.value
		}
	}
	return nil
}

// yamlError is an error at a line.
type yamlError struct {
	line   int
	reason string
}

func (e *yamlError) Error() string {
	return fmt.Sprintf("docker-compose file, line %d: %s", e.line, e.reason)
}

// parseYAML returns the documents of a text, read by the parser that Docker Compose uses. Like Docker Compose it
// refuses a key that appears twice and an anchor that is used within itself.
func parseYAML(text string) ([]*yamlNode, error) {
	if !utf8.ValidString(text) { // UTF-16, which YAML allows, fits in no JSON
		return nil, errors.New("docker-compose file: not UTF-8 text")
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	reader := yamlReader{}
	var documents []*yamlNode
	for {
		var document yaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("docker-compose file: %w", err)
		}
		for _, content := range document.Content {
			node, err := reader.node(content, 0)
			if err != nil {
				return nil, err
			}
			documents = append(documents, node)
		}
	}
}

// maxYAMLDepth bounds how deeply values are nested.
const maxYAMLDepth = 100

// yamlReader maps the nodes of the parser to those of this package; nil marks a node that is being read.
type yamlReader map[*yaml.Node]*yamlNode

func (r yamlReader) node(from *yaml.Node, depth int) (*yamlNode, error) {
	if from.Kind == yaml.AliasNode {
		from = from.Alias
	}
	if node, known := r[from]; node != nil {
		return node, nil
	} else if known {
		return nil, &yamlError{from.Line, "an anchor is used within itself"}
	}
	if depth > maxYAMLDepth {
		return nil, &yamlError{from.Line, fmt.Sprintf("nested more than %d levels deep", maxYAMLDepth)}
	}
	r[from] = nil
	node := &yamlNode{kind: from.Kind, value: from.Value, tag: from.ShortTag(), line: from.Line}
	keys := map[string]bool{}
	for i, content := range from.Content {
		item, err := r.node(content, depth+1)
		if err != nil {
			return nil, err
		}
		if isKey := from.Kind == yaml.MappingNode && i%2 == 0; isKey && item.kind == yaml.ScalarNode {
			if keys[item.value] {
				return nil, &yamlError{content.Line, fmt.Sprintf("the key %.80q appears twice", item.value)}
			}
			keys[item.value] = true
		}
		node.items = append(node.items, item)
	}
	r[from] = node
	return node, nil
}
