package openapi

import (
	"fmt"
	"log/slog"
)

// Secret is text that must not end up in a log: a token, a signing secret, an encrypted environment.
//
// It travels in JSON as the plain string it is, and everything that formats it for people (fmt with any
// verb, log/slog) writes "[redacted]" instead. string(s) is the only way to the text.
type Secret string

const redacted = "[redacted]"

// Format writes "[redacted]" whatever the verb, and nothing for an empty secret.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = f.Write([]byte(redacted))
	}
}

// LogValue keeps the text out of structured logs.
func (s Secret) LogValue() slog.Value {
	if s == "" {
		return slog.StringValue("")
	}
	return slog.StringValue(redacted)
}

// formatPlain writes a struct under the verbs that fit one; another one would make fmt print nested values with
// none of their methods.
func formatPlain(f fmt.State, plain any) {
	switch {
	case f.Flag('#'):
		_, _ = fmt.Fprintf(f, "%#v", plain)
	case f.Flag('+'):
		_, _ = fmt.Fprintf(f, "%+v", plain)
	default:
		_, _ = fmt.Fprintf(f, "%v", plain)
	}
}
