package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

// shelf is a list of n items behind a pagination style, as a server serves it.
type shelf struct {
	n       int
	queries []url.Values
}

func (s *shelf) items(from, count int, make func(i int) any) []any {
	items := []any{}
	for i := from; i < min(from+count, s.n); i++ {
		items = append(items, make(i))
	}
	return items
}

func number(q url.Values, key string, otherwise int) int {
	if n, err := strconv.Atoi(q.Get(key)); err == nil {
		return n
	}
	return otherwise
}

func named(i int) any { return map[string]any{"id": i, "name": strconv.Itoa(i)} }

// dialects are all lists of the SDK with a server for each; names gives what an iteration yields.
var dialects = map[string]struct {
	size  int // of a page where none is asked for
	serve func(s *shelf, q url.Values) any
	names func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error]
}{
	"CVMs.All": {30, numbered("items", "pages", 30, named), func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.CVMs.All(ctx, nil, opts...), func(v openapi.CVM) string { return v.Name })
	}},
	"Apps.All": {20, numbered("dstack_apps", "total_pages", 20, named), func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.Apps.All(ctx, nil, opts...), func(v openapi.App) string { return v.Name })
	}},
	"KMS.All": {20, numbered("items", "pages", 20, named), func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.KMS.All(ctx, nil, opts...), func(v openapi.KMS) string { return string(v.ID) })
	}},
	"OSImages.All": {20, numbered("items", "pages", 20, named), func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.OSImages.All(ctx, nil, opts...), func(v openapi.OSImage) string { return v.Name })
	}},
	"Workspaces.AllNodes": {30, numbered("items", "pages", 30, named), func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.Workspaces.AllNodes(ctx, "ada", nil, opts...), func(v openapi.NodeRef) string { return v.Name })
	}},
	"Apps.AllRevisions": {50, numbered("revisions", "total_pages", 50, func(i int) any { return map[string]any{"revision_id": strconv.Itoa(i)} }),
		func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
			return each(c.Apps.AllRevisions(ctx, "ab", nil, opts...), func(v openapi.AppRevision) string { return v.RevisionID })
		}},
	"CVMs.AllOperations": {50, func(s *shelf, q url.Values) any {
		from := number(q, "cursor", 0)
		page := map[string]any{"items": s.items(from, 50, func(i int) any { return map[string]any{"correlation_id": strconv.Itoa(i)} }), "total": s.n, "next_cursor": nil}
		if from+50 < s.n {
			page["next_cursor"] = strconv.Itoa(from + 50)
		}
		return page
	}, func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.CVMs.AllOperations(ctx, "web-1", nil, opts...), func(v openapi.Operation) string { return v.CorrelationID })
	}},
	"Workspaces.All": {7, func(s *shelf, q url.Values) any {
		from := number(q, "cursor", 0)
		more := from+7 < s.n
		return map[string]any{"data": s.items(from, 7, named), "pagination": map[string]any{"has_more": more, "next_cursor": strconv.Itoa(from + 7), "total": nil}}
	}, func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.Workspaces.All(ctx, nil, opts...), func(v openapi.Workspace) string { return v.Name })
	}},
	"Apps.AllUsage": {500, func(s *shelf, q url.Values) any {
		return map[string]any{"usage": s.items(number(q, "offset", 0), number(q, "limit", 500), func(i int) any { return map[string]any{"instance_id": strconv.Itoa(i)} }), "total": s.n, "total_cost": "1"}
	}, func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.Apps.AllUsage(ctx, "ab", nil, opts...), func(v openapi.UsageRecord) string { return v.InstanceID })
	}},
	"Webhooks.AllDeliveries": {50, func(s *shelf, q url.Values) any {
		return s.items(number(q, "offset", 0), number(q, "limit", 50), func(i int) any { return map[string]any{"event_id": strconv.Itoa(i)} })
	}, func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.Webhooks.AllDeliveries(ctx, "wh", nil, opts...), func(v openapi.WebhookDelivery) string { return v.EventID })
	}},
	"Attestations.AllRecent": {20, func(s *shelf, q url.Values) any {
		return s.items(number(q, "skip", 0), number(q, "limit", 20), func(i int) any { return map[string]any{"checksum": strconv.Itoa(i)} })
	}, func(ctx context.Context, c *Client, opts ...CallOption) iter.Seq2[string, error] {
		return each(c.Attestations.AllRecent(ctx, nil, opts...), func(v openapi.RecentQuote) string { return v.Checksum })
	}},
}

