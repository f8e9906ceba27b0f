package compose

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// EnvUse is one variable that a docker-compose file uses.
type EnvUse struct {
	// Name of the variable.
	Name string `json:"name"`
	// Line of the first use, from 1.
	Line int `json:"line"`
	// Required reports whether the app needs a value: some use of the variable has no default (${X}, $X), refuses
	// to start without one (${X:?}, ${X?}), or passes it through.
	Required bool `json:"required"`
	// Refused reports whether Docker Compose refuses to start if the variable is not set: ${X:?}, ${X?}, or the
	// environment of a secret or config.
	Refused bool `json:"refused"`
	// HasDefault reports whether some use has a default: ${X:-default} or ${X-default}.
	HasDefault bool `json:"has_default"`
	// PassedThrough reports whether the variable reaches a container under its own name, or a file in it, as it is:
	// "- X" or "X:" in an environment or build arguments, or the environment of a secret or config.
	PassedThrough bool `json:"passed_through"`
}

// EnvUses returns the variables that a docker-compose file uses, each once, in order of appearance: the variables in
// values, those inside of defaults such as ${A:-${B}}, and the names that are passed through. "$$" is a dollar sign, and
// so is a dollar sign before anything but a name or a brace. Comments and keys are not searched. Not Required are a
// variable that is only used inside of the default of another, and COMPOSE_PROJECT_NAME, which Docker Compose sets.
//
// A text that is not YAML, or that Docker Compose refuses for some values of the variables, is an error.
func EnvUses(dockerCompose string) ([]EnvUse, error) {
	documents, err := parseYAML(dockerCompose)
	if err != nil {
		return nil, err
	}
	uses := envUses{seen: map[*yamlNode]bool{}}
	for _, document := range documents {
		if err := uses.values(document); err != nil {
			return nil, err
		}
		uses.passedIn(document)
	}
	slices.SortStableFunc(uses.list, func(a, b EnvUse) int { return a.Line - b.Line })
	return uses.list, nil
}

// EnvNames returns the names of [EnvUses].
func EnvNames(dockerCompose string) ([]string, error) {
	uses, err := EnvUses(dockerCompose)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, use := range uses {
		names = append(names, use.Name)
	}
	return names, nil
}

// composeProjectName is the variable that Docker Compose sets itself.
const composeProjectName = "COMPOSE_PROJECT_NAME"

// envUses collects uses by name.
type envUses struct {
	list  []EnvUse
	index map[string]int
	seen  map[*yamlNode]bool
}

// of returns the use of a name, which is valid until the next one is added.
func (u *envUses) of(name string, line int) *EnvUse {
	i, known := u.index[name]
	if !known {
		if u.index == nil {
			u.index = map[string]int{}
		}
		i = len(u.list)
		u.index[name] = i
		u.list = append(u.list, EnvUse{Name: name, Line: line})
	}
	use := &u.list[i]
	use.Line = min(use.Line, line)
	return use
}

// values adds the variables in the values of a node, each node once.
func (u *envUses) values(n *yamlNode) error {
	if u.seen[n] || n.tag == "!reset" { // which Docker Compose drops before it looks at values
		return nil
	}
	u.seen[n] = true
	switch n.kind {
	case yaml.ScalarNode:
		return u.text(n)
	case yaml.MappingNode:
		for i := 1; i < len(n.items); i += 2 {
			if err := u.values(n.items[i]); err != nil {
				return err
			}
		}
	case yaml.SequenceNode:
		for _, item := range n.items {
			if err := u.values(item); err != nil {
				return err
			}
		}
	}
	return nil
}

// text adds the variables of a scalar.
func (u *envUses) text(n *yamlNode) error {
	err := references(n.value, func(r reference) {
		use := u.of(r.name, n.line)
		switch r.operator {
		case ":-", "-":
			use.HasDefault = true
		case ":+", "+":
		default:
			use.Required = use.Required || !r.nested && r.name != composeProjectName
			use.Refused = use.Refused || r.operator != "" && !r.nested
		}
	})
	if err != nil {
		return &yamlError{n.line, err.Error() + "; write $$ for a dollar sign"}
	}
	return nil
}

// passedIn adds the variables that a document passes through.
func (u *envUses) passedIn(document *yamlNode) {
	for _, group := range []string{"services", "jobs"} {
		for _, service := range document.get(group).entries() {
			u.passedTo(service.value.get("environment"))
			u.passedTo(service.value.get("build").get("args"))
		}
	}
	for _, group := range []string{"secrets", "configs"} {
		for _, file := range document.get(group).entries() {
			if name := file.value.get("environment"); name != nil {
				if use := u.passed(name.value, name.line); use != nil {
					use.Refused = true
				}
			}
		}
	}
}

