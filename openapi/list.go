package openapi

import "encoding/json"

// List is a list that a request requires. It exists because encoding/json writes a nil slice as null, which
// the API refuses; a nil List is sent as [].
type List[T any] []T

// MarshalJSON writes the items, and [] for nil.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}