func numbered(list, pages string, usual int, make func(i int) any) func(*shelf, url.Values) any {
	return func(s *shelf, q url.Values) any {
		page, size := number(q, "page", 1), number(q, "page_size", usual)
		return map[string]any{list: s.items((page-1)*size, size, make), "page": page, "page_size": size, pages: (s.n + size - 1) / size, "total": s.n}
	}
}

func each[T any](items iter.Seq2[T, error], name func(T) string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for item, err := range items {
			if err != nil {
				yield("", err)
				return
			}
			if !yield(name(item), nil) {
				return
			}
		}
	}
}

func shelved(t *testing.T, s *shelf, serve func(*shelf, url.Values) any) *Client {
	t.Helper()
	return newTest(t, func(r *http.Request) (*http.Response, error) {
		s.queries = append(s.queries, r.URL.Query())
		data, err := json.Marshal(serve(s, r.URL.Query()))
		require.NoError(t, err)
		return reply(200, string(data)), nil
	})
}

func counted(n int) []string {
	var all []string
	for i := range n {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// Whatever the pagination style and the length, every item comes once, in order, as often as it is asked for.
func TestAll_YieldsEveryItemOfEveryList(t *testing.T) {
	t.Parallel()
	for name, d := range dialects {
		for _, n := range []int{0, 1, d.size, 2*d.size + 1} {
			for _, opts := range [][]CallOption{nil, {WithPrefetch()}} {
				s := &shelf{n: n}
				items := d.names(t.Context(), shelved(t, s, d.serve), opts...)
				assert.Empty(t, s.queries, "%s: nothing is sent before the first item is asked for", name)
				for range 2 {
					got, err := Collect(items, n+1)
					require.NoError(t, err, name)
					assert.Equal(t, counted(n), got, "%s of %d", name, n)
				}
				assert.LessOrEqual(t, len(s.queries), 2*(n/d.size+1), "%s of %d: requests", name, n)
			}
		}
	}
	ops := 0
	for _, op := range describedOperations(t) {
		if op.Page != "" {
			ops++
			assert.Contains(t, dialects, op.Service+"."+allName(op.Method))
		}
	}
	assert.Len(t, dialects, ops)
}

func TestAll_StopsFetchingOnBreak(t *testing.T) {
	t.Parallel()
	for name, d := range dialects {
		s := &shelf{n: 4 * d.size}
		c := shelved(t, s, d.serve)
		for range d.names(t.Context(), c) {
			break
		}
		assert.Len(t, s.queries, 1, name)
		got, err := Collect(d.names(t.Context(), c), d.size)
		require.NoError(t, err)
		assert.Len(t, got, d.size)
		assert.Len(t, s.queries, 2, "%s: the last item of a page asks for no other", name)
	}
}

func TestAll_StartsAtTheParametersAndKeepsThem(t *testing.T) {
	t.Parallel()
	s := &shelf{n: 10}
	c := shelved(t, s, numbered("items", "pages", 30, named))
	params := openapi.CVMsListParams{Page: openapi.Ptr(2), PageSize: openapi.Ptr(3), UserID: openapi.Ptr("usr_1")}
	items := c.CVMs.All(t.Context(), &params)
	params.UserID, params.PageSize = openapi.Ptr("usr_2"), nil
	for range 2 {
		got, err := Collect(items, 100)
		require.NoError(t, err)
		require.Len(t, got, 7)
		assert.Equal(t, "3", got[0].Name)
	}
	assert.Equal(t, openapi.CVMsListParams{Page: openapi.Ptr(2), UserID: openapi.Ptr("usr_2")}, params)
	require.Len(t, s.queries, 6)
	assert.Equal(t, "page=3&page_size=3&user_id=usr_1", s.queries[1].Encode())

	s = &shelf{n: 120}
	c = shelved(t, s, dialects["Webhooks.AllDeliveries"].serve)
	got, err := Collect(c.Webhooks.AllDeliveries(t.Context(), "wh", &openapi.WebhooksListDeliveriesParams{Offset: openapi.Ptr(5), Limit: openapi.Ptr(60)}), 500)
	require.NoError(t, err)
	require.Len(t, got, 115)
	assert.Equal(t, "5", got[0].EventID)
	assert.Len(t, s.queries, 3, "a limit beyond the documented one is followed to an empty page")

	s = &shelf{n: 60}
	c = shelved(t, s, dialects["CVMs.AllOperations"].serve)
	operations, err := Collect(c.CVMs.AllOperations(t.Context(), "web-1", &openapi.CVMsListOperationsParams{Cursor: openapi.Ptr("50")}), 500)
	require.NoError(t, err)
	assert.Len(t, operations, 10)
}

func TestAll_RefusesInvalidStart(t *testing.T) {
	t.Parallel()
	s := &shelf{n: 10}
	c := shelved(t, s, numbered("items", "pages", 30, named))
	ctx := t.Context()
	for want, items := range map[string]iter.Seq2[string, error]{
		"CVMs.List: page 0, want 1": each(c.CVMs.All(ctx, &openapi.CVMsListParams{Page: openapi.Ptr(0)}), func(v openapi.CVM) string { return v.Name }),
		"Apps.GetUsage: offset -1": each(c.Apps.AllUsage(ctx, "ab", &openapi.AppsGetUsageParams{Offset: openapi.Ptr(-1)}),
			func(v openapi.UsageRecord) string { return v.InstanceID }),
		"Attestations.ListRecent: limit 0": each(c.Attestations.AllRecent(ctx, &openapi.AttestationsListRecentParams{Limit: openapi.Ptr(0)}),
			func(v openapi.RecentQuote) string { return v.Checksum }),
		"timeout 0s": each(c.CVMs.All(ctx, nil, WithTimeout(0)), func(v openapi.CVM) string { return v.Name }),
	} {
		_, err := Collect(items, 1)
		require.ErrorContains(t, err, want)
	}
	_, err := Collect(c.CVMs.All(ctx, nil), 0)
	require.ErrorContains(t, err, "collect: limit 0, want 1 or more")
	assert.Empty(t, s.queries)
}

// A failing page ends the iteration with one error, after the items before it.
func TestAll_YieldsAnErrorOnce(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]CallOption{nil, {WithPrefetch()}} {
		for name, d := range dialects {
			s, sent := &shelf{n: 4 * d.size}, 0
			c := newTest(t, func(r *http.Request) (*http.Response, error) {
				if sent++; sent == 3 {
					return reply(403, `{"detail":"no"}`), nil
				}
				data, err := json.Marshal(d.serve(s, r.URL.Query()))
				return reply(200, string(data)), err
			})
			items, failures := 0, 0
			for _, err := range d.names(t.Context(), c, opts...) {
				if err == nil {
					items++
					continue
				}
				failures++
				require.ErrorIs(t, err, ErrForbidden, name)
			}
			assert.Equal(t, 2*d.size, items, name)
			assert.Equal(t, 1, failures, name)
			assert.Equal(t, 3, sent, name)
		}
	}
}

func TestAll_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, opts := range [][]CallOption{nil, {WithPrefetch()}} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			sent := 0
			c := newTest(t, func(r *http.Request) (*http.Response, error) {
				if sent++; sent == 1 {
					return reply(200, `{"items":[{"name":"0"},{"name":"1"}],"total":4,"page":1,"page_size":2,"pages":2}`), nil
				}
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			time.AfterFunc(time.Second, cancel)
			got, err := Collect(c.CVMs.All(ctx, nil, opts...), 10)
			require.ErrorIs(t, err, context.Canceled)
			assert.Len(t, got, 2)
		})
	}
}

