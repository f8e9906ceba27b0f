package webhook_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/webhook"
)

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
func (l pipeListener) Close() error   { close(l.done); return nil }
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
