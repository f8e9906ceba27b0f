package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/openapi"
)

// RetryPolicy sets how often and how fast failed calls are repeated. Whether a call is repeated depends on its
// operation: see the package comment. Zero fields keep their defaults.
type RetryPolicy struct {
	// MaxAttempts is the number of attempts, including the first: 4 by default, 1 for no repetition, at most 100.
	MaxAttempts int
	// BaseDelay limits the first pause. Each further limit is twice the one before. A pause is random between zero
	// and its limit. The default is 500 ms; [NoDelay] means no pause.
	BaseDelay time.Duration
	// MaxDelay limits every pause. The default is 10 s, or BaseDelay if that is longer.
	MaxDelay time.Duration
	// MaxRetryAfter is the longest Retry-After that the client obeys. The default is 30 s. If the server requests
	// more, its error is returned at once; with [NoDelay], if it requests any pause.
	MaxRetryAfter time.Duration
}

// NoDelay means no pause in a [RetryPolicy], whose zero fields keep their defaults.
const NoDelay time.Duration = -1

// DefaultRetryPolicy returns the policy with all defaults filled in.
func DefaultRetryPolicy() RetryPolicy { return RetryPolicy{}.complete() }

// complete returns the policy with its defaults filled in, and without a pause for NoDelay.
func (p RetryPolicy) complete() RetryPolicy {
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 4
	}
	p.BaseDelay = pauseOr(p.BaseDelay, 500*time.Millisecond)
	p.MaxDelay = pauseOr(p.MaxDelay, max(10*time.Second, p.BaseDelay))
	p.MaxRetryAfter = pauseOr(p.MaxRetryAfter, 30*time.Second)
	return p
}

func pauseOr(d, otherwise time.Duration) time.Duration {
	switch d {
	case 0:
		return otherwise
	case NoDelay:
		return 0
	}
	return d
}

func (p RetryPolicy) check() error {
	for name, d := range map[string]time.Duration{"base delay": p.BaseDelay, "max delay": p.MaxDelay, "max retry-after": p.MaxRetryAfter} {
		if d < 0 && d != NoDelay {
			return fmt.Errorf("retry: %s %s, want more than 0, 0 for the default, or NoDelay", name, d)
		}
	}
	full := p.complete()
	switch {
	case full.MaxAttempts < 1 || full.MaxAttempts > 100:
		return fmt.Errorf("retry: %d attempts, want 1 to 100, or 0 for the default", p.MaxAttempts)
	case full.MaxDelay < full.BaseDelay:
		return fmt.Errorf("retry: base delay %s is more than max delay %s", full.BaseDelay, full.MaxDelay)
	}
	return nil
}

// bound returns the longest pause after the given failed attempt, counted from 1.
func (p RetryPolicy) bound(attempt int) time.Duration {
	bound := p.BaseDelay
	for range attempt - 1 {
		if bound >= p.MaxDelay/2 {
			return p.MaxDelay
		}
		bound *= 2
	}
	return min(bound, p.MaxDelay)
}

// jitter returns a random duration between zero and bound.
func jitter(bound time.Duration) time.Duration {
	if bound <= 0 {
		return 0
	}
	return rand.N(bound + 1)
}

// repeatable reports whether the retry class allows repeating a call after err.
func repeatable(class retryClass, err error) bool {
	var api *APIError
	if !errors.As(err, &api) {
		if isFinalTransport(err) {
			return false
		}
		return class != retryUnsafe || neverSent(err)
	}
	switch api.StatusCode {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return class != retryUnsafe || api.hasRetryAfter
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return class != retryUnsafe
	case 520, 521, 522, 523, 524, 525, 526, 527, 530:
		// A proxy could not reach the API, or timed out.
		return class != retryUnsafe
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusInternalServerError:
		return class == retrySafe
	}
	return false
}

// neverSent reports whether a failure precedes the connection, so that no byte was sent.
func neverSent(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	return errors.As(err, &dns) || errors.As(err, &op) && op.Op == "dial"
}

// isFinalTransport reports whether a repetition cannot succeed, or must not be tried.
func isFinalTransport(err error) bool {
	var tooLarge *BodyTooLargeError
	return isTLSFailure(err) || errors.As(err, &tooLarge) || errors.Is(err, errUnexpectedStream) ||
		errors.Is(err, ErrRoute) || errors.Is(err, context.Canceled)
}

// isTLSFailure reports whether the two sides did not agree on a secure connection. A handshake that timed out is not
// such a failure.
func isTLSFailure(err error) bool {
	var (
		certificate *tls.CertificateVerificationError
		authority   x509.UnknownAuthorityError
		hostname    x509.HostnameError
		invalid     x509.CertificateInvalidError
		roots       x509.SystemRootsError
		record      tls.RecordHeaderError
		alert       tls.AlertError
		op          *net.OpError
	)
	if errors.As(err, &certificate) || errors.As(err, &authority) || errors.As(err, &hostname) || errors.As(err, &invalid) ||
		errors.As(err, &roots) || errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	// An alert, received or sent, is an OpError of its own kind.
	if errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") {
		return true
	}
	// crypto/tls has no type for most of its failures.
	for ; err != nil; err = errors.Unwrap(err) {
		if text := err.Error(); strings.HasPrefix(text, "tls: ") || strings.HasPrefix(text, "x509: ") {
			return true
		}
	}
	return false
}

// pause returns how long to wait after err, and whether to wait at all.
func (p RetryPolicy) pause(attempt int, err error) (time.Duration, bool) {
	var api *APIError
	if errors.As(err, &api) && api.hasRetryAfter {
		return api.RetryAfter, api.RetryAfter <= p.MaxRetryAfter
	}
	return jitter(p.bound(attempt)), true
}

