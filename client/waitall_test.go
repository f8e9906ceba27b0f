package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/openapi"
)

// fleet answers for many CVMs, each of which takes its steps as time passes.
type fleet struct {
	mu      sync.Mutex
	began   time.Time
	vms     map[string]*vessel // by bare UUID
	newer   bool               // operation{…} instead of flat fields
	omit    map[string]bool    // bare UUIDs that batches leave out
	latency time.Duration
	refuse  func(*http.Request, []string) *http.Response

	batches  []int // how many were asked for, by request
	at       []time.Duration
	gets     map[string]int
	underWay int
	most     int
}

// vessel is a CVM of a fleet: its last status is reached after the others, one a minute.
type vessel struct {
	name     string
	statuses []string // "running!" is busy
	boot     string
}

func newFleet() *fleet {
	return &fleet{began: time.Now(), vms: map[string]*vessel{}, omit: map[string]bool{}, gets: map[string]int{}}
}

// uuidOf is the dashed UUID of the CVM with a number.
func uuidOf(n int) string { return fmt.Sprintf("7f3b4c2a-1d5e-4f60-8a9b-%012x", n) }

func (f *fleet) add(n int, statuses ...string) string {
	f.vms[uuid.Bare(uuidOf(n))] = &vessel{name: fmt.Sprintf("web-%d", n), statuses: statuses}
	return uuidOf(n)
}

func (f *fleet) status(v *vessel) (status string, busy bool) {
	minutes := int(time.Since(f.began) / time.Minute)
	return strings.CutSuffix(v.statuses[min(minutes, len(v.statuses)-1)], "!")
}

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	f.underWay++
	f.most = max(f.most, f.underWay)
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.underWay--
		f.mu.Unlock()
	}()
	select {
	case <-time.After(f.latency):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodGet {
		return f.get(r), nil
	}
	var body openapi.GetStatusesRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return nil, err
	}
	f.batches = append(f.batches, len(body.VMUUIDs))
	f.at = append(f.at, time.Since(f.began))
	if f.refuse != nil {
		if resp := f.refuse(r, body.VMUUIDs); resp != nil {
			return resp, nil
		}
	}
	all := map[string]any{}
	for _, id := range body.VMUUIDs {
		v := f.vms[uuid.Bare(id)]
		if v == nil || f.omit[uuid.Bare(id)] {
			continue
		}
		status, busy := f.status(v)
		one := map[string]any{"vm_uuid": id, "status": status, "boot_progress": v.boot, "boot_error": nil}
		switch {
		case f.newer && busy:
			one["operation"] = map[string]any{"type": "create", "phase": "booting", "started_at": "2026-01-21T00:00:00", "correlation_id": "c"}
		case f.newer:
			one["operation"] = nil
		case busy:
			one["in_progress"], one["operation_type"], one["operation_started_at"] = true, "create", "2026-01-21T00:00:00"
		default:
			one["in_progress"] = false
		}
		// The key has the form that the server keeps, not the one that was asked for.
		all[strings.ToUpper(uuid.Bare(id))] = one
	}
	data, err := json.Marshal(all)
	return reply(200, string(data)), err
}

func (f *fleet) get(r *http.Request) *http.Response {
	id := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	f.gets[id]++
	if f.refuse != nil {
		if resp := f.refuse(r, []string{id}); resp != nil {
			return resp
		}
	}
	for bare, v := range f.vms {
		if id != v.name && uuid.Bare(id) != bare {
			continue
		}
		status, busy := f.status(v)
		if status == "gone" {
			break
		}
		return reply(200, fmt.Sprintf(`{"id":"cvm_1","name":%q,"vm_uuid":%q,"status":%q,"in_progress":%t,"resource":{},"gateway":{}}`, v.name, bare, status, busy))
	}
	return reply(404, `{"error_code":"ERR-03-001","message":"CVM not found"}`)
}

