package compose

import "strings"

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