func TestAll_SendsNothingAfterItsContext(t *testing.T) {
	t.Parallel()
	s := &shelf{n: 90}
	c := shelved(t, s, dialects["CVMs.All"].serve)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("enough")
	items, failures := 0, 0
	for _, err := range c.CVMs.All(ctx, nil) {
		if err != nil {
			failures++
			require.ErrorIs(t, err, why)
			require.ErrorContains(t, err, "CVMs.List: ")
			continue
		}
		items++
		cancel(why)
	}
	assert.Equal(t, 30, items, "what is there already still comes")
	assert.Equal(t, 1, failures)
	assert.Len(t, s.queries, 1)
}

func TestPrefetch_FetchesOnePageAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const latency = time.Second
		serve := numbered("items", "pages", 2, named)
		s := &shelf{n: 6}
		var started, cancelled int
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			started++
			select {
			case <-time.After(latency):
			case <-r.Context().Done():
				cancelled++
				return nil, r.Context().Err()
			}
			data, err := json.Marshal(serve(s, r.URL.Query()))
			return reply(200, string(data)), err
		})
		took := func(opts ...CallOption) time.Duration {
			began := time.Now()
			for _, err := range c.CVMs.All(t.Context(), nil, opts...) {
				require.NoError(t, err)
				time.Sleep(latency)
			}
			return time.Since(began)
		}
		assert.Equal(t, 9*time.Second, took(), "three pages, then six items, one after the other")
		assert.Equal(t, 7*time.Second, took(WithPrefetch()), "the first page, then pages behind items")
		assert.Equal(t, 6, started)

		for range c.CVMs.All(t.Context(), nil, WithPrefetch()) {
			synctest.Wait()
			break
		}
		assert.Equal(t, 8, started, "one page more than was used")
		assert.Equal(t, 1, cancelled, "and it is given up")
	})
}