// batchesFrom is how many batches were asked for in a while.
func (f *fleet) batchesFrom(from, length time.Duration) (n int) {
	for _, at := range f.at {
		if at >= from && at < from+length {
			n++
		}
	}
	return n
}

// waitAll waits for a fleet and returns what the failed ones failed with.
func waitAll(ctx context.Context, t *testing.T, f *fleet, ids []string, target string, opts ...WaitOption) (map[string]*WaitError, error) {
	t.Helper()
	err := newTest(t, f.RoundTrip).WaitAll(ctx, ids, openapi.CVMStatus(target), opts...)
	if err == nil {
		return nil, nil
	}
	var all *WaitAllError
	require.ErrorAs(t, err, &all)
	assert.Equal(t, target, all.Target)
	failed := map[string]*WaitError{}
	for _, one := range all.Failed {
		failed[one.CVM] = one
	}
	require.Len(t, failed, len(all.Failed))
	return failed, err
}

func TestWaitAllForThousands(t *testing.T) {
	for newer, n := range map[bool]int{false: 1000, true: 5000} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet()
			f.newer, f.latency = newer, 200*time.Millisecond
			var ids []string
			for i := range n {
				steps := slices.Repeat([]string{"starting!"}, 1+i%5)
				if ids = append(ids, f.add(i, append(steps, "running")...)); i%1000 == 999 {
					f.vms[uuid.Bare(ids[i])].statuses = []string{"starting!", "error"}
					f.vms[uuid.Bare(ids[i])].boot = "pulling"
				}
			}
			seen := map[string][]string{}
			failed, err := waitAll(t.Context(), t, f, ids, "running", WithWaitProgress(func(e StateEvent) {
				seen[e.CVM] = append(seen[e.CVM], string(e.State.Status))
			}))
			require.ErrorIs(t, err, ErrFailedState)
			require.ErrorContains(t, err, fmt.Sprintf("%d of %d cvms waiting for running failed; cvm %s waiting for running, which is error (pulling)", n/1000, n, uuidOf(999)))
			assert.Equal(t, n > 3000, strings.HasSuffix(err.Error(), "; and 2 more"), err)
			assert.Len(t, failed, n/1000)
			assert.Len(t, seen, n)
			assert.Equal(t, []string{"starting", "running"}, seen[ids[0]])
			assert.Equal(t, []string{"starting", "error"}, seen[ids[999]])
			assert.Less(t, time.Since(f.began), 5*time.Minute+20*time.Second, "soon after the last one runs")
			assert.LessOrEqual(t, slices.Max(f.batches), 100)
			assert.LessOrEqual(t, f.most, maxRequests)
			assert.Equal(t, slices.Repeat([]int{100}, n/100), f.batches[:n/100])
			assert.Less(t, f.batchesFrom(4*time.Minute+10*time.Second, 50*time.Second), n/50, "who has settled is not asked for again")
			assert.Less(t, len(f.batches), n/100*5*60/10, "slower while nothing changes")
			assert.Empty(t, f.gets)
		})
	}
}

