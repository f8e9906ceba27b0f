package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/openapi"
)

// WaitError is returned if a CVM did not reach the target status.
type WaitError struct {
	// CVM is the identifier that was given.
	CVM string
	// Target is the [openapi.CVMStatus] that was waited for, or "idle" for [CVMsService.WaitIdle].
	Target string
	// State is the last known state, with the guest's boot texts; nil if there is none.
	State *openapi.CVMState
	// Err is the cause: [ErrFailedState], an error response of the API, or the context's error together with the last
	// failure.
	Err error
}

// ErrFailedState is returned if the status of a CVM does not lead to the target.
var ErrFailedState = errors.New("the status does not lead to the target")

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

// WaitOption configures [CVMsService.WaitFor], [CVMsService.WaitIdle] and [Client.WaitAll].
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

// WithWaitProgress calls fn with each new state, in the goroutine that waits.
func WithWaitProgress(fn func(StateEvent)) WaitOption {
	return func(c *waitConfig) error {
		if fn == nil {
			return errors.New("wait: no function for the progress")
		}
		c.progress = fn
		return nil
	}
}

// WithPollInterval sets the interval of polling, which is used if there is no stream or it has ended. The default is
// 3 seconds. While nothing changes, the interval grows up to five times.
func WithPollInterval(d time.Duration) WaitOption {
	return func(c *waitConfig) error {
		if d <= 0 {
			return fmt.Errorf("wait: poll interval %s, want more than 0", d)
		}
		c.interval = d
		return nil
	}
}

// WithPolling makes a wait poll instead of using a stream.
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
	failure error // of the last request, until one succeeds
}

// maxFollowFailures is the number of consecutive connections that may fail before a wait polls instead.
const maxFollowFailures = 2

// WaitFor returns when a CVM has the target status and no operation runs on it any more. It follows the stream of
// states, and polls if there is no stream or all streams are in use. It returns a [*WaitError] with the last state if
// the status does not lead to the target, the context ends or the API refuses the call. Waiting for "deleted" ends
// when the CVM no longer exists.
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

// follow reads the stream until it reports the target or a failed status. The caller polls the CVM afterwards.
func (w *waiter) follow(ctx context.Context) {
	o, _ := WatchOptions{Target: w.target}.check()
	stream := watch{
		client: w.cvms.client, cvm: w.cvm, options: o, opts: []CallOption{WithoutRetry()},
		maxFailures: maxFollowFailures, failFast: true,
	}
	stream.run(ctx, func(event StateEvent, err error) bool {
		if err != nil || event.Type == EventComplete {
			return false
		}
		w.observe(event.State)
		return !failed(event.State.Status, w.target)
	})
}

// poll calls over until it returns true or an error.
func (w *waiter) poll(ctx context.Context, over func(context.Context) (bool, error)) error {
	pace := newPace(w.interval)
	for ctx.Err() == nil {
		before := w.last
		done, err := over(ctx)
		if done || err != nil {
			return err
		}
		_ = pause.For(ctx, pace.next(w.last != before))
	}
	return w.fail(endOf(ctx, w.failure))
}

// reached requests the CVM once, and reports whether the wait is over.
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
		w.observe(openapi.CVMState{Status: cvm.Status})
		return true, nil
	}
	if w.last == nil || w.last.Status != cvm.Status || failed(cvm.Status, w.target) {
		w.observe(w.describe(ctx, cvm.Status))
	}
	if !busy && failed(cvm.Status, w.target) {
		return false, w.fail(ErrFailedState)
	}
	return false, nil
}

// get requests the CVM. It returns neither a CVM nor an error if a repetition may succeed; the context limits the
// number of repetitions.
func (w *waiter) get(ctx context.Context) (*openapi.CVMDetail, error) {
	cvm, err := w.cvms.Get(ctx, w.cvm)
	if err == nil {
		w.failure = nil
		return cvm, nil
	}
	if ctx.Err() == nil && isPermanent(err) {
		return nil, w.fail(err)
	}
	if ctx.Err() == nil || isAPIError(err) {
		w.failure = err
	}
	return nil, nil
}

// describe requests the boot texts, which the response of Get does not contain.
func (w *waiter) describe(ctx context.Context, status openapi.CVMStatus) openapi.CVMState {
	if state, err := w.cvms.GetState(ctx, w.cvm, nil); err == nil {
		state.Status = status
		return *state
	}
	return openapi.CVMState{Status: status}
}

func (w *waiter) observe(s openapi.CVMState) {
	w.last = &s
	w.progress(StateEvent{CVM: w.cvm, Type: EventState, State: s})
}

func (w *waiter) fail(err error) error {
	return &WaitError{CVM: w.cvm, Target: string(w.target), State: w.last, Err: err}
}

// isBusy reports whether an operation runs on a CVM. Without the field, the status determines it.
func isBusy(cvm *openapi.CVMDetail) bool {
	if cvm.InProgress != nil {
		return *cvm.InProgress
	}
	return cvm.Progress != nil || transient(cvm.Status)
}

// transient reports whether a status changes by itself.
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

// checkTarget refuses a status that no CVM ever has: a wait for it would never end.
func checkTarget(target openapi.CVMStatus) error {
	if target == "" {
		return errors.New("no target status")
	}
	if !target.Known() {
		return fmt.Errorf("target status %.40q: want one of %v", string(target), openapi.CVMStatuses())
	}
	return nil
}

// WaitIdle returns when no operation runs on a CVM any more, so that a call that changes it does not return
// [ErrBusy]. The result of the operation is not checked. It returns a [*WaitError] with the last state if the context
// ends or the API refuses the call, such as for a deleted CVM.
//
// Another operation may start at any time; [WithConflictWait] repeats the call itself.
func (s *CVMsService) WaitIdle(ctx context.Context, cvmID string, opts ...WaitOption) error {
	const target = "idle"
	cfg, err := newWaitConfig(opts)
	if err != nil {
		return err
	}
	w := &waiter{waitConfig: cfg, cvms: s, cvm: cvmID, target: target}
	return w.poll(ctx, w.idle)
}

// idle requests the CVM once, and reports whether the wait is over.
func (w *waiter) idle(ctx context.Context) (over bool, err error) {
	cvm, err := w.get(ctx)
	if cvm == nil {
		return false, err
	}
	if !isBusy(cvm) {
		w.observe(openapi.CVMState{Status: cvm.Status})
		return true, nil
	}
	if w.last == nil || w.last.Status != cvm.Status {
		w.observe(w.describe(ctx, cvm.Status))
	}
	return false, nil
}

// pace determines the pauses of a wait. The first pauses are short, for operations that end soon. They grow while
// nothing changes.
type pace struct {
	usual   time.Duration
	current time.Duration
}

const (
	// early is the factor by which the first pause is shorter.
	early = 8
	// maxSlower is the factor by which the longest pause is longer.
	maxSlower = 5
)

func newPace(usual time.Duration) *pace { return &pace{usual: usual, current: usual / early} }

// next returns the pause before the next request, a fifth more or less, so that many waits do not send at the same
// moment.
func (p *pace) next(changed bool) time.Duration {
	if changed {
		p.current = min(p.current, p.usual)
	}
	pause := p.current - p.current/5 + jitter(p.current/5*2)
	if p.current < p.usual {
		p.current = min(2*p.current, p.usual)
	} else {
		p.current = min(p.current+p.current/2, maxSlower*p.usual)
	}
	return pause
}
