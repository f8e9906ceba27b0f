package openapi

import "encoding/json"

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