// retried sends a request until it succeeds, fails permanently, or must not be repeated any more.
func (c *Client) retried(req *http.Request, p *plan) (*http.Response, error) {
	ctx, cfg := req.Context(), &p.config
	if ctx.Err() != nil {
		return nil, &TransportError{Operation: p.name, Err: context.Cause(ctx)}
	}
	class := classOf(req, p.route)
	start := time.Now()
	for attempt, conflicts := 1, 0; ; {
		p.attempts = attempt + conflicts
		resp, err := c.attempt(req, p, p.attempts)
		if err == nil {
			c.budget.succeed(attempt - 1)
			return resp, nil
		}
		if gone(req, err, attempt) {
			c.budget.succeed(attempt - 1)
			return noContent(req), nil
		}
		if api := (*APIError)(nil); errors.As(err, &api) {
			api.Attempts = p.attempts
		}
		var wait time.Duration
		switch {
		case ctx.Err() != nil && isAPIError(err) && repeatable(class, err):
			return nil, endedWaiting(ctx.Err(), err)
		case ctx.Err() != nil:
			return nil, err
		case cfg.conflictWait > 0 && errors.Is(err, ErrBusy):
			conflicts++
			if wait = conflictPause(conflicts); time.Since(start)+wait > cfg.conflictWait {
				return nil, err
			}
		case attempt >= cfg.retry.MaxAttempts || !repeatable(class, err) || !rewindable(req):
			return nil, err
		default:
			var worth bool
			if wait, worth = cfg.retry.pause(attempt, err); !worth {
				if api := (*APIError)(nil); errors.As(err, &api) {
					api.tooLong = cfg.retry.MaxRetryAfter
				}
				return nil, err
			}
			if !c.budget.take() {
				return nil, err
			}
			attempt++
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return nil, err
		}
		c.logRetry(req, p, err, wait)
		if pause.For(ctx, wait) != nil {
			return nil, endedWaiting(ctx.Err(), err)
		}
		if req, err = rewind(req); err != nil {
			return nil, err
		}
	}
}

// endedWaiting returns the error of a context that ended before a call was repeated after a failure.
func endedWaiting(ctxErr, failure error) error {
	return fmt.Errorf("%w while waiting to repeat the call after: %w", ctxErr, failure)
}

func classOf(req *http.Request, rt *route) retryClass {
	switch {
	case rt != nil:
		return rt.retry
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		return retrySafe
	}
	return retryUnsafe
}

// gone reports whether a repeated deletion finds nothing to delete: the attempt before it has succeeded.
func gone(req *http.Request, err error, attempt int) bool {
	return req.Method == http.MethodDelete && attempt > 1 && errors.Is(err, ErrNotFound)
}

func noContent(req *http.Request) *http.Response {
	return &http.Response{
		Status: "204 No Content", StatusCode: http.StatusNoContent,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: req,
	}
}

func rewindable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// rewind returns the request of the next attempt, with its whole body.
func rewind(req *http.Request) (*http.Request, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	next := *req
	next.Body = body
	return &next, nil
}

// The retry budget, a token bucket, ends retry storms: if most calls of a client fail, repeating each of them would
// only add load. The numbers are those of the standard mode of the AWS SDKs.
const (
	budgetSize = 500
	retryCost  = 5
	refund     = 1
)

type retryBudget struct {
	mu     sync.Mutex
	tokens int
}

func newRetryBudget() *retryBudget { return &retryBudget{tokens: budgetSize} }

// take takes the tokens of a repetition from the budget, and reports whether there were enough.
func (b *retryBudget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < retryCost {
		return false
	}
	b.tokens -= retryCost
	return true
}

// succeed returns the tokens of the repetitions of a call, or a little for a call that succeeded at once.
func (b *retryBudget) succeed(retries int) {
	b.mu.Lock()
	b.tokens = min(budgetSize, b.tokens+max(refund, retries*retryCost))
	b.mu.Unlock()
}

// While a CVM boots or changes, calls that would change it return 409 without a code. Booting takes minutes, so a
// repetition every few seconds is enough.
const (
	firstConflictPause = time.Second
	maxConflictPause   = 10 * time.Second
)

// conflictPause returns the pause after the n-th 409, counted from 1: half of it fixed, half random.
func conflictPause(n int) time.Duration {
	bound := RetryPolicy{BaseDelay: firstConflictPause, MaxDelay: maxConflictPause}.bound(n)
	return bound/2 + jitter(bound/2)
}

// isPermanent reports whether neither a new connection nor a repetition can succeed.
func isPermanent(err error) bool {
	var api *APIError
	if errors.As(err, &api) {
		switch api.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
			return false
		case http.StatusConflict:
			// A 409 with a code is final, such as a name that two CVMs have.
			return api.Code != ""
		}
		return api.StatusCode < 500
	}
	return errors.Is(err, ErrDecode) && !errors.Is(err, errEvent) || errors.Is(err, errNoStream) ||
		isMisconfigured(err) || errors.Is(err, openapi.ErrPathParam)
}

// isAPIError reports whether a failure is a response of the API, and not a transport failure or the end of the caller's
// context.
func isAPIError(err error) bool {
	var api *APIError
	return errors.As(err, &api)
}

// isMisconfigured reports whether a failure has nothing to do with the requested CVM.
func isMisconfigured(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrNoAPIKey) || errors.Is(err, ErrRedirect) ||
		errors.Is(err, ErrRoute) || isFinalTransport(err)
}

// endOf returns the error of a context that has ended, with its cause and the last failure.
func endOf(ctx context.Context, failure error) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); errors.Is(cause, err) {
		err = cause
	} else {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if failure != nil {
		return fmt.Errorf("%w, after: %w", err, failure)
	}
	return err
}
