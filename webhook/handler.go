package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"os"
	"time"
)

// Receiver is an http.Handler of deliveries. [Handler] returns one. It is safe for concurrent use.
type Receiver struct {
	verifier
	fn      func(context.Context, Event) error
	store   Store
	maxBody int64
	logger  *slog.Logger
}

// Handler returns a handler of deliveries that calls fn once for each event, until fn succeeds. It returns an error
// if the secret, fn or an option is invalid: above all an empty secret, with which everybody could sign.
//
// Its responses:
//
//	204  fn has succeeded
//	200  the event was handled before; fn is not called
//	400  the body is signed, but is not an event; or it was cut off
//	401  the signature is missing or wrong, or was created too long ago
//	405  not a POST
//	408  the body took longer than ten seconds
//	409  the event is being handled by another request
//	413  the body is too long
//	415  not application/json
//	500  fn has failed; its error is logged and not sent
//	503  the store has failed, or the request ended before fn was called
//
// The cloud tries again after all but the first two. fn receives the context of the request, which ends when the
// cloud hangs up, after ten seconds: longer work belongs in a queue. If fn succeeds nevertheless, the event counts as
// handled. fn is called from many goroutines at a time, but never concurrently for the same event.
func Handler(secret string, fn func(context.Context, Event) error, opts ...Option) (*Receiver, error) {
	v, err := newVerifier(secret)
	if err != nil {
		return nil, err
	}
	if fn == nil {
		return nil, errors.New("webhook: Handler needs a function")
	}
	h := &Receiver{verifier: v, fn: fn, maxBody: DefaultMaxBody, logger: slog.New(slog.DiscardHandler)}
	for _, o := range opts {
		if err := o.applyHandler(h); err != nil {
			return nil, err
		}
	}
	if h.store == nil {
		h.store = NewMemoryStore(retryWindow+2*h.tolerance, DefaultMemory)
	}
	return h, nil
}

// SetSecrets replaces the secrets, from the next delivery on. Handled events stay known. It is for rotation: the
// cloud stops using the old secret at once, and a delivery that was signed before may still arrive, so keep the old
// one beside the new for [DefaultTolerance].
func (h *Receiver) SetSecrets(secret string, more ...string) error {
	return h.keys.replace(append([]string{secret}, more...))
}

// Format writes the type's name, whatever the verb.
func (h Receiver) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "webhook receiver") }

// ServeHTTP handles one delivery.
func (h *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		h.refuse(w, r, http.StatusMethodNotAllowed, "want POST", nil)
		return
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		h.refuse(w, r, http.StatusUnsupportedMediaType, "want application/json", nil)
		return
	}
	body, status, err := h.read(w, r)
	if err != nil {
		h.refuse(w, r, status, "body: "+err.Error(), nil)
		return
	}
	event, err := h.verify(r.Header, body)
	switch {
	case errors.Is(err, ErrBody):
		h.refuse(w, r, http.StatusBadRequest, "not an event", err)
	case errors.Is(err, ErrTimestamp):
		h.refuse(w, r, http.StatusUnauthorized, "signed too far from now", err)
	case err != nil:
		h.refuse(w, r, http.StatusUnauthorized, "signature missing or wrong", err)
	default:
		h.once(w, r, event)
	}
}

