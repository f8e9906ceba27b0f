package kms

import (
	"fmt"
	"log/slog"
)

// EnvVar is a variable for an app: usually a secret. Formatting one shows its name only.
type EnvVar struct {
	Key   string
	Value string
}

// Format writes the name, and "[redacted]" for the value, whatever the verb.
func (v EnvVar) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(v.Key + "=[redacted]")) }

// LogValue keeps the value out of structured logs.
func (v EnvVar) LogValue() slog.Value { return slog.StringValue(v.Key + "=[redacted]") }
