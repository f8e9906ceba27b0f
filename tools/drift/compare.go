package main

import (
	"fmt"
	"sort"
	"strings"
)

// compare returns a line for each difference, sorted: "+" is published and missing in ours, "-" is in ours and not
// published, "~" is another type or requirement. What the line touches in Go stands at its end.
func compare(ours, theirs *document, names goNames) []string {
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	mine, published := ours.operations(), theirs.operations()
	for key := range published {
		if mine[key] == nil {
			add("+ %s: a new operation", key)
		}
	}
	for key, op := range mine {
		other := published[key]
		if other == nil {
			add("- %s: not published; %s", key, op.goName())
			continue
		}
		compareParameters(key, op, ours.parameters(op), theirs.parameters(other), theirs, names, add)
		compareFields(key+" request", op, ours.flatten(op.request()), theirs.flatten(other.request()), true, names, add)
		compareFields(key+" answer", op, ours.flatten(op.success()), theirs.flatten(other.success()), false, names, add)
	}
	sort.Strings(lines)
	return lines
}

func (o *operation) goName() string {
	if o.Service == "" {
		return o.ID
	}
	return fmt.Sprintf("client.%sService.%s", o.Service, o.Method)
}

func compareParameters(key string, op *operation, ours, theirs map[string]*parameter, doc *document, names goNames, add func(string, ...any)) {
	for name, p := range theirs {
		mine := ours[name]
		params := op.ID + "Params"
		switch {
		case mine == nil:
			add("+ %s ?%s (%s): openapi.%s, %s", key, name, parameterKinds(doc, p), params, op.goName())
		case p.Required && !mine.Required:
			add("~ %s ?%s: is required now; %s", key, name, names.of(params, name))
		}
	}
	for name := range ours {
		if theirs[name] == nil {
			add("- %s ?%s: not published; %s", key, name, names.of(op.ID+"Params", name))
		}
	}
}

func parameterKinds(doc *document, p *parameter) string {
	if root := doc.flatten(p.Schema)[""]; root != nil {
		return root.kinds()
	}
	return "any"
}

func compareFields(key string, op *operation, ours, theirs map[string]*field, request bool, names goNames, add func(string, ...any)) {
	// Where one of the two has no shape, there is nothing to compare below it.
	shapeless := func(fields map[string]*field, path string) bool {
		for at, f := range fields {
			if (path == at || strings.HasPrefix(path, at+".") || strings.HasPrefix(path, at+"[") || strings.HasPrefix(path, at+"{")) && (f.loose || !hasBelow(fields, at) && at != path) {
				return true
			}
		}
		return len(fields) == 0
	}
	for path, f := range theirs {
		mine := ours[path]
		switch {
		case mine == nil && shapeless(ours, path):
		case mine == nil:
			owner := ours[parent(path)]
			if owner == nil {
				continue // Its parent is reported.
			}
			add("+ %s %s (%s): %s", key, show(path), f.kinds(), names.owner(ours, parent(path), op))
		case mine.loose || len(mine.types) == 0 || len(f.types) == 0:
		default:
			if lacking := missing(f.types, mine.types); lacking != "" {
				add("~ %s %s: is %s, described as %s; %s", key, show(path), f.kinds(), mine.kinds(), names.of(mine.owner, mine.property))
			}
			if request && f.required && !mine.required && path != "" {
				add("~ %s %s: is required now; %s", key, show(path), names.of(mine.owner, mine.property))
			}
		}
	}
	for path, f := range ours {
		if theirs[path] == nil && theirs[parent(path)] != nil && !shapeless(theirs, path) && path != "" {
			add("- %s %s: not published; %s", key, show(path), names.of(f.owner, f.property))
		}
	}
}

// missing returns a type of want that have lacks, or "".
func missing(want, have map[string]bool) string {
	for t := range want {
		if !have[t] {
			return t
		}
	}
	return ""
}

// hasBelow reports whether a field has members or items.
func hasBelow(fields map[string]*field, path string) bool {
	for at := range fields {
		if len(at) > len(path) && strings.HasPrefix(at, path) && strings.ContainsRune(".[{", rune(at[len(path)])) {
			return true
		}
	}
	return false
}

// parent returns the path of what holds the field.
func parent(path string) string {
	switch i := strings.LastIndexAny(path, ".[{"); {
	case i < 0:
		return ""
	default:
		return path[:i]
	}
}

func show(path string) string {
	if path == "" {
		return "(all of it)"
	}
	return strings.TrimPrefix(path, ".")
}
