package webhook

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Secret is text of an event that must not end up in a log. Everything that formats it for people (fmt with
// any verb, log/slog) writes "[redacted]"; in JSON it is the plain string. string(s) is the text.
type Secret string

const redacted = "[redacted]"

// Format writes "[redacted]" whatever the verb, and nothing for an empty secret.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(f, redacted)
	}
}

// LogValue keeps the text out of structured logs.
func (s Secret) LogValue() slog.Value {
	if s == "" {
		return slog.StringValue("")
	}
	return slog.StringValue(redacted)
}

// maskedPrefix begins a secret as the API shows it after the webhook was created.
const maskedPrefix = "whsec_****"

// checkSecret refuses what cannot be the secret of a webhook. A secret need not begin with "whsec_", because
// who creates a webhook may choose one. The error does not show it.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("webhook: secret: empty; everybody could sign with it")
	case strings.TrimSpace(secret) != secret:
		return errors.New("webhook: secret: white space around it, such as the end of a line")
	case strings.HasPrefix(secret, maskedPrefix):
		return errors.New("webhook: secret: masked by the API; the whole one is shown when the webhook is created, or revealed")
	}
	return nil
}
