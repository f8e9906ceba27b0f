package compose

import (
	"fmt"
	"strings"
)

// EnvUse is one variable that a docker-compose file uses.
type EnvUse struct {
	// Name of the variable.
	Name string
	// Line of the first use, from 1.
	Line int
	// Required reports whether the app needs a value: some use of the variable has no default (${X}, $X), refuses
	// to start without one (${X:?}, ${X?}), or passes it through.
	Required bool
	// Refused reports whether Docker Compose refuses to start if the variable is not set: ${X:?} or ${X?}.
	Refused bool
	// HasDefault reports whether some use has a default: ${X:-default} or ${X-default}.
	HasDefault bool
	// PassedThrough reports whether the variable reaches a container under its own name, or a file in it, as it is:
	// "- X" or "X:" in an environment or build arguments, or the environment of a secret or config.
	PassedThrough bool
}

// EnvUses returns the variables that a docker-compose file uses, each once, in order of appearance. It finds
// what Docker Compose looks up: variables in values, with those inside of defaults such as ${A:-${B}}, and
// names that are passed through. "$$" is a dollar sign, and so is a dollar sign before anything but a name or
// a brace; comments and keys do not count. A variable that is only used inside of the default of another is
// not Required. A text that Docker Compose refuses for some values of its variables is an error.
func EnvUses(dockerCompose string) ([]EnvUse, error) {
	var uses envUses
	text := withoutComments(dockerCompose)
	line := 1
	for part := range strings.Lines(text) {
		if err := uses.value(part, line); err != nil {
			return nil, err
		}
		line++
	}
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

// envUses collects uses by name.
type envUses struct {
	list  []EnvUse
	index map[string]int
}

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
	return &u.list[i]
}

// value adds the variables of a value.
func (u *envUses) value(text string, line int) error {
	err := references(text, func(r reference) {
		use := u.of(r.name, line)
		switch r.operator {
		case ":-", "-":
			use.HasDefault = true
		case ":+", "+":
		default:
			use.Required = use.Required || !r.nested
			use.Refused = use.Refused || r.operator != "" && !r.nested
		}
	})
	if err != nil {
		return fmt.Errorf("docker-compose file, line %d: %w; write $$ for a dollar sign", line, err)
	}
	return nil
}

// passed adds a variable that is passed through.
func (u *envUses) passed(name string, line int) {
	use := u.of(name, line)
	use.Required, use.PassedThrough = true, true
}