func TestAll_NoticesPagesThatContradictEachOther(t *testing.T) {
	t.Parallel()
	const page = `{"items":[%s],"page":%s,"page_size":2,"total":%d,"pages":%d}`
	const two, other = `{"name":"a"},{"name":"b"}`, `{"name":"c"},{"name":"d"}`
	for name, tt := range map[string]struct {
		answers []string
		items   int
		reason  string // none where it is a good end
	}{
		"fewer items than promised":         {[]string{fmt.Sprintf(page, two, "1", 9, 5), fmt.Sprintf(page, "", "2", 9, 5)}, 2, "page 2 is empty"},
		"a total beyond all bounds":         {[]string{fmt.Sprintf(page, two, "1", 1<<30, 1<<30), fmt.Sprintf(page, "", "2", 1<<30, 1<<30)}, 2, "page 2 is empty"},
		"more pages than items":             {[]string{fmt.Sprintf(page, two, "1", 2, 5), fmt.Sprintf(page, "", "2", 2, 5)}, 2, ""},
		"fewer pages than items":            {[]string{fmt.Sprintf(page, two, "1", 4, 1), fmt.Sprintf(page, other, "2", 4, 1)}, 4, ""},
		"items gone meanwhile":              {[]string{fmt.Sprintf(page, two, "1", 9, 5), fmt.Sprintf(page, "", "2", 2, 1)}, 2, ""},
		"no numbers at all":                 {[]string{`{"items":[` + two + `]}`, `{"items":[` + other + `]}`, `{"items":[]}`}, 4, ""},
		"nothing, and more of it":           {[]string{fmt.Sprintf(page, "", "1", 3, 2)}, 0, "page 1 is empty"},
		"a server that does not turn":       {[]string{fmt.Sprintf(page, two, "1", 4, 2), fmt.Sprintf(page, two, "1", 4, 2)}, 2, "the response is page 1, want page 2"},
		"a server that turns the number":    {[]string{fmt.Sprintf(page, two, "1", 6, 3), fmt.Sprintf(page, two, "2", 6, 3)}, 2, "repeats the one before"},
		"numbers too large to count with":   {[]string{`{"items":[` + two + `],"page":1,"page_size":2147483647,"total":2147483647,"pages":2147483647}`, fmt.Sprintf(page, "", "2", 0, 0)}, 2, ""},
		"numbers below zero":                {[]string{`{"items":[` + two + `],"page":1,"page_size":-2,"total":-9,"pages":-1}`}, 2, ""},
		"a page of one that looks the same": {[]string{fmt.Sprintf(page, `{"name":"a"}`, "1", 4, 2), fmt.Sprintf(page, `{"name":"a"}`, "2", 4, 2)}, 2, ""},
	} {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent > len(tt.answers) {
				return nil, errors.New("a page too many")
			}
			return reply(200, tt.answers[sent-1]), nil
		})
		got, err := Collect(c.CVMs.All(t.Context(), nil, WithoutRetry()), 100)
		assert.Len(t, got, tt.items, name)
		assert.Equal(t, len(tt.answers), sent, name)
		if tt.reason == "" {
			require.NoError(t, err, name)
			continue
		}
		var paging *PagingError
		require.ErrorAs(t, err, &paging, name)
		assert.Equal(t, "CVMs.List", paging.Operation)
		assert.Equal(t, sent, paging.Pages, name)
		assert.Contains(t, paging.Reason, tt.reason, name)
	}
}

