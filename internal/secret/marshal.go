package secret

import (
	"encoding/json"
	"reflect"
	"sync"
)

// Marshal returns the JSON of a value with the secrets in it, which json.Marshal hides. It finds them in exported
// fields, lists, maps and interfaces, at any depth. The value itself stays as it is.
func Marshal(v any) ([]byte, error) {
	value := reflect.ValueOf(v)
	if v == nil || !mayHold(value.Type()) {
		return json.Marshal(v)
	}
	return json.Marshal(reveal(value, 0).Interface())
}

var (
	textType  = reflect.TypeFor[Text]()
	bytesType = reflect.TypeFor[Bytes]()
)

// holders has whether values of a type may hold a secret, by reflect.Type.
var holders sync.Map

func mayHold(t reflect.Type) bool {
	if known, ok := holders.Load(t); ok {
		return known.(bool)
	}
	holds := holdsSecret(t, map[reflect.Type]bool{})
	holders.Store(t, holds)
	return holds
}

// holdsSecret looks at the types within t, but for those that are being looked at already.
func holdsSecret(t reflect.Type, above map[reflect.Type]bool) bool {
	if t == textType || t == bytesType || t.Kind() == reflect.Interface {
		return true
	}
	if above[t] {
		return false
	}
	above[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return holdsSecret(t.Elem(), above)
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() && holdsSecret(t.Field(i).Type, above) {
				return true
			}
		}
	}
	return false
}

// maxDepth bounds the copy. encoding/json refuses a value that is a circle from there on.
const maxDepth = 1000

// reveal returns a copy of v whose secrets are marked. What holds none is not copied.
func reveal(v reflect.Value, depth int) reflect.Value {
	switch t := v.Type(); {
	case depth > maxDepth:
		return v
	case t == textType && v.Len() > 0 && v.String()[0] != revealed[0]:
		return reflect.ValueOf(Text(revealed + v.String()))
	case t == bytesType && v.Len() > 0 && v.Bytes()[0] != revealed[0]:
		return reflect.ValueOf(append(Bytes(revealed), v.Bytes()...))
	case t == textType || t == bytesType || !mayHold(t):
		return v
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		copied := reflect.New(v.Type().Elem())
		copied.Elem().Set(reveal(v.Elem(), depth+1))
		return copied.Convert(v.Type())
	case reflect.Interface:
		if v.IsNil() {
			return v
		}
		return reveal(v.Elem(), depth+1)
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		copied := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			copied.Index(i).Set(reveal(v.Index(i), depth+1))
		}
		return copied
	case reflect.Array:
		copied := reflect.New(v.Type()).Elem()
		for i := range v.Len() {
			copied.Index(i).Set(reveal(v.Index(i), depth+1))
		}
		return copied
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		copied := reflect.MakeMapWithSize(v.Type(), v.Len())
		for entries := v.MapRange(); entries.Next(); {
			copied.SetMapIndex(entries.Key(), reveal(entries.Value(), depth+1))
		}
		return copied
	case reflect.Struct:
		copied := reflect.New(v.Type()).Elem()
		copied.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				copied.Field(i).Set(reveal(v.Field(i), depth+1))
			}
		}
		return copied
	}
	return v
}
