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
		seen = append(seen, e.Type+" "+string(e.State.Status))
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
		"not a stream":       {parts{func(*http.Request) (*http.Response, error) { return reply(200, cvmJSON), nil }, stream(complete)}, nil, `returned "application/json"`},
		"not JSON":           {parts{stream("event: state\ndata: {\n\n"), stream(complete)}, []string{"complete running"}, ""},
		"always failing":     {nil, nil, "no more parts"},
		"always ending":      {parts{stream(""), stream(":\n\n"), stream(""), stream("event: x\n\n"), stream(""), stream(""), stream(""), stream(""), stream(complete)}, nil, "ended before the target was reached"},
		"an event too large": {parts{stream("data: " + strings.Repeat("x", 2<<20) + "\n\n"), stream(complete)}, nil, "longer than 1048576 bytes"},
		"eight and no more":  {parts{status(500), status(500), status(500), status(500), status(500), status(500), status(500), status(500), stream(complete)}, nil, "500"},
		"a final conflict": {parts{func(*http.Request) (*http.Response, error) {
			return reply(409, `{"error_code":"ERR-03-002","message":"two of that name"}`), nil
		}, stream(complete)}, nil, "ERR-03-002"},
		"a passing conflict": {parts{status(409), stream(complete)}, []string{"complete running"}, ""},
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

func TestWatchOptions_AreCheckedBeforeSending(t *testing.T) {
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

func TestWatch_CanBeRangedAgain(t *testing.T) {
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

func TestWatch_SendsTheLastEventID(t *testing.T) {
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

// The id of the last whole event is told on every connection, until the stream gives another.
func TestWatch_SendsTheIDOfTheLastWholeEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{parts: []func(*http.Request) (*http.Response, error){
			stream("id: 7\n" + state("a") + "id: 8\nevent: state\ndata: {}\n"),
			stream(state("b")),
			status(503),
			stream("id: 1\x01\n" + state("c")),
			stream("id: " + strings.Repeat("9", 2000) + "\n" + state("d")),
			stream("id\n" + complete),
		}}
		seen, err := watchAll(t, s, WatchOptions{})
		require.NoError(t, err)
		assert.Equal(t, []string{"", "7", "7", "7", "", ""}, s.ids, "torn, absent, unfit and too long ids")
		assert.Equal(t, []string{"state a", "state b", "state c", "state d", "complete running"}, seen)
	})
}

// A server that ends each connection at once is not asked in a busy loop, whatever it says.
func TestWatch_SlowsDownWhereConnectionsDoNotLast(t *testing.T) {
	for name, text := range map[string]string{
		"after an event": state("a"), "by its timeout": "event: timeout\ndata: {}\n\n", "both": state("a") + "event: timeout\ndata: {}\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return sseReply(strings.NewReader(text)), nil })
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
				defer cancel()
				var last error
				for _, err := range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running"}) {
					last = err
				}
				require.ErrorIs(t, last, context.DeadlineExceeded)
				assert.Less(t, sent, 10*60/5+10, "at least five seconds apart at last")
				assert.Greater(t, sent, 10*60/10-5)
			})
		})
	}
}

// A server that takes its time to fail has served nothing: the pauses grow all the same.
func TestWatch_SlowsDownWhereFailingTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			time.Sleep(6 * time.Second)
			return reply(500, "{}"), nil
		}, WithoutRetry())
		began := time.Now()
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"}) {
			require.ErrorIs(t, err, ErrServer)
		}
		assert.Greater(t, time.Since(began), 8*6*time.Second+17*time.Second)
	})
}

func TestWatch_ConnectsAtOnceAfterAConnectionThatLasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{parts: []func(*http.Request) (*http.Response, error){
			func(*http.Request) (*http.Response, error) {
				pr, pw := io.Pipe()
				go func() {
					_, _ = io.WriteString(pw, state("a"))
					time.Sleep(10 * time.Second)
					_, _ = io.WriteString(pw, "event: timeout\ndata: {}\n\n")
					_ = pw.Close()
				}()
				return sseReply(pr), nil
			}, stream(complete),
		}}
		began := time.Now()
		_, err := watchAll(t, s, WatchOptions{})
		require.NoError(t, err)
		assert.Equal(t, 10*time.Second, time.Since(began))
	})
}

