package openapi

import _ "embed"

//go:embed openapi.json
var document string

// Document returns the OpenAPI description as JSON text. The linker omits it from programs that do not call this
// function.
func Document() string { return document }
