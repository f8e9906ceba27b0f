package openapi

import _ "embed"

//go:embed openapi.json
var document string

// Document is the OpenAPI description itself, as JSON text. The linker leaves it out of programs that do not
// call this.
func Document() string { return document }
