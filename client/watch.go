package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/phala-go/phala/internal/sse"
	"github.com/phala-go/phala/openapi"
)

// maxStreams is how many streams the API serves one user at a time.
const maxStreams = 5

// The bounds of the API on a stream.
const (
	minInterval = 5 * time.Second
	maxInterval = 30 * time.Second
	minStream   = 10 * time.Second
	maxStream   = 600 * time.Second
)

// maxWatchFailures is how many connections in a row may fail without an event before a watch gives up.
const maxWatchFailures = 8

// WatchOptions says how to follow a CVM.
type WatchOptions struct {
	// Target ends the watch when the CVM has this status, such as "running". It is required.
	Target string
	// Interval is how often the API looks at the CVM: 5 to 30 seconds, 5 where it is 0.
	Interval time.Duration
	// Timeout is how long the API keeps one connection: 10 to 600 seconds, 300 where it is 0. A watch
	// connects anew after it.
	Timeout time.Duration
	// IdleTimeout is how long a connection may be silent before it counts as broken; where it is 0, three
	// intervals and 30 seconds more.
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
	switch {
	case o.Target == "":
		return o, errors.New("watch: no target status")
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
	EventState    = "state"    // what the CVM is doing
	EventComplete = "complete" // the target is reached; the last event
)

// StateEvent is what a watch sees.
type StateEvent struct {
	// Type is [EventState] or [EventComplete].
	Type string
	// State is what the CVM is doing; of a complete event only its Status is set.
	State openapi.CVMState
}

// Watch follows a CVM until it has the status of the options, as the API streams it. It yields each state
// and at last a complete event. Where the connection breaks, is silent or ends without that event it
// connects anew, with growing pauses. What connecting anew cannot mend (a refused key, an unknown CVM, eight
// failures in a row) and the end of the context are yielded as an error, once.
//
// The sequence can be ranged over more than once; each time it connects. Breaking off closes the connection.
// A client has at most five streams at a time, as many as the API serves one user; more wait for their turn.
func (s *CVMsService) Watch(ctx context.Context, cvmID string, o WatchOptions, opts ...CallOption) iter.Seq2[StateEvent, error] {
	return func(yield func(StateEvent, error) bool) {
		o, err := o.check()
		if err != nil {
			yield(StateEvent{}, err)
			return
		}
		w := watch{client: s.client, cvm: cvmID, options: o, opts: opts}
		for {
			done, err := w.connect(ctx, yield)
			if done {
				return
			}
			if ctx.Err() != nil {
				yield(StateEvent{}, context.Cause(ctx))
				return
			}
			if err != nil {
				w.failures++
			}
			if err != nil && (isPermanent(err) || w.failures >= maxWatchFailures) {
				yield(StateEvent{}, err)
				return
			}
			if sleep(ctx, w.pause()) != nil {
				<-ctx.Done()
			}
		}
	}
}

// errInterrupted is a connection that ended without saying why.
var errInterrupted = errors.New("the stream ended before the target was reached")

// isPermanent tells failures that connecting anew cannot mend.
func isPermanent(err error) bool {
	var api *APIError
	if errors.As(err, &api) {
		switch api.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusConflict:
			return false
		}
		return api.StatusCode < 500
	}
	var large *sse.TooLargeError
	var noStream *notStreamError
	return errors.As(err, &large) || errors.As(err, &noStream) || errors.Is(err, ErrNoAPIKey) ||
		errors.Is(err, ErrRoute) || errors.Is(err, openapi.ErrPathParam) || isFinalTransport(err)
}

// notStreamError says that the API answered a watch with something else than a stream.
type notStreamError struct{ media string }

func (e *notStreamError) Error() string {
	return fmt.Sprintf("the API answered %q where a stream of events was asked for", e.media)
}

type watch struct {
	client   *Client
	cvm      string
	options  WatchOptions
	opts     []CallOption
	failures int // in a row, without an event between
	asked    time.Duration
	lastID   string
}

// pause is how long to wait before connecting anew; nothing after a connection that ended in order.
func (w *watch) pause() time.Duration {
	if w.failures == 0 {
		return 0
	}
	return max(w.asked, jitter(w.client.config.retry.bound(w.failures)))
}

// connect follows one connection to its end. done says that nothing more is to be yielded.
func (w *watch) connect(ctx context.Context, yield func(StateEvent, error) bool) (done bool, err error) {
	select {
	case w.client.watchers <- struct{}{}:
		defer func() { <-w.client.watchers }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	idle := time.AfterFunc(w.options.IdleTimeout, func() { cancel(errIdle) })
	defer idle.Stop()

	resp, err := w.open(ctx)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if media := mediaType(resp.Header); media != eventStream {
		return false, &notStreamError{media}
	}
	reader := sse.NewReader(resp.Body, 0)
	for {
		raw, readErr := reader.Next()
		w.asked, w.lastID = reader.Retry(), reader.LastID()
		if readErr != nil {
			if cause := context.Cause(ctx); cause != nil {
				readErr = cause
			}
			if errors.Is(readErr, io.EOF) && err == nil {
				readErr = errInterrupted
			}
			if err != nil {
				return false, err
			}
			return false, fmt.Errorf("watch of cvm %s: %w", w.cvm, readErr)
		}
		idle.Reset(w.options.IdleTimeout)
		switch raw.Name {
		case EventState, EventComplete:
			event := StateEvent{Type: raw.Name}
			if jsonErr := json.Unmarshal(raw.Data, &event.State); jsonErr != nil {
				return false, fmt.Errorf("watch of cvm %s: an event that cannot be read: %w", w.cvm, jsonErr)
			}
			w.failures = 0
			if !yield(event, nil) || raw.Name == EventComplete {
				return true, nil
			}
		case "timeout":
			// The API has kept the connection for as long as it was asked to.
			w.failures = 0
			return false, nil
		case "error":
			// What follows may still be good; if it is not, this is why.
			err = fmt.Errorf("watch of cvm %s: the API reports: %s", w.cvm, streamError(raw.Data))
		}
	}
}

var errIdle = fmt.Errorf("the stream was silent for too long: %w", context.DeadlineExceeded)

func (w *watch) open(ctx context.Context) (*http.Response, error) {
	opts := w.opts
	if w.lastID != "" {
		opts = append(opts[:len(opts):len(opts)], WithHeader("Last-Event-ID", w.lastID))
	}
	req, err := openapi.NewCVMsGetStateRequest(w.client.server, cvmPath(w.cvm), &openapi.CVMsGetStateParams{
		Target:   &w.options.Target,
		Interval: openapi.Ptr(int(w.options.Interval / time.Second)),
		Timeout:  openapi.Ptr(int(w.options.Timeout / time.Second)),
	})
	return w.client.stream(ctx, opCVMsGetState, opts, req, err)
}

func streamError(data []byte) string {
	var body struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(data, &body)
	switch {
	case body.Message != "":
		return clean(body.Message)
	case body.Error != "":
		return clean(body.Error)
	}
	return "an error without a text"
}
