package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

// fake answers Get, GetState and the stream from a list of states, one a request.
type fake struct {
	stream   func(*http.Request) (*http.Response, error)
	statuses []string // "running!" is busy, "running?" does not say
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
	switch s {
	case "401", "404", "503":
		code, _ := strconv.Atoi(s)
		return reply(code, "{}"), nil
	case "409":
		return reply(409, `{"error_code":"ERR-03-002","message":"two of that name"}`), nil
	}
	if plain, silent := strings.CutSuffix(s, "?"); silent {
		return reply(200, fmt.Sprintf(`{"id":"cvm_1","name":"web-1","status":%q,"resource":{},"gateway":{}}`, plain)), nil
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
		"deleted, by stream":     {"deleted", status(404), []string{"404"}, nil, ""},
		"unknown from the start": {"running", status(404), []string{"404"}, ErrNotFound, "404"},
		"refused":                {"running", status(401), []string{"401"}, ErrUnauthorized, "401"},
		"an ambiguous name":      {"running", status(404), []string{"409"}, ErrConflict, "ERR-03-002"},
		"a target of no stream":  {"deleted", status(422), []string{"deleting!", "404"}, nil, ""},
		"an outage that passes":  {"running", status(503), []string{"503", "503", "503", "503", "503", "503", "running"}, nil, ""},
		"no flag, by status":     {"stopped", noStream, []string{"stopping?", "stopped?"}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{stream: tt.stream, statuses: tt.statuses}
				c := newTest(t, f.RoundTrip)
				var seen []string
				err := c.CVMs.WaitFor(t.Context(), "web-1", openapi.CVMStatus(tt.target), WithWaitProgress(func(e StateEvent) { seen = append(seen, string(e.State.Status)) }))
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

func TestWaitFor_EndsWithItsContext(t *testing.T) {
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
			assert.EqualValues(t, "starting", wait.State.Status)
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

// A wait does not queue for a stream: it asks instead.
func TestWaitFor_PollsIfAllStreamsAreInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{stream: func(*http.Request) (*http.Response, error) { t.Error("a sixth stream"); return nil, errors.New("sent") }, statuses: []string{"starting!", "running"}}
		c := newTest(t, f.RoundTrip)
		for range maxStreams {
			c.watchers <- struct{}{}
		}
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
	})
}

// Where the streams fail a wait asks soon, and goes on asking.
func TestWaitFor_LeavesAFailingStreamSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := newTest(t, (&fake{stream: status(500), statuses: []string{"running"}}).RoundTrip, WithoutRetry())
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
		assert.Less(t, time.Since(began), 2*time.Second)
	})
}

// Streams that other programs of the user hold do not hold up a wait.
func TestWaitFor_DoesNotWaitForARefusedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		refused := 0
		f := &fake{stream: func(*http.Request) (*http.Response, error) {
			refused++
			return reply(429, "{}", "Retry-After", "30"), nil
		}, statuses: []string{"running"}}
		require.NoError(t, newTest(t, f.RoundTrip).CVMs.WaitFor(t.Context(), "web-1", "running"))
		assert.Equal(t, 1, refused)
		assert.Zero(t, time.Since(began))
	})
}

// A connection that breaks is no reason to ask: the stream goes on.
func TestWaitFor_GoesOnWithAStreamThatBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parts := []string{state("starting"), state("starting"), state("starting") + complete}
		f := &fake{statuses: []string{"running"}}
		f.stream = func(*http.Request) (*http.Response, error) {
			text := parts[0]
			parts = parts[1:]
			return sseReply(strings.NewReader(text)), nil
		}
		require.NoError(t, newTest(t, f.RoundTrip).CVMs.WaitFor(t.Context(), "web-1", "running"))
		assert.Empty(t, parts)
		assert.Equal(t, 1, f.asked)
	})
}

func TestWaitFor_KeepsTheFailureBeforeTheEndOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, (&fake{stream: status(503), statuses: []string{"starting!", "503"}}).RoundTrip)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := c.CVMs.WaitFor(ctx, "web-1", "running")
		var wait *WaitError
		require.ErrorAs(t, err, &wait)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, ErrServer)
		require.NotNil(t, wait.State)
		assert.EqualValues(t, "starting", wait.State.Status)
	})
}