// passedTo adds the variables that an environment passes through: a key without a value, or a name alone in a list.
func (u *envUses) passedTo(environment *yamlNode) {
	for _, e := range environment.entries() {
		if e.value.isNull() {
			u.passed(e.key.value, e.key.line)
		}
	}
	if environment != nil && environment.kind == yaml.SequenceNode {
		for _, item := range environment.items {
			if item.kind == yaml.ScalarNode {
				u.passed(item.value, item.line)
			}
		}
	}
}

// passed adds a variable that is passed through, unless the text is no name, and returns its use.
func (u *envUses) passed(name string, line int) *EnvUse {
	if ValidateEnvName(name) != nil {
		return nil
	}
	use := u.of(name, line)
	use.Required, use.PassedThrough = true, true
	return use
}

// reference is one variable in a text, as Docker Compose would look it up.
type reference struct {
	name     string
	operator string // "" or one of :- - :? ? :+ +
	nested   bool   // within the word of another reference, so that it is not always looked up
}

// templateError is returned if Docker Compose refuses the text, if only for some values of its variables.
type templateError struct{ reason string }

func (e *templateError) Error() string { return e.reason }

// references returns the variables of a text by the rules of compose-go's package template: $NAME and ${NAME},
// the latter with an operator and a word up to the brace that matches, and both on one line; $$ is a dollar
// sign; a dollar sign before anything else stands for itself.
func references(text string, each func(reference)) error {
	return scanTemplate(text, 0, each)
}

func scanTemplate(text string, depth int, each func(reference)) error {
	if depth > maxDepth {
		return &templateError{"defaults are nested too deeply"}
	}
	lastBrace, lineEnd := 0, -1 // of the line that the scan is in
	for i := 0; i < len(text); {
		dollar := strings.IndexByte(text[i:], '$')
		if dollar < 0 {
			return nil
		}
		i += dollar + 1
		switch {
		case i == len(text):
			return nil
		case text[i] == '$':
			i++
			continue
		case text[i] != '{':
			if end := templateNameEnd(text, i); end > i {
				each(reference{name: text[i:end], nested: depth > 0})
				i = end
			}
			continue
		}
		end := templateNameEnd(text, i+1)
		name := text[i+1 : end]
		if name == "" {
			return &templateError{"${ without a name"}
		}
		if strings.HasPrefix(text[end:], "}") {
			each(reference{name: name, nested: depth > 0})
			i = end + 1
			continue
		}
		operator := templateOperator(text[end:])
		if operator == "" {
			return &templateError{"${ without its closing brace, or with an unknown operator"}
		}
		if i > lineEnd {
			lineEnd = len(text)
			if n := strings.IndexByte(text[i:], '\n'); n >= 0 {
				lineEnd = i + n
			}
			lastBrace = i + strings.LastIndexByte(text[i:lineEnd], '}')
		}
		word := end + len(operator)
		if lastBrace < word {
			return &templateError{"${ without its closing brace on the same line"}
		}
		closing := closingBrace(text[i : lastBrace+1])
		if closing < 0 {
			closing = lastBrace - i
		}
		each(reference{name: name, operator: operator, nested: depth > 0})
		if err := scanTemplate(text[word:i+closing], depth+1, each); err != nil {
			return err
		}
		i += closing + 1
	}
	return nil
}

// templateOperator returns the operator that the text begins with, "" if none.
func templateOperator(text string) string {
	for _, operator := range []string{":-", ":?", ":+", "-", "?", "+"} {
		if strings.HasPrefix(text, operator) {
			return operator
		}
	}
	return ""
}

// closingBrace returns where the brace closes that the text begins with, -1 if it does not. Like compose-go it
// passes over the character behind an opening brace.
func closingBrace(text string) int {
	open := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '}':
			if open--; open == 0 {
				return i
			}
		case '{':
			open++
			i++
		}
	}
	return -1
}

// templateNameEnd returns where the name that begins at i ends, i itself if there is none. compose-go matches
// names without regard to case, so the two letters beyond ASCII that fold to s and k are among them.
func templateNameEnd(text string, i int) int {
	start := i
	for i < len(text) {
		switch rest := text[i:]; {
		case isNameByte(text[i], i == start):
			i++
		case strings.HasPrefix(rest, "\u017f"):
			i += len("\u017f")
		case strings.HasPrefix(rest, "\u212a"):
			i += len("\u212a")
		default:
			return i
		}
	}
	return i
}
