package webhook

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/phala-go/phala/internal/strictjson"
)

// DefaultTolerance is the maximum distance of the signing time from now, in both directions. It is the value in the
// cloud's documentation.
const DefaultTolerance = 5 * time.Minute

// verifier checks deliveries.
type verifier struct {
	keys      *keyring
	tolerance time.Duration
}

func newVerifier(secret string) (verifier, error) {
	if err := checkSecret(secret); err != nil {
		return verifier{}, err
	}
	return verifier{keys: &keyring{secrets: []string{secret}}, tolerance: DefaultTolerance}, nil
}

// Verify checks a delivery and returns its event. header must have the canonical keys of net/http, and body the
// unchanged bytes. errors.Is matches the error with [ErrSignature], [ErrTimestamp] or [ErrBody], unless the secret or
// an option is invalid.
//
// Verify is stateless: within the tolerance the same delivery passes again. A [Receiver] prevents that; other callers
// compare the event's id with the handled ones.
func Verify(secret string, header http.Header, body []byte, opts ...VerifyOption) (Event, error) {
	v, err := newVerifier(secret)
	if err != nil {
		return Event{}, err
	}
	for _, o := range opts {
		if err := o.applyVerifier(&v); err != nil {
			return Event{}, err
		}
	}
	return v.verify(header, body)
}

func (v *verifier) verify(header http.Header, body []byte) (Event, error) {
	timestamp, err := single(header, HeaderTimestamp)
	if err != nil {
		return Event{}, err
	}
	signed, err := parseTimestamp(timestamp)
	if err != nil {
		return Event{}, err
	}
	got, err := single(header, HeaderSignature)
	if err != nil {
		return Event{}, err
	}
	if !v.signed(got, timestamp, body) {
		return Event{}, fmt.Errorf("%w: does not match", ErrSignature)
	}
	if off := time.Since(signed); off.Abs() > v.tolerance {
		return Event{}, fmt.Errorf("%w: signed at %s, %s from now, want at most %s",
			ErrTimestamp, signed.UTC().Format(time.RFC3339), off.Abs().Round(time.Second), v.tolerance)
	}
	var event Event
	if err := strictjson.Unmarshal(body, &event); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrBody, err)
	}
	return event, nil
}

// signed compares whole texts, in a time that depends neither on them nor on which secret matches.
func (v *verifier) signed(got, timestamp string, body []byte) bool {
	match := false
	for _, secret := range v.keys.all() {
		if hmac.Equal([]byte(got), []byte(signature(secret, timestamp, body))) {
			match = true
		}
	}
	return match
}

// single returns the value of a header that must be there exactly once.
func single(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) != 1 {
		return "", fmt.Errorf("%w: %s appears %d times, want once", ErrSignature, name, len(values))
	}
	return values[0], nil
}

// parseTimestamp accepts digits only, so that there is one way to write a time.
func parseTimestamp(value string) (time.Time, error) {
	seconds, err := strconv.ParseInt(value, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != value || seconds < 0 {
		return time.Time{}, fmt.Errorf("%w: %s %.40q: want seconds since 1970", ErrSignature, HeaderTimestamp, value)
	}
	return time.Unix(seconds, 0), nil
}

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

// keyring has the secrets that a delivery may be signed with. It is behind a pointer wherever it is held, so that no
// way of formatting what holds it shows them.
type keyring struct {
	mu      sync.RWMutex
	secrets []string
}

func (k *keyring) all() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.secrets
}

// add accepts more secrets, unless one of them cannot be one.
func (k *keyring) add(more []string) error {
	for _, secret := range more {
		if err := checkSecret(secret); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets = append(slices.Clone(k.secrets), more...)
	return nil
}

// replace accepts these secrets and no others from now on, unless one of them cannot be one.
func (k *keyring) replace(secrets []string) error {
	for _, secret := range secrets {
		if err := checkSecret(secret); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.secrets = slices.Clone(secrets)
	return nil
}
