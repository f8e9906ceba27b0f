package openapi

import "encoding/json"

// UnmarshalJSON accepts what newer servers list, an object, and a bare device id: nodes in some answers
// carry the one, references to nodes may carry the other.
func (d *NodeDevice) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*d = NodeDevice{}
		return json.Unmarshal(data, &d.DeviceID)
	}
	type plain NodeDevice
	return json.Unmarshal(data, (*plain)(d))
}
