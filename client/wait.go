package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/openapi"
)

// WaitError is returned if a CVM did not come to the status that was waited for.
type WaitError struct {
	// CVM identifies it.
	CVM string
	// Target is the [openapi.CVMStatus] that was waited for, or "idle" of [CVMsService.WaitIdle].
	Target string
	// State is the last one that was seen, with the guest's boot texts; nil where none was.
	State *openapi.CVMState
	// Err is why the wait ended: [ErrFailedState], what the API answered, or the context's error, together
	// with what the API answered last where that was a failure.
	Err error
}

// ErrFailedState is returned for a CVM whose status does not lead to the one waited for.
var ErrFailedState = errors.New("the status does not lead there")

func (e *WaitError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "cvm %s waiting for %s", e.CVM, e.Target)
	if s := e.State; s != nil {
		fmt.Fprintf(&b, ", which is %s", cloudtext.Clean(string(s.Status)))
		if s.BootProgress != "" {
			fmt.Fprintf(&b, " (%s)", cloudtext.Clean(s.BootProgress))
		}
		if s.BootError != "" {
			fmt.Fprintf(&b, ": %s", cloudtext.Clean(s.BootError))
		}
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap returns Err.
func (e *WaitError) Unwrap() error { return e.Err }

// WaitOption changes how [CVMsService.WaitFor], [CVMsService.WaitIdle] and [Client.WaitAll] wait.
type WaitOption func(*waitConfig) error

type waitConfig struct {
	interval time.Duration
	polling  bool
	progress func(StateEvent)
}

func newWaitConfig(opts []WaitOption) (*waitConfig, error) {
	cfg := &waitConfig{interval: 3 * time.Second, progress: func(StateEvent) {}}
	for _, o := range opts {
		if o == nil {
			return nil, errors.New("wait: nil option")
		}
		if err := o(cfg); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// WithWaitProgress calls fn with each state that is seen, from the goroutine that waits.
func WithWaitProgress(fn func(StateEvent)) WaitOption {
	return func(c *waitConfig) error {
		if fn == nil {
			return errors.New("wait: no function for the progress")
		}
		c.progress = fn
		return nil
	}
}

// WithPollInterval sets how often to ask where the stream cannot be used, or has ended; 3 seconds without
// it. While nothing changes a wait asks up to five times slower.
func WithPollInterval(d time.Duration) WaitOption {
	return func(c *waitConfig) error {
		if d <= 0 {
			return fmt.Errorf("wait: poll interval %s, want more than 0", d)
		}
		c.interval = d
		return nil
	}
}

// WithPolling sets a wait to poll instead of using a stream.
func WithPolling() WaitOption {
	return func(c *waitConfig) error {
		c.polling = true
		return nil
	}
}

// waiter waits for one CVM.
type waiter struct {
	*waitConfig
	cvms    *CVMsService
	cvm     string
	target  openapi.CVMStatus
	last    *openapi.CVMState
	failure error // of the last question, until an answer
}

// maxFollowFailures is how many connections in a row may fail before a wait asks instead.
const maxFollowFailures = 2

// WaitFor returns when a CVM has the status and no operation runs on it any more. It follows the stream of
// states, and asks where there is none or all streams are in use. A CVM that went another way, the end of
// the context and a refusal of the API are a [*WaitError] with the last state. Waiting for "deleted" ends
// when the CVM is gone.
func (s *CVMsService) WaitFor(ctx context.Context, cvmID string, target openapi.CVMStatus, opts ...WaitOption) error {
	if err := checkTarget(target); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	cfg, err := newWaitConfig(opts)
	if err != nil {
		return err
	}
	w := &waiter{waitConfig: cfg, cvms: s, cvm: cvmID, target: target}
	if !w.polling {
		w.follow(ctx)
	}
	return w.poll(ctx, w.reached)
}

// follow uses the stream until it says that the target is reached, or something else that needs a look.
// Whatever ends it, the CVM itself is asked then.
func (w *waiter) follow(ctx context.Context) {
	o, _ := WatchOptions{Target: w.target}.check()
	stream := watch{
		client: w.cvms.client, cvm: w.cvm, options: o, opts: []CallOption{WithoutRetry()},
		maxFailures: maxFollowFailures, impatient: true,
	}
	stream.run(ctx, func(event StateEvent, err error) bool {
		if err != nil || event.Type == EventComplete {
			return false
		}
		w.see(event.State)
		return !failed(event.State.Status, w.target)
	})
}

// poll asks until the CVM has settled, as over says.
func (w *waiter) poll(ctx context.Context, over func(context.Context) (bool, error)) error {
	pace := newPace(w.interval)
	for ctx.Err() == nil {
		before := w.last
		done, err := over(ctx)
		if done || err != nil {
			return err
		}
		if sleep(ctx, pace.pause(w.last != before)) != nil {
			<-ctx.Done()
		}
	}
	return w.fail(endOf(ctx, w.failure))
}

// reached asks once, and says whether waiting is over.
func (w *waiter) reached(ctx context.Context) (over bool, err error) {
	cvm, err := w.get(ctx)
	switch {
	case w.target == openapi.CVMDeleted && errors.Is(err, ErrNotFound):
		return true, nil
	case cvm == nil:
		return false, err
	}
	busy := isBusy(cvm)
	if cvm.Status == w.target && !busy {
		w.see(openapi.CVMState{Status: cvm.Status})
		return true, nil
	}
	if w.last == nil || w.last.Status != cvm.Status || failed(cvm.Status, w.target) {
		w.see(w.describe(ctx, cvm.Status))
	}
	if !busy && failed(cvm.Status, w.target) {
		return false, w.fail(ErrFailedState)
	}
	return false, nil
}

// get asks for the CVM. It gives neither a CVM nor an error where asking again may help; the context bounds
// how often.
func (w *waiter) get(ctx context.Context) (*openapi.CVMDetail, error) {
	cvm, err := w.cvms.Get(ctx, w.cvm)
	if err == nil {
		w.failure = nil
		return cvm, nil
	}
	if ctx.Err() == nil && isPermanent(err) {
		return nil, w.fail(err)
	}
	if ctx.Err() == nil || isAnswer(err) {
		w.failure = err
	}
	return nil, nil
}

// describe asks for the boot texts, which the CVM itself does not carry.
func (w *waiter) describe(ctx context.Context, status openapi.CVMStatus) openapi.CVMState {
	if state, err := w.cvms.GetState(ctx, w.cvm, nil); err == nil {
		state.Status = status
		return *state
	}
	return openapi.CVMState{Status: status}
}

func (w *waiter) see(s openapi.CVMState) {
	w.last = &s
	w.progress(StateEvent{CVM: w.cvm, Type: EventState, State: s})
}

func (w *waiter) fail(err error) error {
	return &WaitError{CVM: w.cvm, Target: string(w.target), State: w.last, Err: err}
}

// isBusy reports whether an operation runs on a CVM. Where an answer does not say so, its status does.
func isBusy(cvm *openapi.CVMDetail) bool {
	if cvm.InProgress != nil {
		return *cvm.InProgress
	}
	return cvm.Progress != nil || transient(cvm.Status)
}

// transient reports whether a status is followed by another one by itself.
func transient(status openapi.CVMStatus) bool {
	switch status {
	case openapi.CVMPending, openapi.CVMCreated, openapi.CVMCreating, openapi.CVMProvisioning, openapi.CVMUpdating, openapi.CVMDeleting:
		return true
	}
	for _, prefix := range []string{"starting", "stopping", "shutting", "restarting"} {
		if strings.HasPrefix(string(status), prefix) {
			return true
		}
	}
	return false
}

// failed reports whether a status does not lead to the target by itself.
func failed(status, target openapi.CVMStatus) bool {
	switch {
	case status == target:
		return false
	case status == openapi.CVMError || status == openapi.CVMFailed:
		return true
	case strings.HasPrefix(string(status), "delet"):
		return target != openapi.CVMDeleted
	case target == openapi.CVMRunning:
		return status == openapi.CVMExited || status == openapi.CVMStopped
	case target == openapi.CVMStopped:
		return status == openapi.CVMExited
	}
	return false
}

// checkTarget refuses a status that no CVM ever has, for which a wait would last for ever.
func checkTarget(target openapi.CVMStatus) error {
	if target == "" {
		return errors.New("no target status")
	}
	if !target.Known() {
		return fmt.Errorf("target status %.40q: want one of %v", string(target), openapi.CVMStatuses())
	}
	return nil
}
