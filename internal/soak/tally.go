package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// tally counts flows, faults, errors and violations. It is safe for concurrent use.
type tally struct {
	requests atomic.Int64

	mu         sync.Mutex
	flows      map[string]int
	faults     map[fault]int
	errors     map[string]int
	violations []violation
}

// violation is a rule that one flow broke.
type violation struct {
	seed uint64
	flow string
	text string
}

func newTally() *tally {
	return &tally{flows: map[string]int{}, faults: map[fault]int{}, errors: map[string]int{}}
}

func (t *tally) flow(name string)    { count(t, t.flows, name) }
func (t *tally) fault(f fault)       { count(t, t.faults, f) }
func (t *tally) failure(kind string) { count(t, t.errors, kind) }

func count[K comparable](t *tally, counts map[K]int, key K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts[key]++
}

func (t *tally) violate(v violation) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.violations = append(t.violations, v)
}

// print writes the counts and the violations, each with the flags that repeat it.
func (t *tally) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	table(w, "flows", t.flows)
	table(w, fmt.Sprintf("faults, in %d requests", t.requests.Load()), t.faults)
	table(w, "errors that flows returned", t.errors)
	fmt.Fprintf(w, "\n%d violations\n", len(t.violations))
	slices.SortFunc(t.violations, func(a, b violation) int { return cmp.Compare(a.seed, b.seed) })
	for _, v := range t.violations {
		fmt.Fprintf(w, "  -seed %d -flows 1: %s: %s\n", v.seed, v.flow, v.text)
	}
}

func table[K cmp.Ordered](w io.Writer, title string, counts map[K]int) {
	total := 0
	for _, n := range counts {
		total += n
	}
	fmt.Fprintf(w, "\n%s: %d\n", title, total)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%8d  %v\n", counts[name], name)
	}
}
