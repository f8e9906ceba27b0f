package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func sseReply(body io.Reader) *http.Response {
	r := reply(200, "", "Content-Type", "text/event-stream; charset=utf-8")
	r.Body, r.ContentLength = io.NopCloser(body), -1
	return r
}

func state(status string) string {
	return fmt.Sprintf("event: state\ndata: {\"status\":%q}\n\n", status)
}

const complete = "event: complete\ndata: {\"status\":\"running\",\"elapsed\":3,\"target\":\"running\"}\n\n"

// script answers each connection with the next of its parts.
type script struct {
	parts   []func(*http.Request) (*http.Response, error)
	queries []string
	ids     []string
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.queries = append(s.queries, r.URL.RawQuery)
	s.ids = append(s.ids, r.Header.Get("Last-Event-ID"))
	if len(s.parts) == 0 {
		return nil, errors.New("no more parts")
	}
	part := s.parts[0]
	s.parts = s.parts[1:]
	return part(r)
}

func stream(text string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return sseReply(strings.NewReader(text)), nil }
}

func status(code int) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return reply(code, "{}"), nil }
}

// watchAll collects what a watch of "running" yields.
func watchAll(t *testing.T, s *script, o WatchOptions) (seen []string, err error) {
	t.Helper()
	c := newTest(t, s.RoundTrip, WithoutRetry())
	o.Target = "running"
	for e, watchErr := range c.CVMs.Watch(t.Context(), "web-1", o) {
		if watchErr != nil {
			err = watchErr
			continue
		}
		seen = append(seen, e.Type+" "+e.State.Status)
	}
	return seen, err
}

func TestWatch(t *testing.T) {
	torn := func(*http.Request) (*http.Response, error) {
		return sseReply(io.MultiReader(strings.NewReader(state("b")), errReader{io.ErrUnexpectedEOF})), nil
	}
	type parts = []func(*http.Request) (*http.Response, error)
	for name, tt := range map[string]struct {
		parts parts
		want  []string
		err   string
	}{
		"to the end":         {parts{stream(state("starting") + complete)}, []string{"state starting", "complete running"}, ""},
		"nothing after it":   {parts{stream(complete + state("x"))}, []string{"complete running"}, ""},
		"interrupted":        {parts{stream(state("a")), torn, stream(complete)}, []string{"state a", "state b", "complete running"}, ""},
		"server's timeout":   {parts{stream(state("a") + "event: timeout\ndata: {\"error\":\"timeout\"}\n\n"), stream(complete)}, []string{"state a", "complete running"}, ""},
		"error, then good":   {parts{stream("event: error\ndata: {\"error\":\"x\"}\n\n" + complete)}, []string{"complete running"}, ""},
		"error, then again":  {parts{stream("event: error\ndata: {\"error\":\"x\"}\n\n"), stream(complete)}, []string{"complete running"}, ""},
		"busy server":        {parts{status(429), status(503), stream(complete)}, []string{"complete running"}, ""},
		"unknown events":     {parts{stream("event: new\ndata: x\n\n: keep-alive\n\n" + complete)}, []string{"complete running"}, ""},
		"refused key":        {parts{status(401), stream(complete)}, nil, "401"},
		"unknown CVM":        {parts{status(404), stream(complete)}, nil, "404"},
		"bad options":        {parts{status(422), stream(complete)}, nil, "422"},
		"not a stream":       {parts{func(*http.Request) (*http.Response, error) { return reply(200, cvmJSON), nil }, stream(complete)}, nil, `answered "application/json"`},
		"not JSON":           {parts{stream("event: state\ndata: {\n\n"), stream(complete)}, []string{"complete running"}, ""},
		"always failing":     {nil, nil, "no more parts"},
		"an event too large": {parts{stream("data: " + strings.Repeat("x", 2<<20) + "\n\n"), stream(complete)}, nil, "more than 1048576 bytes"},
		"eight and no more":  {parts{status(500), status(500), status(500), status(500), status(500), status(500), status(500), status(500), stream(complete)}, nil, "500"},
		"events reset count": {parts{status(500), status(500), status(500), status(500), stream(state("a")), status(500), status(500), status(500), status(500), status(500), status(500), stream(complete)}, []string{"state a", "complete running"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &script{parts: tt.parts}
				seen, err := watchAll(t, s, WatchOptions{})
				assert.Equal(t, tt.want, seen)
				if tt.err != "" {
					require.ErrorContains(t, err, tt.err)
				} else {
					require.NoError(t, err)
					assert.Empty(t, s.parts)
				}
				assert.Equal(t, "target=running&interval=5&timeout=300", s.queries[0])
			})
		})
	}
}

