// Package openapi has the models of the Phala Cloud API and a raw HTTP client, both generated from the
// description openapi.json beside it.
//
// Most programs use package client, which adds authentication, retries, errors and paging; its field API is
// the [Client] of this package, sent through the same pipeline. What is written by hand here are the few
// types that make reading lenient and handling safe: [ID], [Time], [Decimal], [Flag], [Secret], [List], [RawJSON],
// [CVMStatus] and [PathParam]. [Document] is the description itself. json.Marshal hides the secrets of a value, [Marshal]
// writes them.
//
// In a request an optional field is a pointer, so that false and 0 can be sent ([Ptr] makes one); nil is
// not sent. Lists are plain: nil is not sent, an empty one is; a required one is a [List], and sent as [] if it is nil.
// An [AppCompose] keeps every document exactly, because its hash is over exact values: what does not fit a field
// stands in AdditionalProperties. In an answer absent text is "", and absent
// numbers, booleans and objects are nil. Names of enumerated values are open: the API may send others.
package openapi
