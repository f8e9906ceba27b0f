package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/webhook"
)

func newHandler(t testing.TB, fn func(context.Context, webhook.Event) error, opts ...webhook.Option) http.Handler {
	t.Helper()
	h, err := webhook.Handler(secret, fn, opts...)
	require.NoError(t, err)
	return h
}

// post delivers body, signed now.
func post(h http.Handler, body []byte) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header = webhook.Sign(secret, body, time.Now())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler_CallsOnceForEachEvent(t *testing.T) {
	t.Parallel()
	var got []string
	h := newHandler(t, func(_ context.Context, event webhook.Event) error {
		got = append(got, event.ID)
		return nil
	})
	first := eventBody("evt_1", webhook.CVMCreated)
	assert.Equal(t, http.StatusNoContent, post(h, first).Code)
	again := post(h, first)
	assert.Equal(t, http.StatusOK, again.Code)
	assert.Equal(t, "handled before\n", again.Body.String())
	assert.Equal(t, http.StatusNoContent, post(h, eventBody("evt_2", "of.tomorrow")).Code, "unknown types pass")
	assert.Equal(t, []string{"evt_1", "evt_2"}, got)
}

func TestHandlerRefuses(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	for name, tt := range map[string]struct {
		change func(*http.Request)
		status int
		answer string
	}{
		"GET":           {func(r *http.Request) { r.Method = http.MethodGet }, 405, "want POST"},
		"PUT":           {func(r *http.Request) { r.Method = http.MethodPut }, 405, "want POST"},
		"no media type": {func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "want application/json"},
		"a form":        {func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, "want application/json"},
		"not signed":    {func(r *http.Request) { r.Header.Del(webhook.HeaderSignature) }, 401, "signature missing or wrong"},
		"another body":  {func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(`{"id":"evt_2"}`)) }, 401, "signature missing or wrong"},
		"white space added": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), strings.NewReader("\n")))
		}, 401, "signature missing or wrong"},
		"old": {func(r *http.Request) { r.Header = webhook.Sign(secret, body, time.Now().Add(-time.Hour)) }, 401, "signed too far from now"},
		"no event": {func(r *http.Request) {
			r.Header = webhook.Sign(secret, []byte(`{}`), time.Now())
			r.Body = io.NopCloser(strings.NewReader(`{}`))
		}, 400, "not an event"},
		"announced too long": {func(r *http.Request) { r.ContentLength = 2000 }, 413, "body: 2000 bytes, want at most 1000"},
		"too long": {func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(strings.Repeat("x", 1001))), -1
		}, 413, "body: more than 1000 bytes"},
		"broken off": {func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:9]), failingReader{}))
		}, 400, "body: broken off"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := newHandler(t, func(context.Context, webhook.Event) error {
				t.Error("called")
				return nil
			}, webhook.WithMaxBody(1000), webhook.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
			r.Header = webhook.Sign(secret, body, time.Now())
			tt.change(r)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			assert.Equal(t, tt.status, w.Code)
			assert.Equal(t, tt.answer+"\n", w.Body.String())
			if tt.status == http.StatusMethodNotAllowed {
				assert.Equal(t, "POST", w.Header().Get("Allow"))
			}
			assert.Contains(t, log.String(), "delivery refused")
			assert.NotContains(t, log.String(), secret)
		})
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestMediaTypeWithParameters(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header = webhook.Sign(secret, body, time.Now())
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	w := httptest.NewRecorder()
	newHandler(t, func(context.Context, webhook.Event) error { return nil }).ServeHTTP(w, r)
	assert.Equal(t, http.StatusNoContent, w.Code)
}

