package openapi

import "github.com/phala-go/phala/internal/secret"

// Secret is text that must not end up in a log: a token, a signing secret, an encrypted environment.
//
// fmt with any verb, log/slog and encoding/json write "[redacted]" instead, and "[redacted]" is refused when JSON is
// read. string(s) is the text; [Marshal] writes it as JSON.
type Secret = secret.Text

// Marshal returns the JSON of a value as the API takes it, with the text of each [Secret] in it. json.Marshal hides
// it. The client sends every body this way; use it to store a value, or to send one by other means.
func Marshal(v any) ([]byte, error) { return secret.Marshal(v) }
