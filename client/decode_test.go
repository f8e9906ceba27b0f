package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/openapi"
)

func TestDecode_IsLenientWithOddFields(t *testing.T) {
	t.Parallel()
	body := `{"items":[
		{"id":7,"name":"a","status":"running","resource":{"vcpu":"2","memory_in_gb":"4.5","disk_in_gb":20.0,"gpus":"many"},"in_progress":"false","created_at":"2026-01-21 08:30:05+0000","gateway":{},"compose_hash":5},
		{"id":"cvm_2","name":"b","status":"stopped","resource":[],"public_logs":1,"created_at":"yesterday","endpoints":[{"app":"x"},7,null],"gateway":null},
		{"id":"cvm_3","name":"c","status":"running","resource":{"vcpu":2.5,"disk_in_gb":9007199254740993.0},"gateway":{}},
		"odd"],
		"total":"3","page":1.0,"page_size":30,"pages":"1"}`
	c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, body), nil })
	page, err := c.CVMs.List(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Items, 3, "what is no CVM at all is left out")
	assert.Equal(t, []int{3, 1, 30, 1}, []int{page.Total, page.Page, page.PageSize, page.Pages})
	a, b, third := page.Items[0], page.Items[1], page.Items[2]
	assert.Equal(t, openapi.ID("7"), a.ID)
	assert.Equal(t, 2, *a.Resource.VCPU)
	assert.InDelta(t, 4.5, *a.Resource.MemoryInGB, 0)
	assert.Equal(t, 20, *a.Resource.DiskInGB)
	assert.Nil(t, a.Resource.GPUs, "what fits in no way is absent")
	assert.False(t, *a.InProgress)
	assert.Equal(t, "5", a.ComposeHash)
	assert.Equal(t, time.Date(2026, 1, 21, 8, 30, 5, 0, time.UTC), a.CreatedAt.UTC())
	assert.True(t, *b.PublicLogs)
	assert.True(t, b.CreatedAt.IsZero())
	assert.Equal(t, []openapi.CVMURLs{{App: "x"}, {}}, b.Endpoints)
	assert.Nil(t, third.Resource.VCPU, "2.5 CPUs are not 2")
	assert.Nil(t, third.Resource.DiskInGB, "beyond 2^53 a float is not exact")
}

func FuzzLenientUnmarshal(f *testing.F) {
	for _, s := range []string{benchCVM(1), `{"items":[{"id":{}}],"total":"x"}`, `{"items":{}}`, `[]`, `null`, `{"items":[null,1,"a"]}`, `{"resource":{"vcpu":"1e3"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict, lenient openapi.CVMDetail
		strictErr := json.Unmarshal(data, &strict)
		lenientErr := lenientUnmarshal(data, &lenient)
		if strictErr == nil {
			require.NoError(t, lenientErr)
			require.Equal(t, strict, lenient)
		}
		var page openapi.CVMPage
		if lenientUnmarshal(data, &page) == nil {
			require.NotEmpty(t, bytes.TrimSpace(data))
		}
	})
}

func TestDecode_FailsForGoodWhereNothingFits(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{"html": "<html>", "list": "[]", "text": `"x"`, "null": "null", "empty": "", "torn": `{"id":`, "two": `{} {}`} {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(200, body), nil })
			_, err := c.CVMs.Get(t.Context(), "web-1")
			require.ErrorIs(t, err, ErrDecode, name)
			var failed *DecodeError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, "CVMs.Get", failed.Operation)
			assert.Equal(t, 200, failed.StatusCode)
			assert.Equal(t, 1, strings.Count(err.Error(), "CVMs.Get"), err.Error())
			assert.Equal(t, 1, sent, "%s: an answer that came whole is not asked for again", name)

			err = c.CVMs.WaitFor(t.Context(), "web-1", "running", WithPolling())
			require.ErrorIs(t, err, ErrDecode, "%s: a wait ends", name)
			assert.Equal(t, 2, sent, name)
		})
	}
}

// hugeList is a page of n items, each {}.
func hugeList(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[{}`)
	for range n - 1 {
		b.WriteString(`,{}`)
	}
	b.WriteString(`],"total":1,"page":1,"page_size":30,"pages":1}`)
	return b.Bytes()
}

func TestDecode_CountsBeforeItAllocates(t *testing.T) {
	body := hugeList(31 << 20 / 3)
	bounds := map[string]string{"a page": "1000", "an iterator": "1000", "an object": "50000", "Do": "50000"}
	for name, call := range map[string]func(context.Context, *Client) error{
		"a page": func(ctx context.Context, c *Client) error { _, err := c.CVMs.List(ctx, nil); return err },
		"an iterator": func(ctx context.Context, c *Client) error {
			_, err := Collect(c.CVMs.All(ctx, nil), 1)
			return err
		},
		"an object": func(ctx context.Context, c *Client) error { _, err := c.CVMs.Get(ctx, "web-1"); return err },
		"Do": func(ctx context.Context, c *Client) error {
			var into any
			return c.Do(ctx, "GET", "/cvms/paginated", nil, &into)
		},
	} {
		for _, announced := range []bool{true, false} {
			c := newTest(t, func(*http.Request) (*http.Response, error) {
				resp := reply(200, "")
				resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), -1
				if announced {
					resp.ContentLength = int64(len(body))
				}
				return resp, nil
			})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := call(t.Context(), c)
			runtime.ReadMemStats(&after)
			require.ErrorIs(t, err, ErrDecode, name)
			require.ErrorContains(t, err, "a list has more than "+bounds[name]+" items", name)
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20), "%s, announced %t: bytes allocated in all", name, announced)
		}
	}
}