func TestFailure_IsHandledAgain(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	calls := 0
	h := newHandler(t, func(context.Context, webhook.Event) error {
		if calls++; calls == 1 {
			return errors.New("database is away")
		}
		return nil
	}, webhook.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	body := []byte(approvalBody)
	w := post(h, body)
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.Equal(t, "not handled\n", w.Body.String(), "the error is not shown")
	assert.Contains(t, log.String(), "database is away")
	assert.Contains(t, log.String(), "evt_00000000000000aa")
	assert.NotContains(t, log.String(), commitToken)
	assert.Equal(t, http.StatusNoContent, post(h, body).Code)
	assert.Equal(t, http.StatusOK, post(h, body).Code)
	assert.Equal(t, 2, calls)
}

func TestPanic_IsHandledAgain(t *testing.T) {
	t.Parallel()
	calls := 0
	h := newHandler(t, func(context.Context, webhook.Event) error {
		if calls++; calls == 1 {
			panic("mine")
		}
		return nil
	})
	body := eventBody("evt_1", webhook.CVMCreated)
	assert.PanicsWithValue(t, "mine", func() { post(h, body) }, "what panics is net/http's to report")
	assert.Equal(t, http.StatusNoContent, post(h, body).Code)
}

// A second delivery of an event that is being handled is told to come again: only the first knows how it ends.
func TestHandler_SameEventTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]error{"succeeds": nil, "fails": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int32
				h := newHandler(t, func(context.Context, webhook.Event) error {
					calls.Add(1)
					time.Sleep(time.Minute)
					return end
				})
				body := eventBody("evt_1", webhook.CVMCreated)
				first := make(chan int)
				go func() { first <- post(h, body).Code }()
				synctest.Wait()
				assert.Equal(t, http.StatusConflict, post(h, body).Code)
				assert.Equal(t, int32(1), calls.Load())
				code := <-first
				if end == nil {
					assert.Equal(t, http.StatusNoContent, code)
					assert.Equal(t, http.StatusOK, post(h, body).Code)
				} else {
					assert.Equal(t, http.StatusInternalServerError, code)
					assert.Equal(t, http.StatusInternalServerError, post(h, body).Code)
					assert.Equal(t, int32(2), calls.Load())
				}
			})
		})
	}
}

// A handled event stays handled for longer than the cloud tries, whatever the tolerance.
func TestHandler_RemembersEvents(t *testing.T) {
	t.Parallel()
	for _, tolerance := range []time.Duration{webhook.DefaultTolerance, 48 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			h := newHandler(t, func(context.Context, webhook.Event) error { calls++; return nil }, webhook.WithTolerance(tolerance))
			body := eventBody("evt_1", webhook.CVMCreated)
			deliver := func(at time.Time) int {
				r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
				r.Header = webhook.Sign(secret, body, at)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Code
			}
			signed := time.Now().Add(tolerance)
			assert.Equal(t, http.StatusNoContent, deliver(signed), "from a clock that is ahead")
			time.Sleep(2 * tolerance)
			assert.Equal(t, http.StatusOK, deliver(signed), "the last moment at which it can be repeated")
			time.Sleep(72 * time.Minute)
			assert.Equal(t, http.StatusOK, deliver(time.Now()), "the last attempt of the cloud")
			time.Sleep(tolerance + 2*time.Hour)
			assert.Equal(t, http.StatusNoContent, deliver(time.Now()), "it is not remembered for ever")
			assert.Equal(t, 2, calls)
		})
	}
}

func TestHandler_RespectsTheContext(t *testing.T) {
	t.Parallel()
	body := eventBody("evt_1", webhook.CVMCreated)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	h := newHandler(t, func(fnCtx context.Context, _ webhook.Event) error {
		calls++
		cancel() // the cloud hangs up meanwhile
		assert.ErrorIs(t, fnCtx.Err(), context.Canceled)
		return nil
	})
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
	r.Header = webhook.Sign(secret, body, time.Now())
	h.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, http.StatusOK, post(h, body).Code, "it succeeded all the same")

	late := eventBody("evt_2", webhook.CVMCreated)
	r = httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(late))
	r.Header = webhook.Sign(secret, late, time.Now())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	assert.Equal(t, http.StatusServiceUnavailable, w.Code, "never 2xx for what was not handled")
	assert.Equal(t, 1, calls)
}

// brokenStore fails as it is told.
type brokenStore struct {
	claim, finish, release error
	finished, released     int
	ended                  bool // the context of the last call had ended
}

func (s *brokenStore) Claim(context.Context, string) error { return s.claim }

func (s *brokenStore) Finish(ctx context.Context, _ string) error {
	s.finished++
	s.ended = ctx.Err() != nil
	return s.finish
}

func (s *brokenStore) Release(ctx context.Context, _ string) error {
	s.released++
	s.ended = ctx.Err() != nil
	return s.release
}

