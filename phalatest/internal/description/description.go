// Package description routes and validates requests by the OpenAPI description of the API.
package description

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// Description is the OpenAPI description with its schemas, each compiled when it is first needed.
type Description struct {
	paths map[string]any

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

// Request is a request to one operation.
type Request struct {
	Route
	*http.Request
	// Body is the body as it was read.
	Body []byte
}

// Mistake is a part of a value that does not fit the description. It contains no values, which may be secret.
type Mistake struct {
	// Loc is the place, such as "body", "name".
	Loc []any
	// Text is what is wrong.
	Text string
	// Unknown is set for a name that the description does not have. The API ignores these.
	Unknown bool
}

// Place returns the place as one text, such as "body.name".
func (m Mistake) Place() string {
	parts := make([]string, len(m.Loc))
	for i, l := range m.Loc {
		parts[i] = fmt.Sprint(l)
	}
	return strings.Join(parts, ".")
}

const documentURL = "phalatest:openapi.json"

// Read reads a description, such as [openapi.Document].
func Read(document string) (*Description, error) {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	closeObjects(doc)
	acceptNulls(doc)
	acceptDocuments(doc)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(documentURL, doc); err != nil {
		return nil, fmt.Errorf("the description: %w", err)
	}
	paths, _ := doc.(map[string]any)["paths"].(map[string]any)
	return &Description{paths: paths, compiler: compiler, compiled: map[string]*jsonschema.Schema{}}, nil
}

// closeObjects refuses members that no schema names. The description allows them, because it also describes the responses
// of an API that gets new members.
func closeObjects(node any) {
	switch node := node.(type) {
	case map[string]any:
		_, hasProperties := node["properties"].(map[string]any)
		if _, open := node["additionalProperties"]; hasProperties && !open {
			node["additionalProperties"] = false
		}
		for _, child := range node {
			closeObjects(child)
		}
	case []any:
		for _, child := range node {
			closeObjects(child)
		}
	}
}

// schema returns the compiled schema at a place in the description.
func (d *Description) schema(at ...string) (*jsonschema.Schema, error) {
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	pointer := ""
	for _, part := range at {
		pointer += "/" + escape.Replace(part)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.compiled[pointer]; s != nil {
		return s, nil
	}
	s, err := d.compiler.Compile(documentURL + "#" + pointer)
	if err != nil {
		return nil, err
	}
	d.compiled[pointer] = s
	return s, nil
}

// Check returns all mistakes of a request. An error is about the description itself.
func (d *Description) Check(r Request) ([]Mistake, error) {
	operation := member(d.paths, r.Path, strings.ToLower(r.Verb))
	if operation == nil {
		return nil, fmt.Errorf("%s is not in the description", r.Path)
	}
	wrong, err := d.checkParameters(r, operation)
	if err != nil {
		return nil, err
	}
	inBody, err := d.checkBody(r, operation)
	return append(wrong, inBody...), err
}

func (d *Description) checkParameters(r Request, operation map[string]any) ([]Mistake, error) {
	var wrong []Mistake
	query := r.URL.Query()
	known := map[string]bool{}
	parameters, _ := operation["parameters"].([]any)
	for i, p := range parameters {
		p, _ := p.(map[string]any)
		name, _ := p["name"].(string)
		in, _ := p["in"].(string)
		var values []string
		switch in {
		case "query":
			known[name] = true
			values = query[name]
		case "header":
			values = r.Header[textproto.CanonicalMIMEHeaderKey(name)]
		default:
			continue // the router reads it from the path
		}
		if len(values) == 0 {
			if p["required"] == true {
				wrong = append(wrong, Mistake{Loc: []any{in, name}, Text: "Field required"})
			}
			continue
		}
		schema, err := d.schema("paths", r.Path, strings.ToLower(r.Verb), "parameters", strconv.Itoa(i), "schema")
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, mistakes(schema.Validate(parameterValue(p, values)), in, name)...)
	}
	for name := range query {
		if !known[name] {
			wrong = append(wrong, Mistake{Loc: []any{"query", name}, Text: "unknown query parameter " + strconv.Quote(name), Unknown: true})
		}
	}
	return wrong, nil
}

// parameterValue returns the text of a parameter as a JSON value for its schema.
func parameterValue(parameter map[string]any, values []string) any {
	schema, _ := parameter["schema"].(map[string]any)
	switch schema["type"] {
	case "array":
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		return list
	case "integer", "number":
		if number := json.Number(values[0]); len(values) == 1 {
			if _, err := number.Float64(); err == nil {
				return number
			}
		}
	case "boolean":
		if b, err := strconv.ParseBool(values[0]); err == nil {
			return b
		}
	}
	return values[0]
}

func (d *Description) checkBody(r Request, operation map[string]any) ([]Mistake, error) {
	body, _ := operation["requestBody"].(map[string]any)
	content, _ := body["content"].(map[string]any)
	switch {
	case body == nil && len(r.Body) == 0:
		return nil, nil
	case body == nil:
		return []Mistake{{Loc: []any{"body"}, Text: "the operation takes no body", Unknown: true}}, nil
	case len(r.Body) == 0 && r.Header.Get("X-Compose-Hash") != "":
		return nil, nil // the confirmation of an update on chain consists of its headers
	case len(r.Body) == 0 && body["required"] == true:
		return []Mistake{{Loc: []any{"body"}, Text: "Field required"}}, nil
	case len(r.Body) == 0:
		return nil, nil
	}
	media, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if _, known := content[media]; err != nil || !known {
		return []Mistake{{Loc: []any{"body"}, Text: fmt.Sprintf("content type %q is none of %s", media, strings.Join(slices.Sorted(maps.Keys(content)), ", "))}}, nil
	}
	switch media {
	case "application/json":
	case "multipart/form-data":
		if parameters["boundary"] == "" {
			return []Mistake{{Loc: []any{"body"}, Text: "the multipart body has no boundary"}}, nil
		}
		return nil, nil
	default:
		return nil, nil // text
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.Body))
	if err != nil {
		return []Mistake{{Loc: []any{"body"}, Text: "JSON decode error: " + err.Error()}}, nil
	}
	schema, err := d.schema("paths", r.Path, strings.ToLower(r.Verb), "requestBody", "content", media, "schema")
	if err != nil {
		return nil, err
	}
	return mistakes(schema.Validate(value), "body"), nil
}

