package webhook

import "errors"

// What [Verify] can find wrong. None of them holds a secret.
var (
	// ErrSignature says that the signature is missing, has another form, or does not match: the body was
	// not signed with any of the secrets, or was changed.
	ErrSignature = errors.New("webhook: signature")
	// ErrTimestamp says that the signature matches, and that it was made too long ago, or too far in the
	// future.
	ErrTimestamp = errors.New("webhook: timestamp")
	// ErrBody says that the body is signed, and is not an event.
	ErrBody = errors.New("webhook: body")
)