func TestStore_ThatFails(t *testing.T) {
	t.Parallel()
	away := errors.New("store is away")
	for name, tt := range map[string]struct {
		store              brokenStore
		fn                 error
		status             int
		finished, released int
	}{
		"at the claim":   {brokenStore{claim: away}, nil, 503, 0, 0},
		"handled there":  {brokenStore{claim: webhook.ErrHandled}, nil, 200, 0, 0},
		"at the end":     {brokenStore{finish: away}, nil, 204, 1, 0},
		"at the release": {brokenStore{release: away}, errors.New("no"), 500, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			h := newHandler(t, func(context.Context, webhook.Event) error { return tt.fn },
				webhook.WithStore(&tt.store), webhook.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			assert.Equal(t, tt.status, post(h, eventBody("evt_1", webhook.CVMCreated)).Code)
			assert.Equal(t, tt.finished, tt.store.finished)
			assert.Equal(t, tt.released, tt.store.released)
			assert.Equal(t, tt.status != 200, strings.Contains(log.String(), "store is away"), log.String())
		})
	}
}

// The store hears how it went although the request has ended.
func TestStore_OutlivesTheRequest(t *testing.T) {
	t.Parallel()
	store := &brokenStore{}
	ctx, cancel := context.WithCancel(t.Context())
	h := newHandler(t, func(context.Context, webhook.Event) error { cancel(); return nil }, webhook.WithStore(store))
	body := eventBody("evt_1", webhook.CVMCreated)
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
	r.Header = webhook.Sign(secret, body, time.Now())
	h.ServeHTTP(httptest.NewRecorder(), r)
	assert.Equal(t, 1, store.finished)
	assert.False(t, store.ended)
}

func TestOptions_Invalid(t *testing.T) {
	t.Parallel()
	fn := func(context.Context, webhook.Event) error { return nil }
	for want, o := range map[string]webhook.Option{
		"tolerance -1s: want more than 0":      webhook.WithTolerance(-time.Second),
		"max body 0: want more than 0":         webhook.WithMaxBody(0),
		"WithStore needs a store":              webhook.WithStore(nil),
		"WithLogger needs a logger":            webhook.WithLogger(nil),
		"secret: empty; everybody could sign":  webhook.WithSecrets(""),
		"secret: white space around it, such ": webhook.WithSecrets(" x"),
	} {
		_, err := webhook.Handler(secret, fn, o)
		require.ErrorContains(t, err, want)
	}
	_, err := webhook.Handler("", fn)
	require.ErrorContains(t, err, "secret: empty")
	_, err = webhook.Handler(secret, nil)
	require.ErrorContains(t, err, "needs a function")
}