// CheckResponse returns all mistakes of the JSON of a response. Members that are null count as absent: responses have them,
// and the description leaves them out.
func (d *Description) CheckResponse(of Route, status int, body []byte) ([]Mistake, error) {
	schema, err := d.schema("paths", of.Path, strings.ToLower(of.Verb), "responses", strconv.Itoa(status), "content", "application/json", "schema")
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return mistakes(schema.Validate(withoutNulls(value))), nil
}

func withoutNulls(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if member == nil {
				delete(value, name)
				continue
			}
			value[name] = withoutNulls(member)
		}
	case []any:
		for i := range value {
			value[i] = withoutNulls(value[i])
		}
	}
	return value
}

// mistakes returns the mistakes that a validation found.
func mistakes(err error, loc ...any) []Mistake {
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return nil
	}
	if len(invalid.Causes) > 0 {
		var all []Mistake
		for _, cause := range invalid.Causes {
			all = append(all, mistakes(cause, loc...)...)
		}
		return all
	}
	place := slices.Clone(loc)
	for _, segment := range invalid.InstanceLocation {
		place = append(place, segment)
	}
	switch k := invalid.ErrorKind.(type) {
	case *kind.AdditionalProperties:
		return []Mistake{{Loc: place, Text: "unknown field " + quoted(k.Properties), Unknown: true}}
	case *kind.Pattern:
		return []Mistake{{Loc: place, Text: "does not match " + k.Want}}
	case *kind.Format:
		return []Mistake{{Loc: place, Text: "is no " + k.Want}}
	default:
		return []Mistake{{Loc: place, Text: k.LocalizedString(message.NewPrinter(language.English))}}
	}
}

func quoted(names []string) string {
	slices.Sort(names)
	for i, n := range names {
		names[i] = strconv.Quote(n)
	}
	return strings.Join(names, ", ")
}
