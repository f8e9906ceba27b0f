package webhook

import (
	"errors"
	"strings"

	"github.com/phala-go/phala/internal/secret"
)

// Secret is text of an event that must not be logged. fmt with any verb, log/slog and encoding/json write
// "[redacted]" instead. string(s) is the text; [Marshal] writes it as JSON.
type Secret = secret.Text

// Hidden is JSON of an event that may contain a secret. Formatting, logs and JSON show its length only; []byte(h) is
// the text, and [Marshal] writes it.
type Hidden = secret.Bytes

// Marshal returns the JSON of an [Event], or of its data, in the form in which the cloud sends it, for example for a
// queue. json.Marshal hides the secrets in it.
func Marshal(v any) ([]byte, error) { return secret.Marshal(v) }

// maskedPrefix is the prefix of a secret that the API has masked.
const maskedPrefix = "whsec_****"

// checkSecret refuses what cannot be the secret of a webhook. A secret need not begin with "whsec_", because the
// creator of a webhook may choose one. The error does not contain it.
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
