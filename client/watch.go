package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/sse"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/openapi"
)

// maxStreams is the number of concurrent streams that the API allows per user.
const maxStreams = 5

// The API's limits of a stream.
const (
	minInterval = 5 * time.Second
	maxInterval = 30 * time.Second
	minStream   = 10 * time.Second
	maxStream   = 600 * time.Second
)

// maxWatchFailures is the number of consecutive connections that may fail without an event before a watch returns the
// error.
const maxWatchFailures = 8

// The pauses before a new connection.
const (
	firstWatchPause = 500 * time.Millisecond
	maxWatchPause   = 10 * time.Second
)

// maxLastID limits the id that is sent back to a stream, in bytes; servers refuse headers of more than a few KiB.
const maxLastID = 1024

// WatchOptions sets how a CVM is followed.
type WatchOptions struct {
	// Target is the status at which the watch ends, such as "running". It is required.
	Target openapi.CVMStatus
	// Interval is the interval at which the API checks the CVM: 5 to 30 seconds; 0 means 5 seconds.
	Interval time.Duration
	// Timeout is the time for which the API keeps one connection: 10 to 600 seconds; 0 means 300 seconds. A watch
	// opens a new connection afterwards.
	Timeout time.Duration
	// IdleTimeout is how long a connection may send nothing, not even a comment, before it counts as broken; 0 means
	// three intervals and 30 seconds.
	IdleTimeout time.Duration
}

func (o WatchOptions) check() (WatchOptions, error) {
	if o.Interval == 0 {
		o.Interval = minInterval
	}
	if o.Timeout == 0 {
		o.Timeout = 300 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 3*o.Interval + 30*time.Second
	}
	if err := checkTarget(o.Target); err != nil {
		return o, fmt.Errorf("watch: %w", err)
	}
	switch {
	case o.Interval < minInterval || o.Interval > maxInterval || o.Interval%time.Second != 0:
		return o, fmt.Errorf("watch: interval %s, want whole seconds from %s to %s", o.Interval, minInterval, maxInterval)
	case o.Timeout < minStream || o.Timeout > maxStream || o.Timeout%time.Second != 0:
		return o, fmt.Errorf("watch: timeout %s, want whole seconds from %s to %s", o.Timeout, minStream, maxStream)
	case o.IdleTimeout < 0:
		return o, fmt.Errorf("watch: idle timeout %s, want more than 0", o.IdleTimeout)
	}
	return o, nil
}

// The types of a [StateEvent].
const (
	EventState    = "state"    // a state of the CVM
	EventComplete = "complete" // the target is reached; the last event
)

// StateEvent is an event of a watch or wait.
type StateEvent struct {
	// CVM is the identifier that was given to the watch or wait.
	CVM string
	// Type is [EventState] or [EventComplete].
	Type string
	// State is the state of the CVM; for a complete event only its Status is set.
	State openapi.CVMState
}

// Watch follows a CVM until it has the target status, over the API's stream. It yields each state and finally a
// complete event. If the connection breaks, sends nothing or ends without that event, Watch opens a new one after a
// growing pause, and sends the id of the last event. An error that a new connection cannot fix (a refused key, an
// unknown CVM, eight consecutive failures) and the end of the context, together with the failure before it, are
// yielded once.
//
// The sequence can be ranged over more than once; each time it opens a connection. Leaving the loop closes the
// connection. A client has at most five streams at a time, the API's limit per user; further watches wait for a free
// one.
func (s *CVMsService) Watch(ctx context.Context, cvmID string, o WatchOptions, opts ...CallOption) iter.Seq2[StateEvent, error] {
	return func(yield func(StateEvent, error) bool) {
		o, err := o.check()
		for _, opt := range opts {
			if err == nil {
				err = opt.applyCall(&callConfig{})
			}
		}
		if err != nil {
			yield(StateEvent{}, err)
			return
		}
		w := watch{client: s.client, cvm: cvmID, options: o, opts: opts, maxFailures: maxWatchFailures}
		w.run(ctx, yield)
	}
}

var (
	errInterrupted = errors.New("the stream ended before the target was reached")
	errNoStream    = errors.New("all streams are in use")
	errEvent       = errors.New("unreadable event") // the next connection may send valid ones
)

const streamOperation = "CVMs.GetState"

// undecodedStream returns the error of a stream that cannot be decoded.
func undecodedStream(err error) error {
	return &DecodeError{Operation: streamOperation, StatusCode: http.StatusOK, Err: err}
}

type watch struct {
	client      *Client
	cvm         string
	options     WatchOptions
	opts        []CallOption
	maxFailures int
	failFast    bool // stops if no stream is free or the API refuses one

	failures int           // consecutive, without an event between
	short    int           // consecutive connections that failed or ended early
	failure  error         // of the last connection, until an event
	began    time.Time     // of the stream; zero if there was none
	retry    time.Duration // the pause that the server requested
	lastID   string
}

// run opens connections until the target is reached, the caller stops, or a new connection cannot succeed.
func (w *watch) run(ctx context.Context, yield func(StateEvent, error) bool) {
	for {
		w.began = time.Time{}
		done, err := w.connect(ctx, yield)
		if done {
			return
		}
		w.count(err)
		if ctx.Err() == nil {
			if err != nil && (isPermanent(err) || w.failures >= w.maxFailures || w.failFast && isAPIError(err)) {
				yield(StateEvent{}, err)
				return
			}
			w.failure = err
			if pause.For(ctx, w.pause(err)) == nil {
				continue
			}
		}
		if isAPIError(err) {
			w.failure = err
		}
		yield(StateEvent{}, fmt.Errorf("watch of cvm %s: %w", w.cvm, endOf(ctx, w.failure)))
		return
	}
}

