// Package openapi contains the models of the Phala Cloud API and a raw HTTP client, both generated from the
// description openapi.json beside it.
//
// Most programs use package client, which adds authentication, retries, errors and paging; its field API is the
// [Client] of this package, sent through the same pipeline. Hand-written are the few types that make decoding lenient
// and handling safe: [ID], [Time], [Decimal], [Flag], [Secret], [List], [RawJSON], [CVMStatus] and [PathParam].
// [Document] returns the description itself.
//
// In a request an optional field is a pointer, so that false and 0 can be sent ([Ptr] returns one); nil is not sent.
// Lists are plain: nil is not sent, an empty one is; a required one is a [List], and sent as [] if it is nil. An
// [AppCompose] preserves every document exactly, because its hash is over exact values: AdditionalProperties contains
// what does not fit a field. In a response absent text is "", and absent numbers, booleans and objects are nil.
// Enumerated values are open: the API may send others.
package openapi
