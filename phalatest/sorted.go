package phalatest

import (
	"maps"
	"slices"
	"time"

	"github.com/phala-go/phala/openapi"
)

// sortedKeys is never nil, so that it is a list in JSON.
func sortedKeys[V any](m map[string]V) []string {
	return append([]string{}, slices.Sorted(maps.Keys(m))...)
}

// stamp writes a time as the API does.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// second returns a time as responses have it, in whole seconds.
func second(t time.Time) openapi.Time {
	if t.IsZero() {
		return openapi.Time{}
	}
	return openapi.Time{Time: t.UTC().Truncate(time.Second)}
}

func stampOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return stamp(t)
}