// count records how a connection ended, for the pause and the end of the watch.
func (w *watch) count(err error) {
	lasted := !w.began.IsZero() && time.Since(w.began) >= w.options.Interval
	if lasted {
		w.short = 0
	}
	if err != nil {
		w.failures++
	}
	if err != nil || !lasted {
		w.short++
	}
}

// pause returns the time before a new connection: nothing after a connection that ended in time, else half of it
// fixed and half random. The pause that the server requests is obeyed up to the time that it would have kept a
// connection.
func (w *watch) pause(err error) time.Duration {
	if w.short == 0 {
		return 0
	}
	requested := w.retry
	if api := (*APIError)(nil); errors.As(err, &api) {
		requested = max(requested, api.RetryAfter)
	}
	bound := RetryPolicy{BaseDelay: firstWatchPause, MaxDelay: maxWatchPause}.bound(w.short)
	return max(min(requested, w.options.Timeout), bound/2+jitter(bound/2))
}

// takeStream waits for one of the client's streams.
func (w *watch) takeStream(ctx context.Context) error {
	select {
	case w.client.watchers <- struct{}{}:
		return nil
	default:
	}
	if w.failFast {
		return errNoStream
	}
	select {
	case w.client.watchers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil { // select chooses at random if both are ready
		<-w.client.watchers
		return err
	}
	return nil
}

// connect reads one connection to its end. done reports that the watch is over.
func (w *watch) connect(ctx context.Context, yield func(StateEvent, error) bool) (done bool, err error) {
	if err := w.takeStream(ctx); err != nil {
		return false, err
	}
	defer func() { <-w.client.watchers }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	resp, err := w.open(ctx)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	w.began = time.Now()
	if media := mediaType(resp.Header); media != eventStream {
		return false, undecodedStream(fmt.Errorf("the API returned %q instead of an event stream", media))
	}
	overdue := time.AfterFunc(w.options.Timeout+w.options.IdleTimeout, func() { cancel(errOverdue) })
	defer overdue.Stop()
	reader := sse.NewReader(sse.IdleReader(resp.Body, w.options.IdleTimeout, func() { cancel(errIdle) }), 0)
	reader.Resume(w.lastID, w.retry)
	done, err = w.read(reader, yield)
	w.retry, w.lastID = reader.Retry(), reader.LastID()
	if err == nil {
		return done, nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return false, fmt.Errorf("watch of cvm %s: %w", w.cvm, err)
}

// read yields the events of one connection. Its error is nil if the server ended the connection in order.
func (w *watch) read(reader *sse.Reader, yield func(StateEvent, error) bool) (done bool, _ error) {
	var reported error
	var large *sse.TooLargeError
	for {
		raw, err := reader.Next()
		switch {
		case err == nil:
		case reported != nil:
			return false, reported
		case errors.Is(err, io.EOF):
			return false, errInterrupted
		case errors.As(err, &large):
			return false, &BodyTooLargeError{Operation: streamOperation, Limit: int64(large.Limit)}
		default:
			return false, err
		}
		switch raw.Name {
		case EventState, EventComplete:
			event := StateEvent{CVM: w.cvm, Type: raw.Name}
			if err := strictjson.Unmarshal(raw.Data, &event.State); err != nil {
				return false, undecodedStream(fmt.Errorf("%w: %w", errEvent, err))
			}
			w.failures, w.failure = 0, nil
			if !yield(event, nil) || raw.Name == EventComplete {
				return true, nil
			}
		case "timeout":
			// The API has kept the connection for the requested time.
			w.failures, w.failure = 0, nil
			return false, nil
		case "error":
			// Later events may still be good. If they are not, this is the reason.
			reported = fmt.Errorf("the API reports: %s", streamError(raw.Data))
		}
	}
}

var (
	errIdle    = fmt.Errorf("the stream sent nothing for too long: %w", context.DeadlineExceeded)
	errOverdue = fmt.Errorf("the stream did not end in the requested time: %w", context.DeadlineExceeded)
)

func (w *watch) open(ctx context.Context) (*http.Response, error) {
	opts := w.opts
	if w.lastID != "" && len(w.lastID) <= maxLastID && validHeaderValue(w.lastID) {
		opts = append(opts[:len(opts):len(opts)], WithHeader("Last-Event-ID", w.lastID))
	}
	req, err := openapi.NewCVMsGetStateRequest(w.client.server, cvmPath(w.cvm), &openapi.CVMsGetStateParams{
		Target:   openapi.Ptr(string(w.options.Target)),
		Interval: openapi.Ptr(int(w.options.Interval / time.Second)),
		Timeout:  openapi.Ptr(int(w.options.Timeout / time.Second)),
	})
	if err == nil {
		req.Header["Accept"] = []string{eventStream}
		req.Header["Cache-Control"] = []string{"no-cache"}
	}
	return w.client.call(opCVMsGetState, opts).open(ctx, req, err)
}

func streamError(data []byte) string {
	var body struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	_ = strictjson.Unmarshal(data, &body)
	switch {
	case body.Message != "":
		return cloudtext.Clean(body.Message)
	case body.Error != "":
		return cloudtext.Clean(body.Error)
	}
	return "an error without a text"
}
