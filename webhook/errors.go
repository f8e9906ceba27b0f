package webhook

import "errors"

// What [Verify] can find wrong. None of them holds a secret.
var (
	// ErrSignature is returned if the signature is missing, has another form, or does not match: the body was
	// not signed with any of the secrets, or was changed.
	ErrSignature = errors.New("webhook: signature")
	// ErrTimestamp is returned if the signature matches, and was made too long ago, or too far in the
	// future.
	ErrTimestamp = errors.New("webhook: timestamp")
	// ErrBody is returned if the body is signed, and is not an event.
	ErrBody = errors.New("webhook: body")
)
