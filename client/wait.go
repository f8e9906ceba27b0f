package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phala-go/phala/openapi"
)

// WaitError says that a CVM did not come to the status that was waited for.
type WaitError struct {
	// CVM identifies it.
	CVM string
	// Target is the status that was waited for.
	Target string
	// State is the last one that was seen, with the guest's boot texts; nil where none was.
	State *openapi.CVMState
	// Err is why the wait ended: [ErrFailedState], the context's error, or what the API answered.
	Err error
}

// ErrFailedState says that a CVM is in a state that does not lead to the one waited for.
var ErrFailedState = errors.New("the status does not lead there")

func (e *WaitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cvm %s waiting for %s", e.CVM, e.Target)
	if s := e.State; s != nil {
		fmt.Fprintf(&b, ", which is %s", s.Status)
		if s.BootProgress != "" {
			fmt.Fprintf(&b, " (%s)", clean(s.BootProgress))
		}
		if s.BootError != "" {
			fmt.Fprintf(&b, ": %s", clean(s.BootError))
		}
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap gives Err.
func (e *WaitError) Unwrap() error { return e.Err }

// WaitOption changes how [CVMsService.WaitFor] waits.
type WaitOption func(*waiter) error

// WithWaitProgress calls fn with each state that is seen, from the goroutine that waits.
func WithWaitProgress(fn func(StateEvent)) WaitOption {
	return func(w *waiter) error {
		if fn == nil {
			return errors.New("wait: no function for the progress")
		}
		w.progress = fn
		return nil
	}
}

// WithPollInterval sets how often to ask where the stream cannot be used, or has ended; 3 seconds without it.
func WithPollInterval(d time.Duration) WaitOption {
	return func(w *waiter) error {
		if d <= 0 {
			return fmt.Errorf("wait: poll interval %s, want more than 0", d)
		}
		w.interval = d
		return nil
	}
}

// WithPolling asks again and again instead of using a stream.
func WithPolling() WaitOption {
	return func(w *waiter) error {
		w.polling = true
		return nil
	}
}

type waiter struct {
	cvms     *CVMsService
	cvm      string
	target   string
	interval time.Duration
	polling  bool
	progress func(StateEvent)
	last     *openapi.CVMState
}

// WaitFor returns when a CVM has the status and no operation runs on it any more. It follows the stream of
// states and asks where there is none. A CVM that went another way, the end of the context and a refusal of
// the API are a [*WaitError] with the last state. Waiting for "deleted" ends when the CVM is gone.
func (s *CVMsService) WaitFor(ctx context.Context, cvmID, target string, opts ...WaitOption) error {
	w := &waiter{cvms: s, cvm: cvmID, target: target, interval: 3 * time.Second, progress: func(StateEvent) {}}
	if target == "" {
		return errors.New("wait: no target status")
	}
	for _, o := range opts {
		if err := o(w); err != nil {
			return err
		}
	}
	if !w.polling {
		if over, err := w.follow(ctx); over {
			return err
		}
	}
	return w.poll(ctx)
}

// follow uses the stream until it says that the target is reached, or something else that needs a look.
// over says that waiting is over.
func (w *waiter) follow(ctx context.Context) (over bool, err error) {
	for event, err := range w.cvms.Watch(ctx, w.cvm, WatchOptions{Target: w.target}) {
		if err != nil {
			if ctx.Err() != nil {
				return true, w.fail(ctx.Err())
			}
			if isRefusal(err) {
				return w.refused(err)
			}
			return false, nil
		}
		if event.Type == EventComplete {
			return false, nil
		}
		w.see(event.State)
		if failed(event.State.Status, w.target) {
			return false, nil
		}
	}
	return false, nil
}

// poll asks until the CVM has settled.
func (w *waiter) poll(ctx context.Context) error {
	for {
		over, err := w.look(ctx)
		if over || err != nil {
			return err
		}
		if err := sleep(ctx, w.interval); errors.Is(err, errDeadlineTooClose) {
			<-ctx.Done()
			return w.fail(ctx.Err())
		} else if err != nil {
			return w.fail(err)
		}
	}
}

// look asks once, and says whether waiting is over.
func (w *waiter) look(ctx context.Context) (over bool, err error) {
	cvm, err := w.cvms.Get(ctx, w.cvm)
	if err != nil {
		if ctx.Err() != nil {
			return true, w.fail(ctx.Err())
		}
		if isRefusal(err) {
			return w.refused(err)
		}
		return false, nil // it may pass; the context bounds how often
	}
	busy := cvm.InProgress != nil && *cvm.InProgress
	if cvm.Status == w.target && !busy {
		w.see(openapi.CVMState{Status: cvm.Status})
		return true, nil
	}
	if w.last == nil || w.last.Status != cvm.Status || failed(cvm.Status, w.target) {
		w.see(w.describe(ctx, cvm.Status))
	}
	if !busy && failed(cvm.Status, w.target) {
		return true, w.fail(ErrFailedState)
	}
	return false, nil
}

// describe asks for the boot texts, which the CVM itself does not carry.
func (w *waiter) describe(ctx context.Context, status string) openapi.CVMState {
	if state, err := w.cvms.GetState(ctx, w.cvm, nil); err == nil {
		state.Status = status
		return *state
	}
	return openapi.CVMState{Status: status}
}

func (w *waiter) see(s openapi.CVMState) {
	w.last = &s
	w.progress(StateEvent{Type: EventState, State: s})
}

func (w *waiter) fail(err error) error {
	return &WaitError{CVM: w.cvm, Target: w.target, State: w.last, Err: err}
}

// refused ends a wait that the API refuses; a CVM that is gone may be what was waited for.
func (w *waiter) refused(err error) (over bool, _ error) {
	if w.target == "deleted" && errors.Is(err, ErrNotFound) {
		return true, nil
	}
	return true, w.fail(err)
}

// isRefusal tells answers that asking again does not change.
func isRefusal(err error) bool {
	for _, kind := range []error{ErrUnauthorized, ErrForbidden, ErrNotFound, ErrBadRequest, ErrValidation, ErrNoAPIKey, ErrRoute, openapi.ErrPathParam} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// failed tells a status that does not lead to the target by itself.
func failed(status, target string) bool {
	switch {
	case status == target:
		return false
	case status == "error" || status == "failed":
		return true
	case strings.HasPrefix(status, "delet"):
		return target != "deleted"
	case target == "running":
		return status == "exited" || status == "stopped"
	case target == "stopped":
		return status == "exited"
	}
	return false
}
