package openapi

import "encoding/json"

// RawJSON is a JSON value kept byte for byte: where the API publishes no shape, or where the exact text
// matters more than its meaning.
type RawJSON = json.RawMessage