func deliverTo(h http.Handler, secret, id string) int {
	body := fmt.Sprintf(`{"id":%q,"event":"cvm.created","version":"1","data":{}}`, id)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header = webhook.Sign(secret, []byte(body), time.Now())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestReceiver_RotatesSecretsAndRemembersWhatWasHandled(t *testing.T) {
	t.Parallel()
	var handled []string
	h, err := webhook.Handler("whsec_one", func(_ context.Context, e webhook.Event) error { handled = append(handled, e.ID); return nil })
	require.NoError(t, err)
	assert.Equal(t, 204, deliverTo(h, "whsec_one", "evt_1"))
	assert.Equal(t, 401, deliverTo(h, "whsec_two", "evt_2"))

	require.NoError(t, h.SetSecrets("whsec_two", "whsec_one"))
	assert.Equal(t, 200, deliverTo(h, "whsec_one", "evt_1"), "handled before the rotation")
	assert.Equal(t, 200, deliverTo(h, "whsec_two", "evt_1"))
	assert.Equal(t, 204, deliverTo(h, "whsec_two", "evt_2"))
	assert.Equal(t, 204, deliverTo(h, "whsec_one", "evt_3"), "on its way while the secret was rotated")

	require.NoError(t, h.SetSecrets("whsec_two"))
	assert.Equal(t, 401, deliverTo(h, "whsec_one", "evt_4"))
	require.ErrorContains(t, h.SetSecrets(""), "everybody could sign")
	require.ErrorContains(t, h.SetSecrets("whsec_three", " x"), "white space")
	assert.Equal(t, 204, deliverTo(h, "whsec_two", "evt_4"), "a refused rotation changes nothing")
	assert.Equal(t, 401, deliverTo(h, "whsec_three", "evt_5"))
	assert.Equal(t, []string{"evt_1", "evt_2", "evt_3", "evt_4"}, handled)
}

func TestReceiver_RotatesWhileDeliveriesCome(t *testing.T) {
	t.Parallel()
	var handled atomic.Int64
	h, err := webhook.Handler("whsec_0", func(context.Context, webhook.Event) error { handled.Add(1); return nil })
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				assert.Equal(t, 204, deliverTo(h, "whsec_0", fmt.Sprintf("evt_%d_%d", i, j)))
			}
		})
		all.Go(func() {
			for j := range 50 {
				assert.NoError(t, h.SetSecrets("whsec_0", fmt.Sprintf("whsec_%d", j)))
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 400, handled.Load())
}

func TestReceiver_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "whsec_planted"
	h, err := webhook.Handler(secret, func(context.Context, webhook.Event) error { return nil }, webhook.WithSecrets(secret+"2"))
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "receiver", h, "option", webhook.WithSecrets(secret))
	shown := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown = append(shown, fmt.Sprintf(verb, h), fmt.Sprintf(verb, *h), fmt.Sprintf(verb, struct{ H any }{h}), fmt.Sprintf(verb, webhook.WithSecrets(secret)))
	}
	for _, s := range shown {
		assert.NotContains(t, s, "planted")
		assert.NotContains(t, s, "706c616e746564")
	}
}

func TestMemoryStore_IsBounded(t *testing.T) {
	t.Parallel()
	m := webhook.NewMemoryStore(time.Hour, 10)
	ctx := t.Context()
	for i := range 1000 {
		id := fmt.Sprint("evt_", i)
		require.NoError(t, m.Claim(ctx, id))
		require.NoError(t, m.Finish(ctx, id))
		require.LessOrEqual(t, m.Len(), 10)
	}
	require.ErrorIs(t, m.Claim(ctx, "evt_999"), webhook.ErrHandled)
	for i := range 10 {
		require.NoError(t, m.Claim(ctx, fmt.Sprint("open_", i)))
	}
	err := m.Claim(ctx, "open_10")
	require.ErrorContains(t, err, "too many events")
	require.NotErrorIs(t, err, webhook.ErrHandled, "it must be tried again")
	require.NoError(t, m.Release(ctx, "open_0"))
	require.NoError(t, m.Claim(ctx, "open_10"))
}

// pipeListener is a listener within a bubble of testing/synctest: a single connection, and no socket.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l pipeListener) Close() error { close(l.done); return nil }

func (l pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// connect serves h on a connection and gives its other end.
func connect(t *testing.T, server *http.Server) net.Conn {
	t.Helper()
	l := pipeListener{make(chan net.Conn, 1), make(chan struct{})}
	near, far := net.Pipe()
	l.conns <- far
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = near.Close()
		_ = server.Close()
	})
	return near
}

func TestBody_SlowIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, func(context.Context, webhook.Event) error { t.Error("called"); return nil })
		conn := connect(t, &http.Server{Handler: h})
		began := time.Now()
		_, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
		assert.Equal(t, 10*time.Second, time.Since(began))
	})
}

// The time for reading does not cut the work on what was read.
func TestWork_MayTakeLongerThanReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, func(ctx context.Context, _ webhook.Event) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		conn := connect(t, &http.Server{Handler: h})
		body := eventBody("evt_1", webhook.CVMCreated)
		_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", len(body))
		require.NoError(t, err)
		require.NoError(t, webhook.Sign(secret, body, time.Now()).Write(conn))
		_, err = fmt.Fprintf(conn, "\r\n%s", body)
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	})
}

// A server that bounds reading itself keeps its own bound.
func TestBody_ServerTimeLimitApplies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(t, func(context.Context, webhook.Event) error { t.Error("called"); return nil })
		conn := connect(t, &http.Server{Handler: h, ReadTimeout: 3 * time.Second})
		began := time.Now()
		_, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
		require.NoError(t, err)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
		assert.Equal(t, 3*time.Second, time.Since(began))
	})
}