func TestWatchOptionsAreCheckedBeforeSending(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, errors.New("sent") })
	for want, o := range map[string]WatchOptions{
		"no target":    {},
		"interval 4s":  {Target: "running", Interval: 4 * time.Second},
		"interval 31s": {Target: "running", Interval: 31 * time.Second},
		"interval 5.5": {Target: "running", Interval: 5500 * time.Millisecond},
		"timeout 9s":   {Target: "running", Timeout: 9 * time.Second},
		"timeout 10m1": {Target: "running", Timeout: 601 * time.Second},
		"idle":         {Target: "running", IdleTimeout: -1},
	} {
		yields := 0
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", o) {
			yields++
			require.ErrorContains(t, err, want)
		}
		assert.Equal(t, 1, yields)
	}
}

func TestWatchCanBeRangedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return sseReply(strings.NewReader(complete)), nil })
		events := c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"})
		for range 3 {
			n := 0
			for _, err := range events {
				require.NoError(t, err)
				n++
			}
			assert.Equal(t, 1, n)
		}
	})
}

func TestWatchTellsWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{parts: []func(*http.Request) (*http.Response, error){
			stream("id: 7\nretry: 20000\n" + state("a")), stream(complete),
		}}
		began := time.Now()
		_, err := watchAll(t, s, WatchOptions{})
		require.NoError(t, err)
		assert.Equal(t, []string{"", "7"}, s.ids)
		assert.GreaterOrEqual(t, time.Since(began), 20*time.Second, "the pause that the stream asks for")
	})
}

// hang is a body that says something and then nothing more until it is closed.
type hang struct {
	text   *strings.Reader
	done   <-chan struct{}
	closed *atomic.Int32
}

func (h hang) Read(p []byte) (int, error) {
	if n, err := h.text.Read(p); err == nil {
		return n, nil
	}
	<-h.done
	return 0, context.Canceled
}

func (h hang) Close() error { h.closed.Add(1); return nil }

func hanging(text string, closed *atomic.Int32) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		resp := sseReply(nil)
		resp.Body = hang{strings.NewReader(text), r.Context().Done(), closed}
		return resp, nil
	}
}

func TestASilentStreamIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		s := &script{parts: []func(*http.Request) (*http.Response, error){hanging(state("a"), &closed), stream(complete)}}
		began := time.Now()
		seen, err := watchAll(t, s, WatchOptions{})
		require.NoError(t, err)
		assert.Equal(t, []string{"state a", "complete running"}, seen)
		assert.GreaterOrEqual(t, time.Since(began), 45*time.Second, "longer than the timeout of an attempt would allow it to last")
		assert.EqualValues(t, 1, closed.Load())
	})
}

func TestAStreamIsNotCutByTheTimeoutOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			pr, pw := io.Pipe()
			go func() {
				for range 10 {
					time.Sleep(20 * time.Second)
					if _, err := io.WriteString(pw, state("starting")); err != nil {
						return
					}
				}
				_, _ = io.WriteString(pw, complete)
				_ = pw.Close()
			}()
			return sseReply(pr), nil
		}, WithTimeout(time.Second))
		n := 0
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"}) {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 11, n)
	})
}

func TestBreakingOffClosesTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		c := newTest(t, hanging(state("a"), &closed))
		for range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"}) {
			break
		}
		assert.EqualValues(t, 1, closed.Load())
		assert.Empty(t, c.watchers)
	})
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Int32
		c := newTest(t, hanging(state("a"), &closed))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var last error
		for _, err := range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running"}) {
			last = err
		}
		require.ErrorIs(t, last, context.DeadlineExceeded)
		assert.EqualValues(t, 1, closed.Load())
	})
}

func TestAtMostFiveStreamsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := 0
		var closed atomic.Int32
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			open++
			return hanging(state("a"), &closed)(r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		for range 8 {
			go func() {
				for range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running", IdleTimeout: time.Hour}) {
				}
			}()
			synctest.Wait()
		}
		assert.Equal(t, maxStreams, open)
		cancel()
		synctest.Wait()
		assert.EqualValues(t, maxStreams, closed.Load())
	})
}

