package main

import (
	"encoding/json"
	"regexp"
	"sort"
	"strings"
)

// document is the part of an OpenAPI description that is compared.
type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas    map[string]*schema    `json:"schemas"`
		Parameters map[string]*parameter `json:"parameters"`
	} `json:"components"`
}

type operation struct {
	ID          string       `json:"operationId"`
	Service     string       `json:"x-phala-service"`
	Method      string       `json:"x-phala-method"`
	Parameters  []*parameter `json:"parameters"`
	RequestBody *struct {
		Content map[string]content `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]content `json:"content"`
	} `json:"responses"`
}

type content struct {
	Schema *schema `json:"schema"`
}

type parameter struct {
	Ref      string  `json:"$ref"`
	Name     string  `json:"name"`
	In       string  `json:"in"`
	Required bool    `json:"required"`
	Schema   *schema `json:"schema"`
}

type schema struct {
	Ref        string             `json:"$ref"`
	Type       types              `json:"type"`
	Properties map[string]*schema `json:"properties"`
	Required   []string           `json:"required"`
	Items      *schema            `json:"items"`
	Values     *values            `json:"additionalProperties"`
	AnyOf      []*schema          `json:"anyOf"`
	OneOf      []*schema          `json:"oneOf"`
	AllOf      []*schema          `json:"allOf"`
	GoType     string             `json:"x-go-type"`
}

// types is one type or a list of them.
type types []string

func (t *types) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = types{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// values is the schema of additional members; true and false have none.
type values struct{ *schema }

func (v *values) UnmarshalJSON(data []byte) error {
	var allowed bool
	if json.Unmarshal(data, &allowed) == nil {
		return nil
	}
	return json.Unmarshal(data, &v.schema)
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// operations returns the operations by verb and path; the names of path parameters are left out of the key.
func (d *document) operations() map[string]*operation {
	all := map[string]*operation{}
	for path, verbs := range d.Paths {
		for verb, raw := range verbs {
			switch verb {
			case "get", "put", "post", "delete", "patch", "head", "options":
				op := new(operation)
				if json.Unmarshal(raw, op) == nil {
					all[strings.ToUpper(verb)+" "+pathParameter.ReplaceAllString(path, "{}")] = op
				}
			}
		}
	}
	return all
}

// field is a place in a request or an answer.
type field struct {
	types    map[string]bool
	required bool
	loose    bool   // a hand-written type decides what it accepts
	owner    string // the component whose property it is
	property string
}

// kinds returns the types as text.
func (f *field) kinds() string {
	list := make([]string, 0, len(f.types))
	for t := range f.types {
		list = append(list, t)
	}
	sort.Strings(list)
	if len(list) == 0 {
		return "any"
	}
	return strings.Join(list, " or ")
}

// flatten returns the fields below s by their path: items of a list are [], members of a map are {}.
func (d *document) flatten(s *schema) map[string]*field {
	fields := map[string]*field{}
	d.walk(s, "", &field{}, fields, nil)
	return fields
}

// walk adds the fields of s, which stands at path and is described by at. A component below itself ends the walk.
func (d *document) walk(s *schema, path string, at *field, fields map[string]*field, above []string) {
	if s == nil {
		return
	}
	owner := ""
	for s.Ref != "" {
		name := s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		for _, other := range above {
			if other == name {
				return
			}
		}
		above = append(above[:len(above):len(above)], name)
		owner = name
		target := d.Components.Schemas[name]
		if target == nil {
			return
		}
		s = target
	}
	if owner == "" {
		owner = at.owner
	}
	known := fields[path]
	if known == nil {
		known = &field{types: map[string]bool{}, required: at.required, owner: at.owner, property: at.property}
		fields[path] = known
	}
	known.loose = known.loose || s.GoType != ""
	for _, t := range s.Type {
		if t == "integer" {
			t = "number"
		}
		if t != "null" {
			known.types[t] = true
		}
	}
	if len(s.Properties) > 0 {
		known.types["object"] = true
	}
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	for name, property := range s.Properties {
		d.walk(property, path+"."+name, &field{required: required[name], owner: owner, property: name}, fields, above)
	}
	if s.Items != nil {
		d.walk(s.Items, path+"[]", &field{owner: owner}, fields, above)
	}
	if s.Values != nil && s.Values.schema != nil {
		d.walk(s.Values.schema, path+"{}", &field{owner: owner}, fields, above)
	}
	for _, branches := range [][]*schema{s.AnyOf, s.OneOf, s.AllOf} {
		for _, branch := range branches {
			d.walk(branch, path, &field{required: at.required, owner: owner, property: at.property}, fields, above)
		}
	}
}

// success returns the schema of the first success that has one, and whether there is a JSON answer.
func (o *operation) success() *schema {
	codes := make([]string, 0, len(o.Responses))
	for code := range o.Responses {
		if strings.HasPrefix(code, "2") {
			codes = append(codes, code)
		}
	}
	sort.Strings(codes)
	for _, code := range codes {
		if s := jsonSchema(o.Responses[code].Content); s != nil {
			return s
		}
	}
	return nil
}

func (o *operation) request() *schema {
	if o.RequestBody == nil {
		return nil
	}
	return jsonSchema(o.RequestBody.Content)
}

func jsonSchema(media map[string]content) *schema {
	return media["application/json"].Schema
}

// parameters returns those of the operation by place and name; that of a path by its place alone.
func (d *document) parameters(o *operation) map[string]*parameter {
	all := map[string]*parameter{}
	for _, p := range o.Parameters {
		if p.Ref != "" {
			p = d.Components.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
		}
		if p != nil && p.In == "query" {
			all[p.Name] = p
		}
	}
	return all
}
