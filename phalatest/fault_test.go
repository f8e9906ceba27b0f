package phalatest_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

// Each fault occurs to a client without retry, and then to one with the default retry.
func TestFault_All(t *testing.T) {
	for name, tt := range map[string]struct {
		fault phalatest.Fault
		// bare checks the error of the client without retry.
		bare func(t *testing.T, err error)
		// retried says whether the default client gets over it when reading.
		retried bool
	}{
		"status": {phalatest.Fault{Status: 500}, is(client.ErrServer), true},
		"error code": {
			phalatest.Fault{Status: 403, Code: "ERR-02-015", Message: "Quota exceeded"},
			func(t *testing.T, err error) {
				assert.Equal(t, "ERR-02-015", code(t, err))
				assert.ErrorContains(t, err, "Quota exceeded")
			}, false,
		},
		"retry after": {
			phalatest.Fault{Status: 429, RetryAfter: 1500 * time.Millisecond},
			func(t *testing.T, err error) {
				var api *client.APIError
				require.ErrorAs(t, err, &api)
				assert.Equal(t, 2*time.Second, api.RetryAfter)
			}, true,
		},
		"retry after an hour": {phalatest.Fault{Status: 503, RetryAfter: time.Hour}, is(client.ErrServer), false},
		"latency":             {phalatest.Fault{Delay: time.Hour}, is(context.DeadlineExceeded), true},
		"HTML":                {phalatest.HTML(502), is(client.ErrServer), true},
		"lock":                {phalatest.Locked(), is(client.ErrBusy), false},
		"expired token":       {phalatest.ExpiredToken(), is(client.ErrUnauthorized), false},
		"request lost":        {phalatest.Fault{LoseRequest: true}, says("connection reset"), true},
		"answer lost":         {phalatest.Fault{LoseResponse: true}, says("connection reset"), true},
		"cut in the middle":   {phalatest.Fault{CutAfter: 10}, says("connection reset"), true},
		"truncated":           {phalatest.Fault{EndAfter: 10}, says("unexpected end of JSON"), false},
		"endless":             {phalatest.Fault{Endless: true}, says("longer than"), false},
		"trickle":             {phalatest.Fault{Trickle: time.Second}, is(context.DeadlineExceeded), true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c, _ := running(t, "web-1")
				s.Fault("CVMs.Get", tt.fault)
				_, err := c.CVMs.Get(t.Context(), "web-1")
				require.Error(t, err)
				tt.bare(t, err)
				_, err = c.CVMs.Get(t.Context(), "web-1")
				require.NoError(t, err, "once")

				patient, err := s.Client()
				require.NoError(t, err)
				s.Fault("CVMs.Get", tt.fault)
				_, err = patient.CVMs.Get(t.Context(), "web-1")
				if tt.retried {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
				}
			})
		})
	}
}

func is(target error) func(*testing.T, error) {
	return func(t *testing.T, err error) { t.Helper(); require.ErrorIs(t, err, target) }
}

func says(text string) func(*testing.T, error) {
	return func(t *testing.T, err error) { t.Helper(); require.ErrorContains(t, err, text) }
}

func TestLostAnswer_HasDoneTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := running(t, "web-1")
		s.Fault("CVMs.Stop", phalatest.Fault{LoseResponse: true})
		_, err := c.CVMs.Stop(t.Context(), "web-1")
		require.Error(t, err)
		require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "stopped"))
		s.Fault("CVMs.Start", phalatest.Fault{LoseRequest: true})
		_, err = c.CVMs.Start(t.Context(), "web-1")
		require.Error(t, err)
		cvm, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err)
		assert.EqualValues(t, "stopped", cvm.Status, "nobody has heard it")
	})
}

func TestStream_DropsAndTrickles(t *testing.T) {
	for name, fault := range map[string]phalatest.Fault{
		"drop":    {CutAfter: 60},
		"ends":    {EndAfter: 60},
		"trickle": {Trickle: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := phalatest.New(t)
				c, err := s.Client()
				require.NoError(t, err)
				create(t, c, "web-1")
				s.Fault("CVMs.GetState", fault)
				require.NoError(t, c.CVMs.WaitFor(t.Context(), "web-1", "running"), "the wait goes on")
			})
		})
	}
}

func TestLock_IsWaitedForWhenAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := running(t, "web-1")
		f := phalatest.Locked()
		f.Times = 3
		s.Fault("CVMs.Restart", f)
		_, err := c.CVMs.Restart(t.Context(), "web-1", nil, client.WithConflictWait(time.Minute))
		require.NoError(t, err)
	})
}

func TestFault_ForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, _ := running(t, "web-1")
		s.Fault("CVMs.List", phalatest.Fault{Times: -1, Status: 503, Header: http.Header{"X-Why": {"test"}}})
		for range 5 {
			_, err := c.CVMs.List(t.Context(), nil)
			require.ErrorIs(t, err, client.ErrServer)
		}
		_, err := c.CVMs.ListAll(t.Context(), &openapi.CVMsListAllParams{})
		require.NoError(t, err, "only that operation")
	})
}
