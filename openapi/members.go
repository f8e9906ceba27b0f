package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// member is a described member of an object that may have others, too. The generated methods of such types
// are tables of these.
type member struct {
	name     string
	field    any // a pointer to the field for decoding, its value for encoding
	required bool
}

// decodeMembers reads an object into its fields, and returns all that the fields cannot write again as it
// came: members that are not described, nulls, values of another type, and, as nil, the absence of required
// ones. The compose hash covers exact values, so none of these may be lost.
func decodeMembers(data []byte, members []member) (map[string]RawJSON, error) {
	var rest map[string]RawJSON
	if err := json.Unmarshal(data, &rest); err != nil {
		return nil, err
	}
	if rest == nil { // null
		return nil, nil
	}
	for _, m := range members {
		raw, ok := rest[m.name]
		switch {
		case ok && decodeExactly(raw, m.field):
			delete(rest, m.name)
		case !ok && m.required:
			rest[m.name] = nil
		}
	}
	if len(rest) == 0 {
		return nil, nil
	}
	return rest, nil
}

// decodeExactly decodes a value into the field if the field can hold all of it, and reports whether it did.
// Otherwise the field is left as it was.
func decodeExactly(raw RawJSON, field any) bool {
	if string(raw) == "null" {
		return false
	}
	into := reflect.New(reflect.TypeOf(field).Elem())
	if json.Unmarshal(raw, into.Interface()) != nil {
		return false
	}
	switch value := into.Elem(); indirectKind(value) {
	case reflect.String, reflect.Bool, reflect.Int:
	default:
		// A list or an object could hide a null or a member that is not described.
		again, err := json.Marshal(value.Interface())
		if err != nil || !sameJSON(raw, again) {
			return false
		}
	}
	reflect.ValueOf(field).Elem().Set(into.Elem())
	return true
}

func indirectKind(v reflect.Value) reflect.Kind {
	if v.Kind() == reflect.Pointer {
		return v.Type().Elem().Kind()
	}
	return v.Kind()
}

// sameJSON reports whether two texts are the same value, with numbers written the same way.
func sameJSON(a, b []byte) bool {
	var values [2]any
	for i, data := range [][]byte{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if decoder.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}

// encodeMembers writes the fields that are set, and of the rest what no field that is set replaces.
func encodeMembers(members []member, rest map[string]RawJSON) ([]byte, error) {
	fields := make(map[string]any, len(members)+len(rest))
	for name, raw := range rest {
		if raw != nil {
			fields[name] = raw
		}
	}
	for _, m := range members {
		_, replaced := rest[m.name]
		if isSet(m.field) || m.required && !replaced {
			fields[m.name] = m.field
		}
	}
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		value, err := json.Marshal(fields[name])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// isSet reports whether a field has a value to write: an empty list has, a nil one has not.
func isSet(field any) bool {
	v := reflect.ValueOf(field)
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if raw, ok := field.(RawJSON); ok {
			return len(raw) > 0
		}
		return !v.IsNil()
	}
	return !v.IsZero()
}
