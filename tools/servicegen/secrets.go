package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// writeSecrets returns the source of openapi/secrets.gen.go: a Format method for each type that holds a secret, at
// any depth. Without one fmt prints a nested pointer under a verb that does not fit it, such as %s, with none of
// the methods of what is beneath, and so the text of an openapi.Secret.
func writeSecrets(doc *description, ops []operation) string {
	var names []string
	for name := range doc.Components.Schemas {
		if doc.holdsSecret(name, nil) {
			names = append(names, name)
		}
	}
	for _, o := range ops {
		for _, p := range o.Parameters {
			if p.In != "path" && p.Schema.GoType == "Secret" && !slices.Contains(names, o.OperationID+"Params") {
				names = append(names, o.OperationID+"Params")
			}
		}
	}
	slices.Sort(names)
	var b strings.Builder
	b.WriteString(header + "package openapi\n\nimport (\n\t\"fmt\"\n\n\t\"github.com/phala-go/phala/internal/secret\"\n)\n\n")
	for _, name := range names {
		fmt.Fprintf(&b, "// Format writes the value without the secrets in it, whatever the verb.\nfunc (v %s) Format(f fmt.State, _ rune) {\n\ttype plain %s\n\tsecret.Format(f, plain(v))\n}\n\n", name, name)
	}
	return b.String()
}

// holdsSecret reports whether a schema has a secret in it, at any depth.
func (doc *description) holdsSecret(name string, above []string) bool {
	if slices.Contains(above, name) {
		return false
	}
	above = append(slices.Clone(above), name)
	for _, p := range doc.Components.Schemas[name].Properties {
		if doc.isSecret(p, above) {
			return true
		}
	}
	return false
}

func (doc *description) isSecret(s schema, above []string) bool {
	if s.GoType == "Secret" {
		return true
	}
	if s.Ref != "" {
		return doc.holdsSecret(s.Ref[strings.LastIndex(s.Ref, "/")+1:], above)
	}
	if s.Items != nil && doc.isSecret(*s.Items, above) {
		return true
	}
	var of schema
	return json.Unmarshal(s.AdditionalProperties, &of) == nil && (of.Ref != "" || of.GoType != "") && doc.isSecret(of, above)
}
