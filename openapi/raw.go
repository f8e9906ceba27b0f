package openapi

import "encoding/json"

// RawJSON is a JSON value with its exact bytes, for values whose format the API does not document, or whose exact
// text matters.
type RawJSON = json.RawMessage
