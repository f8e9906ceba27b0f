package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"time"
)

// Receiver is an http.Handler of deliveries. [Handler] makes one. It is safe for concurrent use.
type Receiver struct {
	verifier
	fn      func(context.Context, Event) error
	store   Store
	maxBody int64
	logger  *slog.Logger
}

// Handler receives deliveries and calls fn for each event once, as long as fn succeeds. It fails where the
// secret, fn or an option makes no sense: an empty secret above all, with which everybody could sign.
//
// Its answers:
//
//	204  fn has succeeded
//	200  the event was handled before; fn is not called
//	400  the body is signed, and is not an event; or it broke off
//	401  the signature is missing or wrong, or was made too long ago
//	405  not a POST
//	408  the body took longer than ten seconds
//	409  the event is being handled by another request
//	413  the body is too long
//	415  not application/json
//	500  fn has failed; its error is logged and not shown
//	503  the store has failed, or the request ended before fn was called
//
// The cloud tries again after all but the first two. fn gets the context of the request, which ends when the
// cloud hangs up, after ten seconds: work that takes longer belongs in a queue. Where fn succeeds all the same,
// the event counts as handled. fn is called from many goroutines at a time, never for the same event.
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

// SetSecrets accepts deliveries that are signed with one of these, and no others, from the next one on. What was
// handled stays known. It is for rotating: the cloud stops using the old secret at once, and a delivery that was
// signed before may still be on its way, so keep the old one beside the new for [DefaultTolerance].
func (h *Receiver) SetSecrets(secret string, more ...string) error {
	return h.keys.replace(append([]string{secret}, more...))
}

// Format writes what it is, whatever the verb.
func (h Receiver) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "webhook receiver") }

// ServeHTTP answers one delivery.
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

// settleTimeout bounds telling the store how it went, in time that the cloud may no longer wait.
const settleTimeout = 5 * time.Second

// call runs the function on a claimed event and settles the claim, also where the function panics.
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