func TestWaitIdle(t *testing.T) {
	for name, tt := range map[string]struct {
		statuses []string
		err      error
		seen     []string
	}{
		"at once":            {[]string{"running"}, nil, []string{"running"}},
		"after an update":    {[]string{"running!", "updating!", "updating!", "running"}, nil, []string{"running", "updating", "running"}},
		"a failure is idle":  {[]string{"starting!", "error"}, nil, []string{"starting", "error"}},
		"by status":          {[]string{"updating?", "running?"}, nil, []string{"updating", "running"}},
		"an outage":          {[]string{"503", "503", "503", "503", "503", "stopped"}, nil, []string{"stopped"}},
		"gone":               {[]string{"deleting!", "404"}, ErrNotFound, []string{"deleting"}},
		"a key that expires": {[]string{"updating!", "401"}, ErrUnauthorized, []string{"updating"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var seen []string
				f := &fake{stream: func(*http.Request) (*http.Response, error) { t.Error("a stream"); return nil, errors.New("sent") }, statuses: tt.statuses}
				err := newTest(t, f.RoundTrip).CVMs.WaitIdle(t.Context(), "web-1", WithWaitProgress(func(e StateEvent) {
					assert.Equal(t, "web-1", e.CVM)
					seen = append(seen, string(e.State.Status))
				}))
				assert.Equal(t, tt.seen, seen)
				if tt.err == nil {
					require.NoError(t, err)
					return
				}
				var wait *WaitError
				require.ErrorAs(t, err, &wait)
				require.ErrorIs(t, err, tt.err)
				assert.Equal(t, "idle", wait.Target)
			})
		})
	}
}

func TestWaitIdle_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		began := time.Now()
		err := newTest(t, (&fake{statuses: []string{"updating!"}}).RoundTrip).CVMs.WaitIdle(ctx, "web-1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "which is updating (pulling)")
		assert.Equal(t, 20*time.Second, time.Since(began))
	})
}

// Which statuses do not lead to a target by themselves.
func TestFailed(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"running": "stopped exited error failed deleting deleted",
		"stopped": "exited error failed deleting deleted",
		"deleted": "error failed",
		"error":   "failed deleting deleted",
	} {
		for _, status := range []string{
			"created", "creating", "provisioning", "starting", "running", "stopping", "shutting_down", "stopped", "restarting",
			"updating", "exited", "error", "failed", "deleting", "deleted", "unknown", "pending", "a status of next year",
		} {
			assert.Equal(t, strings.Contains(" "+want+" ", " "+status+" "), failed(openapi.CVMStatus(status), openapi.CVMStatus(target)), "%s, to be %s", status, target)
		}
	}
}

// The first questions come early; then asking slows down while nothing changes, and is quick again after a change.
func TestPace(t *testing.T) {
	t.Parallel()
	p := newPace(10 * time.Second)
	for _, want := range []float64{1.25, 2.5, 5, 10, 15, 22.5, 33.75, 50, 50} {
		assert.InDelta(t, want, p.next(false).Seconds(), want/5+1e-9)
	}
	assert.InDelta(t, 10, p.next(true).Seconds(), 2)
	assert.InDelta(t, 15, p.next(false).Seconds(), 3)
	drawn := map[time.Duration]bool{}
	for range 20 {
		drawn[p.next(true)] = true
	}
	assert.Greater(t, len(drawn), 1, "many waits do not ask at the same moment")
}

// A client has five streams. A wait that finds none free asks, and the first questions come early.
func TestWaitFor_AsksEarlyWhereNoStreamIsFree(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/state") && r.URL.Query().Has("target") {
				t.Error("a sixth stream")
			}
			status := "starting"
			if time.Since(began) >= time.Second {
				status = "running"
			}
			return reply(200, strings.Replace(cvmJSON, "running", status, 1)), nil
		})
		for range maxStreams {
			c.watchers <- struct{}{}
		}
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"))
		assert.Less(t, time.Since(began), 3*time.Second)
	})
}
