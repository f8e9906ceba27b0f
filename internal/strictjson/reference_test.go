package strictjson

import (
	"bytes"
	"encoding/json"
)

// checkSlowly is [Check] by the decoder of encoding/json, with the names of members compared as it does: the reference
// for the fuzz test.
func checkSlowly(data []byte, page int) error {
	type open struct {
		names map[string]string // of an object, by their folded form
		key   bool              // a name comes next
		items int
		bound int
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var stack []*open
	values := 0
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or no JSON: for the caller's decoder
		}
		var top *open
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top != nil && top.key {
			name, _ := token.(string)
			folded := fold(name)
			if before, there := top.names[folded]; there && before == name {
				return broken("the member %.80q comes twice in an object", name)
			} else if there {
				return broken("the members %.80q and %.80q of an object differ in case only", before, name)
			}
			top.names[folded] = name
			top.key = false
			continue
		}
		values++
		if top != nil {
			top.items++
			top.key = top.names != nil
			if top.items > top.bound {
				return broken("a list has more than %d items", top.bound)
			}
		}
		switch token := token.(type) {
		case json.Delim:
			next := &open{bound: MaxItems}
			if token == '{' {
				next.names, next.key = map[string]string{}, true
			} else if len(stack) < 2 {
				next.bound = page
			}
			if len(stack) == MaxDepth {
				return broken("more than %d lists and objects within one another", MaxDepth)
			}
			stack = append(stack, next)
		case json.Number:
			if len(token) > MaxNumber {
				return broken("a number has more than %d characters", MaxNumber)
			}
		}
		if values > MaxValues {
			return broken("more than %d values", MaxValues)
		}
	}
}