func TestWaitAll(t *testing.T) {
	for name, tt := range map[string]struct {
		target string
		fleet  func(*fleet) []string
		failed map[string]error
		check  func(*testing.T, *fleet)
	}{
		"none": {"running", func(*fleet) []string { return nil }, nil, nil},
		"names, ids and UUIDs": {"running", func(f *fleet) []string {
			f.add(1, "starting!", "running")
			f.add(2, "running")
			return []string{"web-1", "web-2", f.add(3, "running"), strings.ReplaceAll(f.add(4, "starting!", "starting!", "running"), "-", "")}
		}, nil, func(t *testing.T, f *fleet) {
			assert.Equal(t, map[string]int{"web-1": 1, "web-2": 1}, f.gets, "each name is resolved once")
			assert.Equal(t, 2, f.batches[0])
		}},
		"the same one twice": {"running", func(f *fleet) []string {
			id := f.add(1, "running")
			return []string{id, id, strings.ToUpper(id), strings.ReplaceAll(id, "-", "")}
		}, nil, func(t *testing.T, f *fleet) { assert.Equal(t, []int{1}, f.batches) }},
		"busy is not there yet": {"running", func(f *fleet) []string { return []string{f.add(1, "running!", "running")} }, nil,
			func(t *testing.T, f *fleet) { assert.GreaterOrEqual(t, time.Since(f.began), time.Minute) }},
		"an error that passes": {"running", func(f *fleet) []string { return []string{f.add(1, "error!", "running")} }, nil, nil},
		"unknown ones": {"running", func(f *fleet) []string {
			return []string{uuidOf(404), f.add(1, "starting!", "running"), "no-such-name"}
		}, map[string]error{uuidOf(404): ErrNotFound, "no-such-name": ErrNotFound}, nil},
		"stopped instead": {"running", func(f *fleet) []string { return []string{f.add(1, "running"), f.add(2, "stopped")} },
			map[string]error{uuidOf(2): ErrFailedState}, nil},
		"left out of the answer, but there": {"running", func(f *fleet) []string {
			id := f.add(1, "starting!", "running")
			f.omit[uuid.Bare(id)] = true
			return []string{id}
		}, nil, nil},
		"deleted": {"deleted", func(f *fleet) []string {
			a, b := f.add(1, "deleting!", "gone"), f.add(2, "running!", "deleting!", "deleted")
			f.omit[uuid.Bare(a)] = true
			return []string{a, b, uuidOf(9)}
		}, nil, nil},
		"one that spoils its batch": {"running", func(f *fleet) []string {
			bad := uuidOf(666)
			f.refuse = func(_ *http.Request, ids []string) *http.Response {
				if slices.ContainsFunc(ids, func(id string) bool { return uuid.Bare(id) == uuid.Bare(bad) }) {
					return reply(422, `{"detail":[{"loc":["body","vm_uuids",1],"msg":"not a uuid","type":"uuid"}]}`)
				}
				return nil
			}
			return []string{f.add(1, "starting!", "running"), bad, f.add(2, "starting!", "running")}
		}, map[string]error{uuidOf(666): ErrValidation}, func(t *testing.T, f *fleet) {
			assert.Equal(t, 2, f.batches[1], "without it the others are batched again")
		}},
		"an outage that passes": {"running", func(f *fleet) []string {
			f.refuse = func(*http.Request, []string) *http.Response {
				if time.Since(f.began) < 3*time.Minute {
					return reply(502, "<html>")
				}
				return nil
			}
			return []string{f.add(1, "running"), f.add(2, "running")}
		}, nil, nil},
		"a name that two have": {"running", func(f *fleet) []string {
			f.refuse = func(_ *http.Request, ids []string) *http.Response {
				if ids[0] == "twins" {
					return reply(409, `{"error_code":"ERR-03-002","message":"two of that name"}`)
				}
				return nil
			}
			return []string{"twins", f.add(1, "running")}
		}, map[string]error{"twins": ErrConflict}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet()
				failed, err := waitAll(t.Context(), t, f, tt.fleet(f), tt.target)
				if len(tt.failed) == 0 {
					require.NoError(t, err)
				}
				require.Len(t, failed, len(tt.failed))
				for id, want := range tt.failed {
					require.Contains(t, failed, id)
					require.ErrorIs(t, failed[id], want)
					require.ErrorIs(t, err, want)
				}
				if tt.check != nil {
					tt.check(t, f)
				}
			})
		})
	}
}

