package client

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// schema is a schema of the description, as far as samples need it.
type schema struct {
	Ref        string             `json:"$ref"`
	Type       json.RawMessage    `json:"type"`
	Format     string             `json:"format"`
	GoType     string             `json:"x-go-type"`
	Enum       []string           `json:"enum"`
	Items      *schema            `json:"items"`
	Properties map[string]*schema `json:"properties"`
	Additional json.RawMessage    `json:"additionalProperties"`
	Minimum    *int               `json:"minimum"`
	Maximum    *int               `json:"maximum"`
}

type mediaTypes map[string]struct {
	Schema *schema `json:"schema"`
}

// wireOperation is an operation of the description with all that goes over the wire.
type wireOperation struct {
	describedOperation
	Parameters []struct {
		Name   string  `json:"name"`
		In     string  `json:"in"`
		Schema *schema `json:"schema"`
	} `json:"parameters"`
	RequestBody *struct {
		Content mediaTypes `json:"content"`
	} `json:"requestBody"`
	Responses map[int]struct {
		Content mediaTypes `json:"content"`
	} `json:"responses"`
	name string
}

// description returns the operations in the order of their names, and what makes samples of their schemas.
func description(t *testing.T) ([]wireOperation, *sampler) {
	t.Helper()
	data, err := os.ReadFile("../openapi/openapi.json")
	require.NoError(t, err)
	var doc struct {
		Paths      map[string]map[string]wireOperation `json:"paths"`
		Components struct {
			Schemas map[string]*schema `json:"schemas"`
		} `json:"components"`
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	var ops []wireOperation
	for path, verbs := range doc.Paths {
		for verb, op := range verbs {
			op.verb, op.path, op.name = strings.ToUpper(verb), path, op.Service+"."+op.Method
			require.Len(t, op.Responses, 1, op.name)
			ops = append(ops, op)
		}
	}
	slices.SortFunc(ops, func(a, b wireOperation) int { return strings.Compare(a.name, b.name) })
	return ops, &sampler{schemas: doc.Components.Schemas}
}

// success is the status of a good answer, and the media types it can have.
func (op wireOperation) success() (status int, content mediaTypes) {
	for code, r := range op.Responses {
		status, content = code, r.Content
	}
	return status, content
}

// answer is the schema of the JSON answer; nil if there is none.
func (op wireOperation) answer() *schema {
	_, content := op.success()
	return content["application/json"].Schema
}

// textBody is the media type under which a text is sent; empty where none is.
func (op wireOperation) textBody() string {
	if op.RequestBody != nil {
		for _, media := range []string{"text/yaml", "text/plain"} {
			if _, ok := op.RequestBody.Content[media]; ok {
				return media
			}
		}
	}
	return ""
}

func (op wireOperation) pathParameters() []string {
	var names []string
	for segment := range strings.SplitSeq(op.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// method is the method of the service that calls the operation.
func (op wireOperation) method(t *testing.T, c *Client) reflect.Value {
	t.Helper()
	service := reflect.ValueOf(c.Services).FieldByName(op.Service)
	require.True(t, service.IsValid(), "no service %s", op.Service)
	method := service.MethodByName(op.Method)
	require.True(t, method.IsValid(), "no method %s", op.name)
	return method
}

// sampler makes JSON values that have every property of their schema. Each value is made from the name of
// its property, so that a value at the wrong place shows, and a new property changes no other.
type sampler struct {
	schemas map[string]*schema
	// edit, where it is set, may replace the value at a place such as "CVM.resource.vcpu" or "[].name".
	edit func(place string, s *schema, value any) any
}

// sample is a value of the schema, as JSON.
func (m *sampler) sample(t *testing.T, s *schema, name string) []byte {
	t.Helper()
	data, err := json.Marshal(m.value(s, name, "", nil))
	require.NoError(t, err)
	return data
}

// resolve follows a reference.
func (m *sampler) resolve(s *schema) *schema {
	if s.Ref != "" {
		return m.schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]]
	}
	return s
}

func (m *sampler) value(s *schema, name, place string, above []string) any {
	if s.Ref != "" {
		if slices.Contains(above, s.Ref) {
			return nil // a schema within itself
		}
		above = append(slices.Clone(above), s.Ref)
		s = m.resolve(s)
	}
	v := m.plain(s, name, place, above)
	if m.edit != nil {
		v = m.edit(place, s, v)
	}
	return v
}

func (m *sampler) plain(s *schema, name, place string, above []string) any {
	switch s.GoType {
	case "ID":
		return "id_" + name
	case "Time":
		return "2026-01-21T08:30:05Z"
	case "Decimal":
		return fmt.Sprintf("%d.5", numberSample(name, s))
	case "Flag", "bool":
		return true
	case "int":
		return numberSample(name, s)
	case "Secret":
		return "secret " + name
	case "RawJSON":
		return map[string]any{"of": name}
	}
	if len(s.Enum) > 0 {
		return s.Enum[len(s.Enum)-1]
	}
	switch kind := strings.Trim(string(s.Type), `"`); kind {
	case "string":
		if s.Format == "date-time" {
			return "2026-01-21T08:30:05Z"
		}
		return "the " + name
	case "integer":
		return numberSample(name, s)
	case "number":
		return float64(numberSample(name, s)) + 0.5
	case "boolean":
		return true
	case "array":
		return []any{m.value(s.Items, name, place+"[]", above)}
	case "object":
		return m.object(s, name, place, above)
	default:
		panic(fmt.Sprintf("%s: no sample for the type %s", place, s.Type))
	}
}

func (m *sampler) object(s *schema, name, place string, above []string) map[string]any {
	object := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		at := key
		if place != "" {
			at = place + "." + key
		}
		object[key] = m.value(s.Properties[key], key, at, above)
	}
	var of schema
	if json.Unmarshal(s.Additional, &of) == nil && (of.Ref != "" || of.GoType != "" || of.Type != nil) {
		object["other"] = m.value(&of, name, place+"{}", above)
	}
	return object
}

// number is a number above zero within the bounds of the schema.
func numberSample(name string, s *schema) int {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name))
	n := int(hash.Sum32()%900) + 100
	if s.Maximum != nil {
		n = min(n, *s.Maximum)
	}
	if s.Minimum != nil {
		n = max(n, *s.Minimum)
	}
	return n
}

// zeroFields returns the places in a decoded value that are zero, to which nothing was decoded.
func zeroFields(v reflect.Value, place string) (places []string) {
	if v.IsZero() {
		return []string{place}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		return zeroFields(v.Elem(), place)
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			return nil
		}
		for i := range v.NumField() {
			places = append(places, zeroFields(v.Field(i), place+"."+v.Type().Field(i).Name)...)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			return []string{place}
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range v.Len() {
			places = append(places, zeroFields(v.Index(i), place+"[]")...)
		}
	case reflect.Map:
		if v.Len() == 0 {
			return []string{place}
		}
		for _, key := range v.MapKeys() {
			places = append(places, zeroFields(v.MapIndex(key), place+"{}")...)
		}
	}
	return places
}
