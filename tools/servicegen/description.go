package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
)

// description is the part of an OpenAPI document that the generator reads.
type description struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]pageSchema `json:"schemas"`
	} `json:"components"`
}

// operation is one verb on one path.
type operation struct {
	OperationID string `json:"operationId"`
	Service     string `json:"x-phala-service"`
	Method      string `json:"x-phala-method"`
	Retry       string `json:"x-phala-retry"`
	Version     string `json:"x-phala-version"`
	Page        string `json:"x-phala-page"`
	Public      bool   `json:"x-phala-public"`
	Key         string `json:"x-phala-key"`
	MaxBytes    int64  `json:"x-phala-max-bytes"`
	Summary     string `json:"summary"`
	Description string `json:"description"`
	Parameters  []parameter
	RequestBody *struct {
		Description string             `json:"description"`
		Required    bool               `json:"required"`
		Content     map[string]content `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Description string             `json:"description"`
		Content     map[string]content `json:"content"`
	} `json:"responses"`

	Verb string `json:"-"`
	Path string `json:"-"`
}

type parameter struct {
	Name        string `json:"name"`
	In          string `json:"in"`
	Description string `json:"description"`
	Schema      schema `json:"schema"`
}

type content struct {
	Schema schema `json:"schema"`
}

type schema struct {
	Ref                  string          `json:"$ref"`
	Type                 json.RawMessage `json:"type"`
	Format               string          `json:"format"`
	GoType               string          `json:"x-go-type"`
	Items                *schema         `json:"items"`
	AdditionalProperties json.RawMessage `json:"additionalProperties"`
	Default              json.RawMessage `json:"default"`
	Maximum              *int            `json:"maximum"`
}

// readDescription reads the description in file.
func readDescription(file string) (*description, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var doc description
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &doc, nil
}

// operations returns the operations of the description, sorted by service and method, so that
// the output does not depend on the order of the file.
func (doc *description) operations() ([]operation, error) {
	var ops []operation
	for path, verbs := range doc.Paths {
		for verb, raw := range verbs {
			op := operation{Verb: strings.ToUpper(verb), Path: path}
			if err := json.Unmarshal(raw, &op); err != nil {
				return nil, fmt.Errorf("%s %s: %w", op.Verb, path, err)
			}
			if err := op.check(); err != nil {
				return nil, fmt.Errorf("%s %s: %w", op.Verb, path, err)
			}
			ops = append(ops, op)
		}
	}
	sort.Slice(ops, func(i, j int) bool { return ops[i].name() < ops[j].name() })
	for i := 1; i < len(ops); i++ {
		if ops[i].name() == ops[i-1].name() {
			return nil, fmt.Errorf("%s is described twice", ops[i].name())
		}
	}
	return ops, nil
}

func (o operation) name() string { return o.Service + "." + o.Method }

// basePath is where every route of the API begins; clients hold it in their base URL.
const basePath = "/api/v1"

func (o operation) check() error {
	switch {
	case o.Service == "" || o.Method == "":
		return fmt.Errorf("x-phala-service and x-phala-method are required")
	case o.OperationID != o.Service+o.Method:
		return fmt.Errorf("operationId %q is not %q", o.OperationID, o.Service+o.Method)
	case o.Retry != "safe" && o.Retry != "idempotent" && o.Retry != "unsafe":
		return fmt.Errorf("x-phala-retry %q is none of safe, idempotent, unsafe", o.Retry)
	case o.Key != "" && o.Key != "optional" || o.Key != "" && o.Public:
		return fmt.Errorf("x-phala-key %q: want optional, or nothing where x-phala-public is set", o.Key)
	case !strings.HasPrefix(o.Path, basePath+"/"):
		return fmt.Errorf("the path does not begin with %s/", basePath)
	case o.Summary == "":
		return fmt.Errorf("no summary")
	}
	return nil
}

func (o operation) inPath() []parameter {
	var in []parameter
	for segment := range strings.SplitSeq(o.Path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			in = append(in, o.parameter(strings.TrimSuffix(name, "}")))
		}
	}
	return in
}

func (o operation) parameter(name string) parameter {
	for _, p := range o.Parameters {
		if p.Name == name {
			return p
		}
	}
	return parameter{Name: name, In: "path"}
}

// hasParams reports whether oapi-codegen makes a …Params struct for the operation.
func (o operation) hasParams() bool {
	for _, p := range o.Parameters {
		if p.In != "path" {
			return true
		}
	}
	return false
}

// streams reports whether the operation can answer with server-sent events.
func (o operation) streams() bool {
	_, c := o.success()
	_, ok := c["text/event-stream"]
	return ok
}

// success returns the one success status and what it carries.
func (o operation) success() (string, map[string]content) {
	for code, r := range o.Responses {
		if strings.HasPrefix(code, "2") {
			return code, r.Content
		}
	}
	return "", nil
}