// once handles an event that is not handled yet.
func (h *Receiver) once(w http.ResponseWriter, r *http.Request, event Event) {
	ctx := r.Context()
	if ctx.Err() != nil { // the cloud has hung up and tries again, or a time limit has cut in
		http.Error(w, "too late", http.StatusServiceUnavailable)
		return
	}
	err := h.store.Claim(ctx, event.ID)
	switch {
	case errors.Is(err, ErrHandled):
		http.Error(w, "handled before", http.StatusOK)
		return
	case errors.Is(err, ErrBeingHandled):
		http.Error(w, "being handled", http.StatusConflict)
		return
	case err != nil:
		h.failed(ctx, event, "the store has failed", err)
		http.Error(w, "cannot tell whether it was handled before", http.StatusServiceUnavailable)
		return
	}
	if err := h.call(ctx, event); err != nil {
		h.failed(ctx, event, "the function has failed", err)
		http.Error(w, "not handled", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// settleTimeout limits the store's update after an event, during which the cloud may no longer wait.
const settleTimeout = 5 * time.Second

// call runs the function on a claimed event and settles the claim, even if the function panics.
func (h *Receiver) call(ctx context.Context, event Event) (err error) {
	succeeded := false
	defer func() {
		settled, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
		defer cancel()
		settle := h.store.Release
		if succeeded {
			settle = h.store.Finish
		}
		// The event is handled, or is not, whatever the store says to that.
		if err := settle(settled, event.ID); err != nil {
			h.failed(ctx, event, "the store has failed", err)
		}
	}()
	err = h.fn(ctx, event)
	succeeded = err == nil
	return err
}

func (h *Receiver) refuse(w http.ResponseWriter, r *http.Request, status int, why string, err error) {
	attrs := []slog.Attr{slog.Int("status", status), slog.String("why", why)}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	h.logger.LogAttrs(r.Context(), slog.LevelWarn, "webhook: delivery refused", attrs...)
	http.Error(w, why, status)
}

func (h *Receiver) failed(ctx context.Context, event Event, what string, err error) {
	h.logger.LogAttrs(ctx, slog.LevelError, "webhook: "+what, slog.Any("event", event), slog.Any("error", err))
}

// Option configures a [Receiver].
type Option interface {
	applyHandler(*Receiver) error
}

// VerifyOption configures [Verify] or a [Receiver].
type VerifyOption interface {
	Option
	applyVerifier(*verifier) error
}

type verifyOption func(*verifier) error

func (o verifyOption) applyVerifier(v *verifier) error { return o(v) }

func (o verifyOption) applyHandler(h *Receiver) error { return o(&h.verifier) }

type handlerOption func(*Receiver) error

func (o handlerOption) applyHandler(h *Receiver) error { return o(h) }

// WithSecrets adds accepted secrets: the previous one, while a rotation reaches all processes, or those of several
// webhooks with the same URL.
func WithSecrets(more ...string) VerifyOption {
	return verifyOption(func(v *verifier) error {
		return v.keys.add(more)
	})
}

// WithTolerance sets the maximum distance of the signing time from now, in both directions, instead of
// [DefaultTolerance]. The longer it is, the longer a recorded delivery can be replayed.
func WithTolerance(d time.Duration) VerifyOption {
	return verifyOption(func(v *verifier) error {
		if d <= 0 {
			return fmt.Errorf("webhook: tolerance %s: want more than 0", d)
		}
		v.tolerance = d
		return nil
	})
}

// WithStore sets the store of the handled events' ids, instead of the memory of this process. It is for receivers
// with several processes, or that must not repeat an event after a restart.
func WithStore(s Store) Option {
	return handlerOption(func(h *Receiver) error {
		if s == nil {
			return errors.New("webhook: WithStore needs a store")
		}
		h.store = s
		return nil
	})
}

// DefaultMaxBody is the longest body that a [Receiver] reads, in bytes.
const DefaultMaxBody = 1 << 20

// WithMaxBody sets the maximum size of a body, in bytes, instead of [DefaultMaxBody].
func WithMaxBody(n int64) Option {
	return handlerOption(func(h *Receiver) error {
		if n <= 0 {
			return fmt.Errorf("webhook: max body %d: want more than 0 bytes", n)
		}
		h.maxBody = n
		return nil
	})
}

// WithLogger sets the logger of refused deliveries, as warnings, and of failures of the function or the store, as
// errors. Neither secrets nor data are logged. Without it nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return handlerOption(func(h *Receiver) error {
		if l == nil {
			return errors.New("webhook: WithLogger needs a logger")
		}
		h.logger = l
		return nil
	})
}

// readTimeout limits the time of reading a body. The cloud itself gives up ten seconds after it began.
const readTimeout = 10 * time.Second

// read returns the exact bytes of a body, or the status of the response with an error.
func (h *Receiver) read(w http.ResponseWriter, r *http.Request) (body []byte, status int, err error) {
	if r.ContentLength > h.maxBody {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("%d bytes, want at most %d", r.ContentLength, h.maxBody)
	}
	lift := limitTime(w, r)
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case err == nil:
		lift()
		return body, http.StatusOK, nil
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("more than %d bytes", h.maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, http.StatusRequestTimeout, fmt.Errorf("not read within %s", readTimeout)
	}
	return nil, http.StatusBadRequest, errors.New("broken off")
}

// limitTime limits the time of reading the body, if neither the server nor its connection does, so that a slow body
// does not block a connection. The returned function removes the limit: the deadline must not interrupt the work on
// the event. It stays if the body was not read to its end, because the server reads the rest.
func limitTime(w http.ResponseWriter, r *http.Request) func() {
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && server.ReadTimeout > 0 {
		return func() {}
	}
	control := http.NewResponseController(w)
	if control.SetReadDeadline(time.Now().Add(readTimeout)) != nil {
		return func() {} // not a server of net/http
	}
	return func() { _ = control.SetReadDeadline(time.Time{}) }
}
