package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// answerType is the Go type that a method returns besides its error, or "" where the answer has no body.
func (o operation) answerType() (string, error) {
	_, media := o.success()
	if len(media) == 0 {
		return "", nil
	}
	for _, kind := range []string{"application/json", "text/plain", "text/yaml"} {
		if c, ok := media[kind]; ok {
			return resultType(c.Schema)
		}
	}
	if _, ok := media["application/octet-stream"]; ok {
		return "[]byte", nil
	}
	return "", fmt.Errorf("%s: no media type that the generator knows", o.name())
}

// resultType is what a method returns for s: a pointer to a struct, or a value.
func resultType(s schema) (string, error) {
	if s.Ref != "" {
		return "*" + refType(s.Ref), nil
	}
	return valueType(s)
}

func refType(ref string) string {
	return "openapi." + ref[strings.LastIndex(ref, "/")+1:]
}

func valueType(s schema) (string, error) {
	switch {
	case s.Ref != "":
		return refType(s.Ref), nil
	case s.GoType != "":
		return "openapi." + s.GoType, nil
	}
	var kind string
	if err := json.Unmarshal(s.Type, &kind); err != nil {
		return "", fmt.Errorf("type %s: %w", s.Type, err)
	}
	switch kind {
	case "string":
		return "string", nil
	case "array":
		item, err := valueType(*s.Items)
		return "[]" + item, err
	case "object":
		var of schema
		if err := json.Unmarshal(s.AdditionalProperties, &of); err != nil {
			return "", fmt.Errorf("an object answer without a schema: %w", err)
		}
		value, err := valueType(of)
		return "map[string]" + value, err
	}
	return "", fmt.Errorf("the generator does not know the type %q", kind)
}

// textBody is the media type under which a body travels as plain text, or "".
func (o operation) textBody() string {
	if o.RequestBody == nil {
		return ""
	}
	for _, kind := range []string{"text/yaml", "text/plain"} {
		if _, ok := o.RequestBody.Content[kind]; ok {
			return kind
		}
	}
	return ""
}

// jsonBody is the Go type of a JSON body, or "".
func (o operation) jsonBody() (string, error) {
	if o.RequestBody == nil || o.textBody() != "" {
		return "", nil
	}
	c, ok := o.RequestBody.Content["application/json"]
	if !ok || c.Schema.Ref == "" {
		return "", fmt.Errorf("%s: a body must be text or a JSON schema of its own", o.name())
	}
	return refType(c.Schema.Ref), nil
}

// argument is the Go name of a path parameter: cvm_id becomes cvmID.
func argument(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words[1:] {
		switch w {
		case "id", "uuid":
			words[i+1] = strings.ToUpper(w)
		default:
			words[i+1] = string(unicode.ToUpper(rune(w[0]))) + w[1:]
		}
	}
	return strings.Join(words, "")
}

// segment is the Go expression that turns a path argument into a checked path parameter.
func segment(name string) string {
	switch name {
	case "cvm_id":
		return "cvmPath(" + argument(name) + ")"
	case "app_id":
		return "appPath(" + argument(name) + ")"
	case "compose_hash":
		return "hashPath(" + argument(name) + ")"
	}
	return "openapi.PathParam(" + argument(name) + ")"
}
