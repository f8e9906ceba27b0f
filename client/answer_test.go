package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestWithAnswer_FillsWhatCameWithIt(t *testing.T) {
	t.Parallel()
	attempts := 0
	c := newTest(t, func(*http.Request) (*http.Response, error) {
		if attempts++; attempts == 1 {
			return reply(503, "", "Retry-After", "0"), nil
		}
		return reply(200, `{"id":"cvm_1","name":"web-1","status":"running","resource":{},"gateway":{},"next_year":{"a":1}}`, "X-Request-Id", "req\u202e_1", "X-Trace", "t"), nil
	})
	var a Answer
	_, err := c.CVMs.Get(t.Context(), "web-1", WithAnswer(&a))
	require.NoError(t, err)
	assert.Equal(t, "CVMs.Get", a.Operation)
	assert.Equal(t, 200, a.StatusCode)
	assert.Equal(t, `req\u202e_1`, a.RequestID)
	assert.Equal(t, "t", a.Header.Get("X-Trace"))
	assert.Equal(t, 2, a.Attempts)
	var unknown struct {
		NextYear struct{ A int } `json:"next_year"`
	}
	require.NoError(t, a.Decode(&unknown))
	assert.Equal(t, 1, unknown.NextYear.A)
	var other struct {
		Name   string
		Status int
	}
	require.NoError(t, a.Decode(&other), "a status that is no number is absent")
	assert.Equal(t, "web-1", other.Name)
	require.ErrorContains(t, a.Decode(other), "want a pointer")
	require.ErrorIs(t, (&Answer{Body: Hidden("{")}).Decode(&other), ErrDecode)

	var raw Answer
	resp, err := c.API.CVMsGet(WithOptions(t.Context(), WithAnswer(&raw)), "web-1")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, string(a.Body), string(body), "the body can still be read")
	assert.Equal(t, string(raw.Body), string(body))

	var none Answer
	_, err = c.CVMs.Get(t.Context(), "..", WithAnswer(&none))
	require.Error(t, err)
	assert.Zero(t, none)
	_, err = c.CVMs.Get(t.Context(), "web-1", WithAnswer(nil))
	require.ErrorContains(t, err, "CVMs.Get: answer: nil")
	_, err = c.CVMs.Get(t.Context(), "web-1", nil)
	require.ErrorContains(t, err, "CVMs.Get: nil option")
}

func TestUnknownMembers_AreSent(t *testing.T) {
	t.Parallel()
	var got sentRequest
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		got = capture(r)
		return reply(202, "{}"), nil
	})
	_, err := c.CVMs.Update(t.Context(), "web-1", openapi.UpdateCVMRequest{VCPU: openapi.Ptr(2)}, nil,
		WithQuery("dry run", "a&b"), WithQuery("x", ""), WithBodyMember("newer", map[string]any{"of": "it"}))
	require.NoError(t, err)
	assert.JSONEq(t, `{"vcpu":2,"newer":{"of":"it"}}`, string(got.body))
	assert.EqualValues(t, len(got.body), got.ContentLength)
	assert.Equal(t, "dry+run=a%26b&x=", got.URL.RawQuery)

	require.NoError(t, c.Do(t.Context(), "POST", "/new?a=1", nil, nil, WithQuery("b", "2"), WithBodyMember("c", 3)))
	assert.Equal(t, "a=1&b=2", got.URL.RawQuery)
	assert.JSONEq(t, `{"c":3}`, string(got.body))

	_, err = c.CVMs.Update(t.Context(), "web-1", openapi.UpdateCVMRequest{VCPU: openapi.Ptr(2)}, nil, WithBodyMember("vcpu", 3))
	require.ErrorContains(t, err, `CVMs.Update: body: the member "vcpu" exists already`)
	_, err = c.CVMs.UpdateDockerCompose(t.Context(), "web-1", "services: {}\n", nil, WithBodyMember("a", 1))
	require.ErrorContains(t, err, "a member can be added to a JSON object only")
	_, err = c.CVMs.Restart(t.Context(), "web-1", nil, WithBodyMember("a", make(chan int)))
	require.ErrorContains(t, err, `body member "a"`)
}

