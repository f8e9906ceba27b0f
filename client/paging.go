package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"reflect"
)

// maxPages limits the pages of one iteration: a million items at the usual sizes. A server that always has a next
// page is not followed further.
const maxPages = 10_000

// PagingError is returned if the pages of a list contradict each other: continuing would lose or repeat items, or
// never end. The items that were yielded before it are unchanged.
type PagingError struct {
	// Operation is the method that lists, such as "CVMs.List".
	Operation string
	// Pages is the number of fetched pages, including the contradictory one.
	Pages int
	// Reason is the contradiction.
	Reason string
}

func (e *PagingError) Error() string {
	return fmt.Sprintf("%s: page %d of this iteration: %s", e.Operation, e.Pages, e.Reason)
}

// WithPrefetch makes an iterator such as [CVMsService.All] fetch the next page while the loop uses the items of the
// current one. Leaving the loop then wastes at most one request. Without it, a page is fetched when its first item is
// needed. Other calls ignore the option.
func WithPrefetch() CallOption {
	return callOption(func(c *callConfig) error {
		c.prefetch = true
		return nil
	})
}

// Collect returns at most limit items of an iterator and then stops it, so that no further page is fetched. If the
// iterator fails, Collect returns the error and the items before it.
func Collect[T any](items iter.Seq2[T, error], limit int) ([]T, error) {
	if limit < 1 {
		return nil, fmt.Errorf("collect: limit %d, want 1 or more", limit)
	}
	var all []T
	for item, err := range items {
		if err != nil {
			return all, err
		}
		all = append(all, item)
		if len(all) == limit {
			break
		}
	}
	return all, nil
}

// place is the position of a page. Each pagination style uses the fields that it needs.
type place struct {
	number int    // of the page, from 1
	cursor string // from the page before
	offset int    // items to skip
	limit  int    // items to request
	exact  bool   // a page shorter than limit can only be the last
	err    error  // why the page cannot be requested
}

// part is the paging data of a response, besides its items. Absent data is zero.
type part[T any] struct {
	items  []T
	number int    // of this page
	size   int    // of a full page
	pages  int    // total
	total  int    // total
	next   string // cursor of the next page
	more   bool   // there is a next page
}

// follower returns whether a page follows one, and its place. A reason ends the list with a PagingError; only the last
// page has one.
type follower[T any] func(at place, got part[T]) (next place, more bool, reason string)