// fake answers Get, GetState and the stream from a list of states, one a request.
type fake struct {
	stream   func(*http.Request) (*http.Response, error)
	statuses []string // "running!" is busy
	asked    int
}

func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Query().Has("target") {
		return f.stream(r)
	}
	if strings.HasSuffix(r.URL.Path, "/state") {
		return reply(200, `{"status":"x","boot_progress":"pulling","boot_error":"no such image"}`), nil
	}
	s := f.statuses[min(f.asked, len(f.statuses)-1)]
	f.asked++
	if s == "404" {
		return reply(404, "{}"), nil
	}
	plain, busy := strings.CutSuffix(s, "!")
	return reply(200, fmt.Sprintf(`{"id":"cvm_1","name":"web-1","status":%q,"in_progress":%t,"resource":{},"gateway":{}}`, plain, busy)), nil
}

func TestWaitFor(t *testing.T) {
	noStream := status(501)
	for name, tt := range map[string]struct {
		target   string
		stream   func(*http.Request) (*http.Response, error)
		statuses []string
		err      error
		shows    string
	}{
		"by stream":              {"running", stream(state("starting") + complete), []string{"running"}, nil, ""},
		"busy a while longer":    {"running", stream(complete), []string{"running!", "running!", "running"}, nil, ""},
		"by asking":              {"running", noStream, []string{"created!", "starting!", "running!", "running"}, nil, ""},
		"fails on the stream":    {"running", stream(state("error")), []string{"error"}, ErrFailedState, "which is error (pulling): no such image"},
		"an error that passes":   {"running", stream(state("error")), []string{"error!", "running"}, nil, ""},
		"fails while asked":      {"running", noStream, []string{"starting!", "error"}, ErrFailedState, "no such image"},
		"stopped instead":        {"running", noStream, []string{"stopped"}, ErrFailedState, "stopped"},
		"gone":                   {"running", noStream, []string{"404"}, ErrNotFound, "404"},
		"deleted":                {"deleted", noStream, []string{"deleting!", "404"}, nil, ""},
		"deleted, by stream":     {"deleted", status(404), nil, nil, ""},
		"unknown from the start": {"running", status(404), nil, ErrNotFound, "404"},
		"refused":                {"running", status(401), nil, ErrUnauthorized, "401"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{stream: tt.stream, statuses: tt.statuses}
				c := newTest(t, f.RoundTrip)
				var seen []string
				err := c.CVMs.WaitFor(t.Context(), "web-1", tt.target, WithWaitProgress(func(e StateEvent) { seen = append(seen, e.State.Status) }))
				if tt.err == nil {
					require.NoError(t, err)
					return
				}
				var wait *WaitError
				require.ErrorAs(t, err, &wait)
				require.ErrorIs(t, err, tt.err)
				assert.Contains(t, err.Error(), tt.shows)
				assert.Equal(t, tt.target, wait.Target)
			})
		})
	}
}

func TestWaitForEndsWithItsContext(t *testing.T) {
	for _, opts := range [][]WaitOption{nil, {WithPolling()}, {WithPolling(), WithPollInterval(time.Hour)}} {
		synctest.Test(t, func(t *testing.T) {
			var closed atomic.Int32
			c := newTest(t, (&fake{stream: hanging(state("starting"), &closed), statuses: []string{"starting!"}}).RoundTrip)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			began := time.Now()
			err := c.CVMs.WaitFor(ctx, "web-1", "running", opts...)
			var wait *WaitError
			require.ErrorAs(t, err, &wait)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.NotNil(t, wait.State)
			assert.Equal(t, "starting", wait.State.Status)
			assert.Equal(t, 20*time.Second, time.Since(began))
		})
	}
}

func TestWaitOptions(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, errors.New("sent") })
	require.ErrorContains(t, c.CVMs.WaitFor(t.Context(), "web-1", ""), "no target")
	require.ErrorContains(t, c.CVMs.WaitFor(t.Context(), "web-1", "running", WithPollInterval(0)), "poll interval")
	require.ErrorContains(t, c.CVMs.WaitFor(t.Context(), "web-1", "running", WithWaitProgress(nil)), "no function")
	err := newTest(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("sent") }).CVMs.WaitFor(t.Context(), "..", "running")
	require.ErrorIs(t, err, openapi.ErrPathParam)
}