func TestCursors_ThatGoInCircles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		next   []string
		start  string
		reason string
		sent   int
	}{
		"at once":                 {[]string{"a", "a"}, "", "its next cursor was used before", 2},
		"after a while":           {[]string{"a", "b", "c", "a"}, "", "its next cursor was used before", 4},
		"back to where it began":  {[]string{"b", "start"}, "start", "its next cursor was used before", 2},
		"to itself":               {[]string{"start"}, "start", "its next cursor was used before", 1},
		"empty pages on the way":  {[]string{"a", "b", ""}, "", "", 3},
		"more, but nowhere":       {[]string{"a", "?"}, "", "has no cursor", 2},
		"an end with a cursor":    {[]string{"a", "!b"}, "", "", 2},
		"the first page is all":   {[]string{""}, "", "", 1},
		"a cursor of any content": {[]string{"a&b=c/../☃", ""}, "", "", 2},
	} {
		sent := 0
		var cursors []string
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			next, more := tt.next[min(sent, len(tt.next)-1)], true
			sent++
			cursors = append(cursors, r.URL.Query().Get("cursor"))
			switch {
			case next == "":
				more = false
			case next == "?":
				next = ""
			case next[0] == '!':
				next, more = next[1:], false
			}
			data, err := json.Marshal(map[string]any{"data": []any{}, "pagination": map[string]any{"has_more": more, "next_cursor": next}})
			return reply(200, string(data)), err
		})
		params := &openapi.WorkspacesListParams{}
		if tt.start != "" {
			params.Cursor = &tt.start
		}
		_, err := Collect(c.Workspaces.All(t.Context(), params), 100)
		assert.Equal(t, tt.sent, sent, name)
		assert.Equal(t, tt.start, cursors[0], name)
		if tt.reason == "" {
			require.NoError(t, err, name)
			continue
		}
		var paging *PagingError
		require.ErrorAs(t, err, &paging, name)
		assert.Contains(t, paging.Reason, tt.reason, name)
	}
}

func TestOffsets_ThatContradictEachOther(t *testing.T) {
	t.Parallel()
	usage := func(total int, ids ...string) string {
		records := []any{}
		for _, id := range ids {
			records = append(records, map[string]any{"instance_id": id})
		}
		data, _ := json.Marshal(map[string]any{"usage": records, "total": total, "total_cost": 0})
		return string(data)
	}
	for name, tt := range map[string]struct {
		answers []string
		items   int
		reason  string
	}{
		"a total of the page only":  {[]string{usage(2, "a", "b"), usage(1, "c")}, 3, ""},
		"a total of all":            {[]string{usage(3, "a", "b"), usage(3, "c")}, 3, ""},
		"a page cut short":          {[]string{usage(3, "a"), usage(3, "b"), usage(3, "c")}, 3, ""},
		"items that never come":     {[]string{usage(5, "a", "b"), usage(5)}, 2, "the list ends after 2 of 5 items"},
		"a server that never turns": {[]string{usage(5, "a", "b"), usage(5, "a", "b")}, 2, "repeats the one before"},
		"items gone meanwhile":      {[]string{usage(5, "a", "b"), usage(2)}, 2, ""},
		"nothing":                   {[]string{usage(0)}, 0, ""},
	} {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent > len(tt.answers) {
				return nil, errors.New("a page too many")
			}
			return reply(200, tt.answers[sent-1]), nil
		})
		got, err := Collect(c.Apps.AllUsage(t.Context(), "ab", &openapi.AppsGetUsageParams{Limit: openapi.Ptr(2)}, WithoutRetry()), 100)
		assert.Len(t, got, tt.items, name)
		assert.Equal(t, len(tt.answers), sent, name)
		if tt.reason == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, "Apps.GetUsage: page 2 of this iteration: ", name)
		require.ErrorContains(t, err, tt.reason, name)
	}
}

