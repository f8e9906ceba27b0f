package phalatest

import "github.com/phala-go/phala/phalatest/internal/description"

// operationName is an operation as service and method, such as "CVMs.Create".
type operationName string

// route is one operation as the generated table lists it.
type route struct {
	operation   operationName
	verb        string
	path        string
	status      int
	answer      func(*Server, *call) answer
	public      bool
	optionalKey bool
}

// described is how the description names the operation.
func (r *route) described() description.Route { return description.Route{Verb: r.verb, Path: r.path} }