// Both forms of an operation tell that a CVM is busy, and so does a status on its way where neither is there.
func TestStatusBusy(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{
		`{"status":"running"}`: false,
		`{"status":"running","in_progress":null,"operation":null,"operation_type":null}`:   false,
		`{"status":"running","in_progress":true}`:                                          true,
		`{"status":"updating","in_progress":false,"operation":{"type":"update"}}`:          false,
		`{"status":"running","operation":{"type":"update","phase":"shutdown"}}`:            true,
		`{"status":"running","operation_type":"update","operation_started_at":null}`:       true,
		`{"status":"shutting_down"}`:                                                       true,
		`{"status":"restarting"}`:                                                          true,
		`{"status":"a status of next year"}`:                                               false,
		`{"status":"stopped","operation_type":"","correlation_id":"of the one before it"}`: false,
	} {
		var s openapi.CVMStatusReport
		require.NoError(t, json.Unmarshal([]byte(answer), &s))
		assert.Equal(t, want, isStatusBusy(s), answer)
		assert.Equal(t, want, *stateOf(s).InProgress, answer)
	}
}

// A refused key is no fault of a CVM: nothing more is asked.
func TestWaitAll_EndsWhereTheKeyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		f.refuse = func(*http.Request, []string) *http.Response { return reply(401, "{}") }
		f.latency = time.Second
		var ids []string
		for i := range 2000 {
			ids = append(ids, f.add(i, "running"))
		}
		failed, err := waitAll(t.Context(), t, f, ids, "running")
		require.ErrorIs(t, err, ErrUnauthorized)
		assert.Len(t, failed, 2000)
		assert.LessOrEqual(t, len(f.batches), 2*maxRequests)
	})
}

func TestWaitAll_EndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		f.latency = time.Second
		var ids []string
		for i := range 300 {
			ids = append(ids, f.add(i, "running"))
		}
		ids = append(ids, f.add(300, "starting!"), f.add(301, "starting!", "error"))
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
		defer cancel()
		failed, err := waitAll(ctx, t, f, ids, "running")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 150*time.Second, time.Since(f.began))
		require.Len(t, failed, 2)
		require.ErrorIs(t, failed[uuidOf(300)], context.DeadlineExceeded)
		assert.EqualValues(t, "starting", failed[uuidOf(300)].State.Status)
		require.ErrorIs(t, failed[uuidOf(301)], ErrFailedState)
	})
}

func TestWaitAll_KeepsTheFailureBeforeTheEndOfItsContext(t *testing.T) {
	for _, cut := range []time.Duration{time.Minute, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			f := newFleet()
			f.latency = 30 * time.Millisecond
			f.refuse = func(*http.Request, []string) *http.Response { return reply(503, "{}") }
			ctx, cancel := context.WithTimeout(t.Context(), cut)
			defer cancel()
			failed, err := waitAll(ctx, t, f, []string{f.add(1, "running"), "web-1"}, "running")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Len(t, failed, 2)
			require.ErrorIs(t, err, ErrServer)
			assert.Nil(t, failed["web-1"].State)
		})
	}
}

func TestWaitAll_EndsAtOnceWhenItsContextIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		f.latency = 10 * time.Second
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errors.New("shutting down")) })
		failed, err := waitAll(ctx, t, f, []string{f.add(1, "running"), "web-1"}, "running")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "shutting down")
		assert.Len(t, failed, 2)
		assert.Equal(t, time.Second, time.Since(f.began))
	})
}

func TestWaitAll_RefusesBadInputBeforeSending(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, errors.New("sent") })
	require.ErrorContains(t, c.WaitAll(t.Context(), []string{"web-1"}, ""), "no target")
	require.ErrorContains(t, c.WaitAll(t.Context(), []string{"web-1"}, "running", nil), "nil option")
	err := c.WaitAll(t.Context(), []string{"web-1", "a/b", "web-2"}, "running")
	require.ErrorIs(t, err, openapi.ErrPathParam)
	require.ErrorContains(t, err, `cvm 2 of 3`)
	require.ErrorContains(t, err, `a/b`)
	require.ErrorIs(t, c.WaitAll(t.Context(), []string{""}, "running"), openapi.ErrPathParam)
}