// paged yields the items of all pages from start on. fetch requests one page, and read returns its parts.
func paged[A, T any](ctx context.Context, c *Client, op operation, opts []CallOption, start place, follow follower[T],
	fetch func(context.Context, place) (A, error), read func(A) part[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		cfg, err := c.configured(ctx, opts)
		if err = errors.Join(err, start.err); err != nil {
			yield(none, fmt.Errorf("%s: %w", c.router.name(op), err))
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		pages := pageSource[A]{fetch: fetch}
		defer func() {
			cancel()
			pages.wait()
		}()
		guard := pageGuard[T]{}
		for at, n := start, 1; ; n++ {
			if cause := context.Cause(ctx); cause != nil {
				yield(none, fmt.Errorf("%s: %w", c.router.name(op), cause))
				return
			}
			answer, err := pages.get(ctx, at)
			if err != nil {
				yield(none, err)
				return
			}
			got := read(answer)
			fail := func(reason string) {
				yield(none, &PagingError{Operation: c.router.name(op), Pages: n, Reason: reason})
			}
			if reason := guard.refuse(at, got); reason != "" {
				fail(reason)
				return
			}
			next, more, reason := follow(at, got)
			if more {
				reason = guard.stop(n, at, next)
			}
			if more && reason == "" && cfg.prefetch {
				pages.begin(ctx, next)
			}
			for _, item := range got.items {
				if !yield(item, nil) {
					return
				}
			}
			if reason != "" {
				fail(reason)
			}
			if !more || reason != "" {
				return
			}
			at = next
		}
	}
}

// pageSource fetches pages, optionally one of them ahead.
type pageSource[A any] struct {
	fetch func(context.Context, place) (A, error)
	ahead chan fetched[A] // nil unless a fetch runs
}

type fetched[A any] struct {
	answer A
	err    error
}

func (s *pageSource[A]) begin(ctx context.Context, at place) {
	ahead := make(chan fetched[A], 1)
	s.ahead = ahead
	go func() {
		answer, err := s.fetch(ctx, at)
		ahead <- fetched[A]{answer, err}
	}()
}

// get returns the page of the running fetch, or fetches the one at the place.
func (s *pageSource[A]) get(ctx context.Context, at place) (A, error) {
	if s.ahead == nil {
		return s.fetch(ctx, at)
	}
	page := <-s.ahead
	s.ahead = nil
	return page.answer, page.err
}

// wait waits for the end of a fetch whose page is not needed any more.
func (s *pageSource[A]) wait() {
	if s.ahead != nil {
		<-s.ahead
	}
}

// pageGuard ends lists that would never end.
type pageGuard[T any] struct {
	cursors map[[sha256.Size]byte]struct{} // hashed, because a cursor can be of any length
	before  []T
}

// refuse returns the reason why a page is not the requested one, or "".
func (g *pageGuard[T]) refuse(at place, got part[T]) string {
	before := g.before
	g.before = got.items
	switch {
	case got.number != 0 && at.number != 0 && got.number != at.number:
		return fmt.Sprintf("the response is page %d, want page %d", got.number, at.number)
	case len(got.items) > 1 && reflect.DeepEqual(got.items, before):
		// A single item may legitimately equal the one before it.
		return "the page repeats the one before"
	}
	return ""
}

// stop returns the reason to stop after page n, or "".
func (g *pageGuard[T]) stop(n int, at, next place) string {
	if next.cursor != "" {
		if g.cursors == nil {
			g.cursors = map[[sha256.Size]byte]struct{}{sha256.Sum256([]byte(at.cursor)): {}}
		}
		key := sha256.Sum256([]byte(next.cursor))
		if _, used := g.cursors[key]; used {
			return "its next cursor was used before"
		}
		g.cursors[key] = struct{}{}
	}
	if n == maxPages {
		return fmt.Sprintf("the list continues after %d pages", maxPages)
	}
	return ""
}

// copied returns a copy of the parameters of a list, so that an iteration does not change the caller's.
func copied[P any](params *P) P {
	if params == nil {
		var none P
		return none
	}
	return *params
}

// maxPlace limits page numbers and offsets, so that increasing them cannot overflow.
const maxPlace = 1 << 30

// atNumber returns the place of a page number, by default of the first page.
func atNumber(page *int) place {
	switch {
	case page == nil:
		return place{number: 1}
	case *page < 1 || *page > maxPlace:
		return place{err: fmt.Errorf("page %d, want 1 to %d", *page, maxPlace)}
	}
	return place{number: *page}
}

// byNumber is the follower of numbered pages with a total. If the number of pages and the number of items disagree, it
// follows the larger one: a page too many costs a request, one too few hides items. An empty page ends the list
// unless the total shows that items are missing.
func byNumber[T any](at place, got part[T]) (next place, more bool, reason string) {
	next = place{number: at.number + 1}
	size := int64(min(max(got.size, 0), maxPlace))
	before := int64(at.number-1) * size
	missing := before < int64(got.total)
	if size == 0 {
		missing = at.number <= got.pages
	}
	switch {
	case len(got.items) == 0 && missing:
		return next, false, fmt.Sprintf("page %d is empty, but the response reports %d items on %d pages", at.number, got.total, got.pages)
	case len(got.items) == 0:
		return next, false, ""
	case got.pages == 0 && got.total == 0:
		// There is no total, so only an empty page can be the last.
		return next, true, ""
	}
	return next, at.number < got.pages || size > 0 && before+size < int64(got.total), ""
}

// atCursor returns the place of a cursor, by default of the first page.
func atCursor(cursor *string) place {
	if cursor == nil {
		return place{}
	}
	return place{cursor: *cursor}
}

// byCursor is the follower of pages with a cursor. A page may be empty and still have a next one.
func byCursor[T any](_ place, got part[T]) (next place, more bool, reason string) {
	if got.more && got.next == "" {
		return next, false, "the response reports a next page, but has no cursor"
	}
	return place{cursor: got.next}, got.next != "", ""
}

// byFlaggedCursor is byCursor for responses that also report whether there is a next page.
func byFlaggedCursor[T any](at place, got part[T]) (next place, more bool, reason string) {
	if !got.more {
		return next, false, ""
	}
	return byCursor(at, got)
}

// atOffset returns the place after some items. usual is the default of the limit, and most its documented maximum.
func atOffset(offset, limit *int, usual, most int) place {
	at := place{limit: usual}
	if offset != nil {
		at.offset = *offset
	}
	if limit != nil {
		at.limit = *limit
	}
	at.exact = at.limit <= most
	switch {
	case at.offset < 0 || at.offset > maxPlace:
		return place{err: fmt.Errorf("offset %d, want 0 to %d", at.offset, maxPlace)}
	case at.limit < 1:
		return place{err: fmt.Errorf("limit %d, want 1 or more", at.limit)}
	}
	return at
}

// byOffset is the follower of pages with an offset. It continues after a full page whatever the total is, because a page
// too many costs a request, one too few hides items; after a short one, it continues if the total requires it.
func byOffset[T any](at place, got part[T]) (next place, more bool, reason string) {
	next = at
	next.offset += len(got.items)
	if len(got.items) == 0 {
		if at.offset < got.total {
			return next, false, fmt.Sprintf("the list ends after %d of %d items", at.offset, got.total)
		}
		return next, false, ""
	}
	return next, next.offset < got.total || len(got.items) >= at.limit || !at.exact, ""
}
