package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"reflect"
)

// maxPages bounds how many pages one iteration fetches: a million items at the usual sizes, beyond which a
// server that always has one more page is not believed.
const maxPages = 10_000

// PagingError is returned if the pages of a list contradict each other: going on would lose items, repeat them or
// never end. The items that were yielded before it are as the API sent them.
type PagingError struct {
	// Operation that lists, such as "CVMs.List".
	Operation string
	// Pages is how many were fetched, the contradictory one included.
	Pages int
	// Reason is what does not fit.
	Reason string
}

func (e *PagingError) Error() string {
	return fmt.Sprintf("%s: page %d of this iteration: %s", e.Operation, e.Pages, e.Reason)
}

// WithPrefetch lets an iterator such as [CVMsService.All] fetch the next page while the items of the one
// before are used. Breaking off then wastes at most one request. Without it a page is fetched only when its
// first item is asked for. Other calls take no notice of it.
func WithPrefetch() CallOption {
	return callOption(func(c *callConfig) error {
		c.prefetch = true
		return nil
	})
}

// Collect gathers at most limit items of an iterator and then stops it, so that no further page is fetched.
// Where the iterator fails it returns the items before the failure, too.
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

// place says which page to ask for. Each pagination style uses the fields that it knows.
type place struct {
	number int    // of the page, from 1
	cursor string // that the page before named
	offset int    // items to pass over
	limit  int    // items to ask for
	exact  bool   // a page shorter than limit can only be the last
	err    error  // why it cannot be asked for
}

// part is what an answer says of itself, besides its items; what it does not say is zero.
type part[T any] struct {
	items  []T
	number int    // of this page
	size   int    // of a full page
	pages  int    // in all
	total  int    // items in all
	next   string // cursor of the next page
	more   bool   // there is a next page
}

// turn returns whether a page follows one, and where. A reason, given only where none follows, ends the
// list with a PagingError.
type turn[T any] func(at place, got part[T]) (next place, more bool, reason string)

// paged yields the items of all pages from start on. fetch asks for one page, read takes it apart.
func paged[A, T any](ctx context.Context, c *Client, op operation, opts []CallOption, start place, turn turn[T],
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
			next, more, reason := turn(at, got)
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

// pageSource fetches pages, one of them ahead where it is told to begin early.
type pageSource[A any] struct {
	fetch func(context.Context, place) (A, error)
	ahead chan fetched[A] // nil unless a page is under way
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

// get returns the page that is under way, or else fetches the one at the place.
func (s *pageSource[A]) get(ctx context.Context, at place) (A, error) {
	if s.ahead == nil {
		return s.fetch(ctx, at)
	}
	page := <-s.ahead
	s.ahead = nil
	return page.answer, page.err
}

// wait outlives a page that is under way and no longer wanted.
func (s *pageSource[A]) wait() {
	if s.ahead != nil {
		<-s.ahead
	}
}

// pageGuard ends lists that would never end by themselves.
type pageGuard[T any] struct {
	cursors map[[sha256.Size]byte]struct{} // hashed, because a cursor may be of any length
	before  []T
}

// refuse returns the reason why a page is not the one that was asked for, or "".
func (g *pageGuard[T]) refuse(at place, got part[T]) string {
	before := g.before
	g.before = got.items
	switch {
	case got.number != 0 && at.number != 0 && got.number != at.number:
		return fmt.Sprintf("it is page %d where page %d was asked for", got.number, at.number)
	case len(got.items) > 1 && reflect.DeepEqual(got.items, before):
		// A single item may rightly look like the one before it.
		return "it is the page before once more"
	}
	return ""
}

// stop returns the reason not to go on from page n, or "".
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
		return fmt.Sprintf("there is still another one after %d", maxPages)
	}
	return ""
}

// copied returns the parameters of a list, so that an iteration changes none of the caller's.
func copied[P any](params *P) P {
	if params == nil {
		var none P
		return none
	}
	return *params
}

// maxPlace bounds page numbers and offsets, so that counting on from them cannot overflow.
const maxPlace = 1 << 30

// atNumber begins at a page number, the first where none is given.
func atNumber(page *int) place {
	switch {
	case page == nil:
		return place{number: 1}
	case *page < 1 || *page > maxPlace:
		return place{err: fmt.Errorf("page %d, want 1 to %d", *page, maxPlace)}
	}
	return place{number: *page}
}

// byNumber turns pages that are numbered and say how many there are. Where the number of pages and the
// number of items disagree, the one that promises more is followed: a page too many costs a request, one too
// few hides items. An empty page ends the list unless its total says that items are missing.
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
		return next, false, fmt.Sprintf("page %d is empty, though it says that there are %d items on %d pages", at.number, got.total, got.pages)
	case len(got.items) == 0:
		return next, false, ""
	case got.pages == 0 && got.total == 0:
		// It says nothing about the whole, so only an empty page can be the end.
		return next, true, ""
	}
	return next, at.number < got.pages || size > 0 && before+size < int64(got.total), ""
}

// atCursor begins at a cursor, or at the beginning where none is given.
func atCursor(cursor *string) place {
	if cursor == nil {
		return place{}
	}
	return place{cursor: *cursor}
}

// byCursor turns pages that name the next one. A page may be empty and still name it.
func byCursor[T any](_ place, got part[T]) (next place, more bool, reason string) {
	if got.more && got.next == "" {
		return next, false, "it says that there is more, but not where"
	}
	return place{cursor: got.next}, got.next != "", ""
}

// byFlaggedCursor is byCursor for answers that also say whether there is a next page.
func byFlaggedCursor[T any](at place, got part[T]) (next place, more bool, reason string) {
	if !got.more {
		return next, false, ""
	}
	return byCursor(at, got)
}

// atOffset begins after some items. What the API serves at once is known up to most items.
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

// byOffset turns pages that are counted in items. A full page is followed whatever the total says, because a
// page too many costs a request, one too few hides items; a short one is followed where the total says so.
func byOffset[T any](at place, got part[T]) (next place, more bool, reason string) {
	next = at
	next.offset += len(got.items)
	if len(got.items) == 0 {
		if at.offset < got.total {
			return next, false, fmt.Sprintf("nothing comes after %d items, though there are %d in all", at.offset, got.total)
		}
		return next, false, ""
	}
	return next, next.offset < got.total || len(got.items) >= at.limit || !at.exact, ""
}
