package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
)

// goNames are the fields of the generated models: by type and by name in JSON or in a query.
type goNames map[string]map[string]string

func readGoNames(file string) (goNames, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	names := goNames{}
	ast.Inspect(parsed, func(node ast.Node) bool {
		spec, ok := node.(*ast.TypeSpec)
		if !ok {
			return true
		}
		structure, ok := spec.Type.(*ast.StructType)
		if !ok {
			return true
		}
		fields := map[string]string{}
		for _, f := range structure.Fields.List {
			if f.Tag == nil || len(f.Names) == 0 {
				continue
			}
			text, err := strconv.Unquote(f.Tag.Value)
			if err != nil {
				continue
			}
			for _, key := range []string{"form", "json"} {
				if name, _, _ := strings.Cut(reflect.StructTag(text).Get(key), ","); name != "" && name != "-" {
					fields[name] = f.Names[0].Name
				}
			}
		}
		names[spec.Name.Name] = fields
		return true
	})
	return names, nil
}

// of returns the Go name of a property of a component.
func (n goNames) of(owner, property string) string {
	switch name := n[owner][property]; {
	case name != "":
		return "openapi." + owner + "." + name
	case owner != "":
		return "openapi." + owner
	default:
		return "no name of its own"
	}
}

// owner returns the type that a new field at path belongs to.
func (n goNames) owner(fields map[string]*field, path string, op *operation) string {
	for at, f := range fields {
		if f.owner != "" && parent(at) == path {
			return "openapi." + f.owner
		}
	}
	return op.goName()
}
