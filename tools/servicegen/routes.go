package main

import (
	"fmt"
	"strings"
)

// writeRoutes returns client/routes.gen.go: the constants of the operations and their table.
func writeRoutes(ops []operation) string {
	var b strings.Builder
	b.WriteString(header + "package client\n\n// The operations of the API; zero stands for a request that is none of them.\nconst (\n")
	for i, o := range ops {
		if i == 0 {
			fmt.Fprintf(&b, "\top%s operation = iota + 1\n", o.OperationID)
			continue
		}
		fmt.Fprintf(&b, "\top%s\n", o.OperationID)
	}
	b.WriteString(")\n\n// operations is the route table, indexed by operation. Paths are below the base URL.\nfunc operations() []route {\n\treturn []route{\n")
	for _, o := range ops {
		fmt.Fprintf(&b, "\t\top%s: {name: %q, verb: %q, path: %q, retry: retry%s", o.OperationID, o.name(), o.Verb,
			strings.TrimPrefix(o.Path, basePath), strings.ToUpper(o.Retry[:1])+o.Retry[1:])
		if o.Version != "" {
			fmt.Fprintf(&b, ", version: %q", o.Version)
		}
		if o.Public {
			b.WriteString(", public: true")
		}
		if o.Key == "optional" {
			b.WriteString(", optionalKey: true")
		}
		if o.MaxBytes != 0 {
			fmt.Fprintf(&b, ", limit: %d", o.MaxBytes)
		}
		if page := o.pageItems(); page != 0 {
			fmt.Fprintf(&b, ", page: %d", page)
		}
		if o.textBody() != "" {
			b.WriteString(", text: true")
		}
		if o.streams() {
			b.WriteString(", stream: true")
		}
		b.WriteString("},\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// writeFakeRoutes returns phalatest/routes.gen.go: the operations that the fake cloud answers, and how each is reached.
func writeFakeRoutes(ops []operation) string {
	var b strings.Builder
	b.WriteString(header + "package phalatest\n\n// The operations of the API.\nconst (\n")
	for _, o := range ops {
		fmt.Fprintf(&b, "\top%s operationName = %q\n", o.OperationID, o.name())
	}
	b.WriteString(")\n\n// routes lists every operation of the API with its success status and the method that answers it.\nfunc routes() []route {\n\treturn []route{\n")
	for _, o := range ops {
		code, _ := o.success()
		answer := "(*Server).answer" + o.OperationID
		if o.hasJSONBody() {
			answer = "withBody(" + answer + ")"
		}
		fmt.Fprintf(&b, "\t\t{operation: op%s, verb: %q, path: %q, status: %s, answer: %s", o.OperationID, o.Verb, o.Path, code, answer)
		if o.Public {
			b.WriteString(", public: true")
		}
		if o.Key == "optional" {
			b.WriteString(", optionalKey: true")
		}
		b.WriteString("},\n")
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// hasJSONBody reports whether the operation takes JSON and nothing else.
func (o operation) hasJSONBody() bool {
	if o.RequestBody == nil || len(o.RequestBody.Content) != 1 {
		return false
	}
	_, isJSON := o.RequestBody.Content["application/json"]
	return isJSON
}