func TestWatch_ObeysRetryAfterButNotForEver(t *testing.T) {
	for after, want := range map[string]time.Duration{"100": 100 * time.Second, "86400": 300 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := &script{parts: []func(*http.Request) (*http.Response, error){
				func(*http.Request) (*http.Response, error) { return reply(429, "{}", "Retry-After", after), nil }, stream(complete),
			}}
			began := time.Now()
			_, err := watchAll(t, s, WatchOptions{})
			require.NoError(t, err)
			assert.Equal(t, want, time.Since(began))
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := &script{parts: []func(*http.Request) (*http.Response, error){stream("retry: 2000000000\n" + state("a")), stream(complete)}}
		began := time.Now()
		_, err := watchAll(t, s, WatchOptions{})
		require.NoError(t, err)
		assert.Equal(t, 300*time.Second, time.Since(began), "no stream stops a watch for 23 days")
	})
}

// The context's end does not hide what kept the watch from going on.
func TestWatch_KeepsTheFailureBeforeTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, status(503))
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, errors.New("shutting down"))
		defer cancel()
		var last error
		for _, err := range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running"}, WithoutRetry()) {
			last = err
		}
		require.ErrorIs(t, last, context.DeadlineExceeded)
		require.ErrorIs(t, last, ErrServer)
		require.ErrorContains(t, last, "shutting down")
		require.ErrorContains(t, last, "web-1")
	})
}

// A refused option fails at once, not after eight attempts.
func TestWatch_ChecksItsCallOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, errors.New("sent") })
		began := time.Now()
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"}, WithHeader("X-Api-Key", "x")) {
			require.ErrorContains(t, err, "set by the client")
		}
		assert.Zero(t, time.Since(began))
	})
}

// What the API reports is told, in one line, where nothing better follows.
func TestWatch_ReturnsTheReportedError(t *testing.T) {
	for data, want := range map[string]string{
		`{"error":"boom","elapsed":3}`:            "the API reports: boom",
		`{"error":"x","message":"no\nsuch node"}`: "the API reports: no such node",
		`{}`: "an error without a text", `boom`: "an error without a text",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newTest(t, stream("event: error\ndata: "+data+"\n\n"))
			var last error
			for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"}) {
				last = err
			}
			require.ErrorContains(t, last, "watch of cvm web-1: ")
			require.ErrorContains(t, last, want)
		})
	}
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

func TestSilentStream_IsBroken(t *testing.T) {
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

// Comments are signs of life, and the time of the caller's loop is not the stream's.
func TestCommentedStream_IsNotBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opened := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			opened++
			pr, pw := io.Pipe()
			go func() {
				_, _ = io.WriteString(pw, state("starting"))
				for range 10 {
					time.Sleep(20 * time.Second)
					if _, err := io.WriteString(pw, ": keep-alive\n\n"); err != nil {
						return
					}
				}
				_, _ = io.WriteString(pw, complete)
				_ = pw.Close()
			}()
			return sseReply(pr), nil
		})
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running", IdleTimeout: 30 * time.Second}) {
			require.NoError(t, err)
			time.Sleep(90 * time.Second)
		}
		assert.Equal(t, 1, opened)
	})
}

// A proxy may keep a connection alive whose other end is gone.
func TestStream_ThatOutlivesItsTimeoutIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{parts: []func(*http.Request) (*http.Response, error){
			func(r *http.Request) (*http.Response, error) {
				pr, pw := io.Pipe()
				context.AfterFunc(r.Context(), func() { _ = pw.CloseWithError(r.Context().Err()) })
				go func() {
					for {
						if _, err := io.WriteString(pw, ":\n\n"); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				return sseReply(pr), nil
			}, stream(complete),
		}}
		began := time.Now()
		_, err := watchAll(t, s, WatchOptions{Timeout: time.Minute, IdleTimeout: 30 * time.Second})
		require.NoError(t, err)
		assert.InDelta(t, 90, time.Since(began).Seconds(), 2)
		time.Sleep(time.Second) // the writer sees that nobody reads any more
	})
}

func TestStream_IsNotCutByTheTimeoutOfAnAttempt(t *testing.T) {
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

func TestBreakingOff_ClosesTheStream(t *testing.T) {
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

func TestWatch_EndsWithItsContext(t *testing.T) {
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

func TestWatch_AtMostFiveStreamsAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := 0
		var closed atomic.Int32
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			open++
			return hanging(state("a"), &closed)(r)
		})
		ctx, cancel := context.WithCancel(t.Context())
		firstCtx, first := context.WithCancel(ctx)
		for i := range 8 {
			ctx := ctx
			if i == 0 {
				ctx = firstCtx
			}
			go func() {
				for range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running", IdleTimeout: time.Hour}) {
				}
			}()
			synctest.Wait()
		}
		assert.Equal(t, maxStreams, open)
		first()
		synctest.Wait()
		assert.Equal(t, maxStreams+1, open, "the next one has its turn")
		cancel()
		synctest.Wait()
		assert.EqualValues(t, maxStreams+1, closed.Load())
		assert.Equal(t, maxStreams+1, open, "who waits for a stream ends with its context, too")
	})
}
