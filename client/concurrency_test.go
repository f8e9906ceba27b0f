package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

// busySite answers all kinds of calls, some of them late or with a failure that passes.
func busySite(req *http.Request) (*http.Response, error) {
	timer := time.NewTimer(rand.N(2 * time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	switch draw := rand.IntN(20); {
	case draw == 0:
		return reply(503, "{}", "Retry-After", "1"), nil
	case draw == 1:
		return nil, io.ErrUnexpectedEOF
	}
	switch path := req.URL.Path; {
	case acceptsStream(req):
		return sseReply(strings.NewReader(state("starting") + complete)), nil
	case strings.HasSuffix(path, "/status/batch"):
		return reply(200, `{"11111111-1111-4111-8111-111111111111":{"vm_uuid":"11111111-1111-4111-8111-111111111111","status":"running","in_progress":false}}`), nil
	case strings.HasSuffix(path, "/cvms/paginated"):
		return reply(200, `{"items":[`+cvmJSON+`],"total":1,"page":1,"page_size":20,"pages":1}`), nil
	case req.Method == http.MethodPost || req.Method == http.MethodPatch:
		return reply(200, vmJSON), nil
	}
	return reply(200, cvmJSON), nil
}

// One client serves 256 goroutines that make all kinds of calls, half of which are cancelled on the way. Under the race
// detector this finds unguarded state; goroutines that are left fail TestMain.
func TestClient_256GoroutinesAndCancellations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, busySite, WithRetry(RetryPolicy{MaxAttempts: 20}))
		const id = "11111111-1111-4111-8111-111111111111"
		calls := map[string]func(context.Context) error{
			"get": func(ctx context.Context) error { _, err := c.CVMs.Get(ctx, id); return err },
			"create": func(ctx context.Context) error {
				_, err := c.CVMs.Create(ctx, openapi.CreateCVMRequest{AppID: "ab"})
				return err
			},
			"all": func(ctx context.Context) error {
				for _, err := range c.CVMs.All(ctx, nil) {
					if err != nil {
						return err
					}
				}
				return nil
			},
			"watch": func(ctx context.Context) error {
				for _, err := range c.CVMs.Watch(ctx, id, WatchOptions{Target: openapi.CVMRunning}) {
					if err != nil {
						return err
					}
				}
				return nil
			},
			"wait for": func(ctx context.Context) error { return c.CVMs.WaitFor(ctx, id, openapi.CVMRunning) },
			"wait all": func(ctx context.Context) error { return c.WaitAll(ctx, []string{id}, openapi.CVMRunning) },
			"raw": func(ctx context.Context) error {
				resp, err := c.API.CVMsGet(ctx, openapi.PathParam(id))
				if err == nil {
					err = resp.Body.Close()
				}
				return err
			},
			"do": func(ctx context.Context) error { return c.Do(ctx, http.MethodGet, "/new", nil, nil) },
		}
		var all sync.WaitGroup
		var cancelled, finished atomic.Int64
		for range 256 {
			all.Go(func() {
				for range 4 {
					for name, call := range calls {
						ctx, cancel := context.WithCancel(t.Context())
						ends := rand.IntN(2) == 0
						if ends {
							time.AfterFunc(rand.N(2*time.Second), cancel)
						}
						err := call(ctx)
						switch {
						case err == nil:
							finished.Add(1)
						case ends && errors.Is(err, context.Canceled):
							cancelled.Add(1)
						default:
							t.Errorf("%s (cancelled: %t): %v", name, ends, err)
						}
						cancel()
					}
				}
			})
		}
		all.Wait()
		assert.Positive(t, cancelled.Load())
		assert.Positive(t, finished.Load())
	})
}

// BenchmarkCancel reports how long a call goes on after its context was cancelled: the 99th percentile, in ms.
func BenchmarkCancel(b *testing.B) {
	arrived := make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Accept") == eventStream:
			w.Header().Set("Content-Type", eventStream)
			w.(http.Flusher).Flush()
		case strings.HasSuffix(r.URL.Path, "/busy"):
			w.Header().Set("Retry-After", "20")
			w.WriteHeader(http.StatusServiceUnavailable)
			arrived <- struct{}{}
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	}))
	defer server.Close()
	for name, call := range map[string]func(context.Context, *Client) error{
		"call":        func(ctx context.Context, c *Client) error { _, err := c.CVMs.Get(ctx, "silent"); return err },
		"retry pause": func(ctx context.Context, c *Client) error { _, err := c.CVMs.Get(ctx, "busy"); return err },
		"stream":      func(ctx context.Context, c *Client) error { return c.CVMs.WaitFor(ctx, "silent", openapi.CVMRunning) },
		"polling": func(ctx context.Context, c *Client) error {
			return c.CVMs.WaitFor(ctx, "silent", openapi.CVMRunning, WithPolling())
		},
	} {
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				c, err := New(WithAPIKey(testKey), WithBaseURL(server.URL+"/api/v1")) // each has a budget of retries
				require.NoError(b, err)
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan error)
				go func() { done <- call(ctx, c) }()
				<-arrived
				time.Sleep(time.Millisecond) // the client reads the answer
				began := time.Now()
				cancel()
				require.ErrorIs(b, <-done, context.Canceled)
				took = append(took, time.Since(began))
				c.http.CloseIdleConnections()
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
		})
	}
}
