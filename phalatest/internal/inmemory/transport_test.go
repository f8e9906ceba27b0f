package inmemory

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTransport_BehavesLikeAConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running sync.WaitGroup
		mux := http.NewServeMux()
		mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Query", r.URL.RawQuery)
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.Copy(w, r.Body)
		})
		mux.HandleFunc("GET /cut", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		})
		mux.HandleFunc("GET /reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		gone := false
		mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			gone = true
		})
		c := http.Client{Transport: Transport{mux, &running}}
		send := func(ctx context.Context, method, path, body string) (*http.Response, error) {
			req, err := http.NewRequestWithContext(ctx, method, "https://phala.test"+path, strings.NewReader(body))
			require.NoError(t, err)
			return c.Do(req)
		}

		resp, err := send(t.Context(), "POST", "/echo?a=1", strings.Repeat("x", 100_000))
		require.NoError(t, err)
		data, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, []any{http.StatusTeapot, "a=1", 100_000}, []any{resp.StatusCode, resp.Header.Get("X-Query"), len(data)})

		resp, err = send(t.Context(), "GET", "/cut", "")
		require.NoError(t, err)
		data, err = io.ReadAll(resp.Body)
		require.Error(t, err)
		assert.Equal(t, "half", string(data))
		require.NoError(t, resp.Body.Close())

		_, err = send(t.Context(), "GET", "/reset", "")
		require.ErrorIs(t, err, errReset)

		resp, err = send(t.Context(), "GET", "/stream", "")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		running.Wait()
		assert.True(t, gone, "the handler hears that the client is gone")

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		resp, err = send(ctx, "GET", "/stream", "")
		require.NoError(t, err)
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, resp.Body.Close())
		running.Wait()
	})
}