// A server that always has one more page is not followed for ever.
func TestAll_IsBounded(t *testing.T) {
	t.Parallel()
	sent := 0
	fetch := func(context.Context, place) (int, error) { sent++; return sent, nil }
	c := newTest(t, nil)
	for name, items := range map[string]iter.Seq2[int, error]{
		"number": paged(t.Context(), c, opCVMsList, nil, atNumber(nil), byNumber, fetch,
			func(n int) part[int] { return part[int]{items: []int{n}, size: 1, pages: n + 1, total: n + 1} }),
		"cursor": paged(t.Context(), c, opCVMsList, nil, atCursor(nil), byCursor, fetch,
			func(n int) part[int] { return part[int]{next: strconv.Itoa(n)} }),
		"offset": paged(t.Context(), c, opCVMsList, nil, atOffset(nil, nil, 2, 2), byOffset, fetch,
			func(n int) part[int] { return part[int]{items: []int{n, n + 1}} }),
	} {
		sent = 0
		_, err := Collect(items, 10*maxPages)
		require.ErrorContains(t, err, "continues after 10000", name)
		assert.Equal(t, maxPages, sent, name)
	}
}

// Whatever the pages say of themselves, an iteration ends, yields every item of the pages that it asked for,
// and fails at most once.
func FuzzPaging(f *testing.F) {
	f.Add(uint8(0), 1, []byte{2, 1, 2, 2, 4, 2, 2, 2, 2, 4})
	f.Add(uint8(1), 1, []byte{2, 0, 0, 0, 9, 0, 0, 0, 0, 0})
	f.Add(uint8(2), 0, []byte{3, 0, 0, 0, 7, 1, 0, 0, 0, 7})
	f.Add(uint8(3), 3, []byte{1, 0, 0, 0, 0})
	f.Add(uint8(0), 1<<30, []byte{255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, dialect uint8, at int, script []byte) {
		c := newTest(t, nil)
		fetched, served := 0, 0
		fetch := func(_ context.Context, at place) (part[int], error) {
			if at.number < 0 || at.offset < 0 || at.number > maxPlace+maxPages {
				t.Fatalf("asked for %+v", at)
			}
			fetched++
			if len(script) < 5 {
				return part[int]{}, io.ErrUnexpectedEOF
			}
			// The script goes round, so that a server can also never come to an end.
			s := script[(fetched-1)*5%(len(script)-4):]
			got := part[int]{number: int(int8(s[1])), size: int(int8(s[2])) << (s[2] % 30), pages: int(int8(s[3])), total: int(int8(s[4])) << (s[4] % 30)}
			for i := range int(s[0] % 5) {
				got.items = append(got.items, served+i)
			}
			if got.number == 0 || at.number == 0 || got.number == at.number {
				served += len(got.items)
			}
			if s[1]%3 > 0 {
				got.next, got.more = strconv.Itoa(int(s[3])+fetched*int(s[4]&1)), s[1]%3 == 1
			}
			return got, nil
		}
		start, by := atNumber(&at), follower[int](byNumber[int])
		switch dialect % 4 {
		case 1:
			start, by = atCursor(nil), byCursor
		case 2:
			start, by = atOffset(&at, nil, 2, 2), byOffset
		case 3:
			start, by = atCursor(openapi.Ptr("0")), byFlaggedCursor
		}
		items, failures := []int{}, 0
		for item, err := range paged(t.Context(), c, opCVMsList, nil, start, by, fetch, func(p part[int]) part[int] { return p }) {
			if failures > 0 {
				t.Fatal("something came after the error")
			}
			if err != nil {
				if failures++; !errors.Is(err, io.ErrUnexpectedEOF) && !errors.As(err, new(*PagingError)) && start.err == nil {
					t.Fatal(err)
				}
				continue
			}
			items = append(items, item)
		}
		if fetched > maxPages {
			t.Fatalf("fetched %d pages", fetched)
		}
		if len(items) != served || !slices.IsSorted(items) {
			t.Fatalf("%d of %d items came", len(items), served)
		}
	})
}