// An answer that could be read in two ways is refused, and not read in one of them.
func TestDecode_RefusesAmbiguousAnswers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, err string }{
		"a member twice":         {`{"id":"cvm_1","status":"running","status":"stopped"}`, `the member "status" comes twice`},
		"in another case":        {`{"id":"cvm_1","Status":"running","status":"stopped"}`, `the members "Status" and "status" of an object differ in case only`},
		"within an object":       {`{"id":"cvm_1","os":{"name":"a","name":"b"}}`, `the member "name" comes twice`},
		"in a member unknown":    {`{"id":"cvm_1","x":{"y":1,"y":2}}`, `the member "y" comes twice`},
		"nested deeply":          {`{"id":"cvm_1","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", "within one another"},
		"a number of a thousand": {`{"id":"cvm_1","x":` + strings.Repeat("9", 1000) + "}", "more than 128 characters"},
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, tt.body), nil })
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.ErrorIs(t, err, ErrDecode, name)
		require.ErrorContains(t, err, tt.err, name)
		var answer Answer
		require.NoError(t, c.Do(t.Context(), "GET", "/cvms/web-1", nil, nil, WithAnswer(&answer)), name)
		require.ErrorContains(t, answer.Decode(&struct{}{}), tt.err, name)
	}
}

// The status of a refusal counts, whatever its body; an ambiguous body has no code.
func TestDecodeError_TakesNothingFromAnAmbiguousBody(t *testing.T) {
	t.Parallel()
	e := decoded(403, `{"message":"m","error_code":"ERR-1","Error_Code":"ERR-2"}`)
	require.ErrorIs(t, e, ErrForbidden)
	assert.Empty(t, e.Code)
	assert.Equal(t, "forbidden", e.Message)
}

func TestMostItems(t *testing.T) {
	t.Parallel()
	rt := newTest(t, nil).router.routes
	assert.Equal(t, 1000, rt[opCVMsList].mostItems())
	assert.Equal(t, strictjson.MaxItems, rt[opAppsGetUsage].mostItems())
	assert.Equal(t, strictjson.MaxItems, rt[opCVMsListAll].mostItems())
}

// A page that is large and honest is decoded.
func TestDecode_LargePages(t *testing.T) {
	t.Parallel()
	cvms := make([]string, 1000)
	for i := range cvms {
		cvms[i] = benchCVM(i)
	}
	body := "[" + strings.Join(cvms, ",") + "]"
	require.Greater(t, len(body), largeAnswer)
	c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, body), nil })
	all, err := c.CVMs.ListAll(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, all, 1000)
	assert.Equal(t, "web-999", all[999].Name)
}

// slowJSON takes an hour to decode.
type slowJSON struct{}

func (*slowJSON) UnmarshalJSON([]byte) error { time.Sleep(time.Hour); return nil }

func TestDecode_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			return reply(200, `"`+strings.Repeat("a", largeAnswer)+`"`), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err := c.Do(ctx, "GET", "/x", nil, &slowJSON{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, ErrDecode, "nothing is wrong with the answer")
		assert.Equal(t, time.Second, time.Since(began))
		time.Sleep(time.Hour) // the decoder ends by itself
	})
}
