package client

import "github.com/phala-go/phala/internal/secret"

// Hidden is text that may repeat what was sent, secrets included. Formatting, logs and JSON show its length only;
// []byte(h) is the text.
type Hidden = secret.Bytes
