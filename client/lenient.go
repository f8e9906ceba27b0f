package client

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// lenientUnmarshal decodes JSON, and a value that does not fit its field a second time with conversions: a number
// from a text or with a decimal point, a boolean from a number or a text, a text from a number. A value that cannot
// be converted leaves its field zero, as if it were absent, so that one unexpected field does not fail a whole page.
// Only invalid JSON, or JSON of another type than requested, is an error.
func lenientUnmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	if err == nil || !json.Valid(data) {
		return err
	}
	v := reflect.ValueOf(into).Elem()
	v.SetZero()
	if !fit(data, v) {
		return err
	}
	return nil
}

// fit decodes a value of JSON into v, and reports whether it fits. If not, v is zero.
func fit(data []byte, v reflect.Value) bool {
	data = bytes.TrimSpace(data)
	if u, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		if u.UnmarshalJSON(data) != nil {
			v.SetZero()
			return false
		}
		return true
	}
	switch v.Kind() {
	case reflect.Pointer:
		if string(data) == "null" {
			return true
		}
		elem := reflect.New(v.Type().Elem())
		if !fit(data, elem.Elem()) {
			return false
		}
		v.Set(elem)
		return true
	case reflect.Struct:
		return fitStruct(data, v)
	case reflect.Slice:
		return fitSlice(data, v)
	case reflect.Map:
		return fitMap(data, v)
	}
	if json.Unmarshal(data, v.Addr().Interface()) == nil {
		return true
	}
	v.SetZero()
	return fitScalar(data, v)
}

func fitStruct(data []byte, v reflect.Value) bool {
	if len(data) == 0 || data[0] != '{' {
		return string(data) == "null"
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil {
		return false
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if raw, ok := members[name]; ok && name != "" && name != "-" {
			fit(raw, v.Field(i))
		}
	}
	return true
}

// fitSlice omits the items that do not fit.
func fitSlice(data []byte, v reflect.Value) bool {
	if len(data) == 0 || data[0] != '[' {
		return string(data) == "null"
	}
	var items []json.RawMessage
	if json.Unmarshal(data, &items) != nil {
		return false
	}
	list := reflect.MakeSlice(v.Type(), 0, len(items))
	for _, raw := range items {
		item := reflect.New(v.Type().Elem()).Elem()
		if fit(raw, item) {
			list = reflect.Append(list, item)
		}
	}
	v.Set(list)
	return true
}

func fitMap(data []byte, v reflect.Value) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(data, &members) != nil || v.Type().Key().Kind() != reflect.String {
		return false
	}
	if members == nil {
		return true
	}
	values := reflect.MakeMapWithSize(v.Type(), len(members))
	for name, raw := range members {
		value := reflect.New(v.Type().Elem()).Elem()
		if fit(raw, value) {
			values.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), value)
		}
	}
	v.Set(values)
	return true
}

// fitScalar converts between numbers, texts and flags if the meaning is unambiguous.
func fitScalar(data []byte, v reflect.Value) bool {
	text := string(data)
	if data[0] == '"' {
		if json.Unmarshal(data, &text) != nil {
			return false
		}
		text = strings.TrimSpace(text)
	} else if data[0] == '{' || data[0] == '[' {
		return false
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return true
	case reflect.Bool:
		yes, err := strconv.ParseBool(text)
		v.SetBool(yes)
		return err == nil
	case reflect.Int, reflect.Int32, reflect.Int64:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && !v.OverflowInt(n) {
			v.SetInt(n)
			return true
		}
		// 2^53 and more may have been rounded.
		if f, err := strconv.ParseFloat(text, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 && !v.OverflowInt(int64(f)) {
			v.SetInt(int64(f))
			return true
		}
	case reflect.Float64, reflect.Float32:
		if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			v.SetFloat(f)
			return true
		}
	}
	return false
}
