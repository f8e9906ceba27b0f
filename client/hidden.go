package client

import (
	"fmt"
	"log/slog"
)

// Hidden is text that may repeat what was sent, secrets included. Formatting, logs and JSON show its length
// only; []byte(h) is the text.
type Hidden []byte

// String returns the length.
func (h Hidden) String() string { return fmt.Sprintf("[%d bytes, hidden]", len(h)) }

// Format writes the length, whatever the verb.
func (h Hidden) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(h.String())) }

// LogValue keeps the text out of structured logs.
func (h Hidden) LogValue() slog.Value { return slog.StringValue(h.String()) }

// MarshalText keeps the text out of JSON.
func (h Hidden) MarshalText() ([]byte, error) { return []byte(h.String()), nil }