func TestMiddleware_SeesTheOperationAndMayReplaceTheContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	var operations []string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, "mine", r.Context().Value(key{}))
		return reply(200, cvmJSON), nil
	}, WithMiddleware(func(operation string, r *http.Request, next RoundTrip) (*http.Response, error) {
		operations = append(operations, "client "+operation)
		return next(r.WithContext(context.WithValue(context.Background(), key{}, "mine")))
	}))
	own := WithMiddleware(func(operation string, r *http.Request, next RoundTrip) (*http.Response, error) {
		operations = append(operations, "call "+operation)
		return next(r)
	})
	_, err := c.CVMs.Get(t.Context(), "web-1", own)
	require.NoError(t, err)
	_, err = c.API.CVMsGet(t.Context(), "web-1")
	require.NoError(t, err)
	require.NoError(t, c.Do(t.Context(), "GET", "/cvms/web-1", nil, nil))
	require.NoError(t, c.Do(t.Context(), "GET", "/new/thing", nil, nil))
	assert.Equal(t, []string{"client CVMs.Get", "call CVMs.Get", "client CVMs.Get", "client CVMs.Get", "client GET /api/v1/new/thing"}, operations)
}

// A middleware that refuses a call ends it, and one that answers it is believed.
func TestMiddleware_MayAnswerByItself(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, io.EOF })
	cvm, err := c.CVMs.Get(t.Context(), "web-1", WithMiddleware(func(string, *http.Request, RoundTrip) (*http.Response, error) {
		return reply(200, cvmJSON), nil
	}))
	require.NoError(t, err)
	assert.Equal(t, "web-1", cvm.Name)
	refused := fmt.Errorf("no")
	_, err = c.CVMs.Get(t.Context(), "web-1", WithMiddleware(func(string, *http.Request, RoundTrip) (*http.Response, error) {
		return nil, refused
	}))
	require.ErrorIs(t, err, refused)
}

func TestDo_RefusesWhatItCannotFill(t *testing.T) {
	t.Parallel()
	var paths []string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		paths = append(paths, r.URL.Path)
		return reply(200, `{"a":1}`), nil
	})
	var out struct{ A int }
	require.ErrorContains(t, c.Do(t.Context(), "GET", "/x", nil, out), "want a pointer")
	require.ErrorContains(t, c.Do(t.Context(), "GET", "/x", nil, (*int)(nil)), "want a pointer that is not nil")
	require.ErrorContains(t, c.Do(t.Context(), "GET", "/x", nil, map[string]int{}), "want a pointer")
	assert.Empty(t, paths, "nothing was sent")
	require.NoError(t, c.Do(t.Context(), "GET", "/api/v1/x", nil, &out))
	assert.Equal(t, 1, out.A)
	var list []int
	err := c.Do(t.Context(), "GET", "/x", nil, &list)
	require.ErrorIs(t, err, ErrDecode)
	require.ErrorContains(t, err, "GET /api/v1/x: the response")
	assert.Equal(t, []string{"/api/v1/x", "/api/v1/x"}, paths)
}

// A struct of the caller is filled in as by encoding/json, also if one of its fields does not fit.
func TestAnswer_DecodesIntoStructsOfTheCaller(t *testing.T) {
	t.Parallel()
	type Named struct{ Name string }
	type own struct {
		Named
		Status  string
		Cores   int `json:"vCPU"`
		Odd     int
		Left    string `json:"-"`
		private string
	}
	body := `{"name":"web-1","status":"running","vcpu":2,"private":"p","Left":"l","odd":%s}`
	for odd, want := range map[string]int{"3": 3, `"3"`: 3, `"many"`: 0, "{}": 0} {
		var got own
		a := Answer{Body: Hidden(fmt.Sprintf(body, odd))}
		require.NoError(t, a.Decode(&got), odd)
		assert.Equal(t, own{Named: Named{"web-1"}, Status: "running", Cores: 2, Odd: want}, got, odd)
		assert.Empty(t, got.private)
	}
}
