package webhook

import "errors"

// The errors of [Verify]. None of them contains a secret.
var (
	// ErrSignature is returned if the signature is missing, malformed, or does not match: the body was not signed
	// with any of the secrets, or was changed.
	ErrSignature = errors.New("webhook: signature")
	// ErrTimestamp is returned if the signature matches, but was created too long ago, or too far in the future.
	ErrTimestamp = errors.New("webhook: timestamp")
	// ErrBody is returned if the body is signed, but is not an event.
	ErrBody = errors.New("webhook: body")
)
