package phalatest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/phala-go/phala/openapi"
)

// encoder writes responses as the API does, unlike the types of package openapi with encoding/json: absent optional
// members are null, and an id of digits alone is a number, as in older versions.
type encoder struct {
	members sync.Map // []jsonMember by reflect.Type
}

type jsonMember struct {
	name     string
	index    int
	optional bool
	form     form
}

// form is the form of a member, where it differs from the other members of the API.
type form int

const (
	regular  form = iota
	omitted       // instead of null
	empty         // "" instead of null
	unixTime      // seconds instead of RFC 3339
	float         // a number instead of text
)

// formOf returns the form of a member, which follows from the schemas of the official clients.
func formOf(of reflect.Type, name string) form {
	switch of {
	case reflect.TypeFor[openapi.CVMState](), reflect.TypeFor[openapi.UpdateAccepted](), reflect.TypeFor[openapi.FirewallStatus]():
		return omitted
	case reflect.TypeFor[openapi.AppAttestations](), reflect.TypeFor[openapi.AttestedKMS]():
		if name == "contract_address" {
			return empty
		}
	case reflect.TypeFor[openapi.AccountUser]():
		if name == "avatar" {
			return empty
		}
	case reflect.TypeFor[openapi.CVMContainer]():
		if name == "created" {
			return unixTime
		}
	case reflect.TypeFor[openapi.AppUsage](), reflect.TypeFor[openapi.UsageRecord]():
		if name == "total_cost" || name == "cost" {
			return float
		}
	}
	return regular
}

// encode returns the JSON of a response.
func (e *encoder) encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := e.value(&b, reflect.ValueOf(v))
	return b.Bytes(), err
}

func (e *encoder) value(b *bytes.Buffer, v reflect.Value) error {
	if !v.IsValid() {
		b.WriteString("null")
		return nil
	}
	switch x := v.Interface().(type) {
	case openapi.ID:
		if x != "" && strings.Trim(string(x), "0123456789") == "" {
			b.WriteString(string(x))
			return nil
		}
	case openapi.Flag:
		number := "0"
		if x {
			number = "1"
		}
		b.WriteString(number)
		return nil
	case openapi.Secret:
		return plainJSON(b, reflect.ValueOf(string(x)))
	case json.RawMessage:
		if len(x) == 0 {
			x = json.RawMessage("null")
		}
		b.Write(x)
		return nil
	case json.Marshaler:
		return plainJSON(b, v)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("null")
			return nil
		}
		return e.value(b, v.Elem())
	case reflect.Struct:
		return e.structure(b, v)
	case reflect.Slice:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := e.value(b, v.Index(i)); err != nil {
				return err
			}
		}
		b.WriteByte(']')
		return nil
	case reflect.Map:
		return e.object(b, v)
	}
	return plainJSON(b, v)
}

func plainJSON(b *bytes.Buffer, v reflect.Value) error {
	data, err := json.Marshal(v.Interface())
	b.Write(data)
	return err
}

func (e *encoder) object(b *bytes.Buffer, v reflect.Value) error {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := plainJSON(b, key); err != nil {
			return err
		}
		b.WriteByte(':')
		if err := e.value(b, v.MapIndex(key)); err != nil {
			return err
		}
	}
	b.WriteByte('}')
	return nil
}

func (e *encoder) structure(b *bytes.Buffer, v reflect.Value) error {
	between := byte('{')
	for _, m := range e.membersOf(v.Type()) {
		value := v.Field(m.index)
		absent := m.optional && value.IsZero()
		if absent && m.form == omitted {
			continue
		}
		b.WriteByte(between)
		between = ','
		b.WriteByte('"')
		b.WriteString(m.name)
		b.WriteString(`":`)
		if err := e.member(b, value, m, absent); err != nil {
			return err
		}
	}
	if between == '{' {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return nil
}

func (e *encoder) member(b *bytes.Buffer, v reflect.Value, m jsonMember, absent bool) error {
	switch at, isTime := v.Interface().(openapi.Time); {
	case absent && m.form == empty:
		b.WriteString(`""`)
		return nil
	case absent:
		b.WriteString("null")
		return nil
	case m.form == unixTime && isTime:
		return plainJSON(b, reflect.ValueOf(at.Unix()))
	case m.form == float && v.Kind() == reflect.String:
		b.WriteString(v.String())
		return nil
	}
	return e.value(b, v)
}

// membersOf returns the members of a type, in the order of its fields.
func (e *encoder) membersOf(t reflect.Type) []jsonMember {
	if known, exists := e.members.Load(t); exists {
		return known.([]jsonMember)
	}
	var all []jsonMember
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "-" || !t.Field(i).IsExported() {
			continue
		}
		all = append(all, jsonMember{name: name, index: i, optional: strings.Contains(options, "omit"), form: formOf(t, name)})
	}
	e.members.Store(t, all)
	return all
}
