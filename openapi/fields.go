package openapi

import (
	"encoding/json"
)

// Ptr returns a pointer to v, for the optional fields of a request.
func Ptr[T any](v T) *T { return &v }

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

// RawJSON is a JSON value with its exact bytes, for values whose format the API does not document, or whose exact
// text matters.
type RawJSON = json.RawMessage

// UnmarshalJSON accepts the object of newer servers, and a bare device id: nodes in some responses have the one,
// references to nodes may have the other.
func (d *NodeDevice) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*d = NodeDevice{}
		return json.Unmarshal(data, &d.DeviceID)
	}
	type plain NodeDevice
	return json.Unmarshal(data, (*plain)(d))
}
