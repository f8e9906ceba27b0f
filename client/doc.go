// Package client calls the Phala Cloud API.
//
// [New] returns a [Client]. Its fields are services, with a method for each operation:
//
//	c, err := client.New(client.WithAPIKey(key))
//	cvm, err := c.CVMs.Get(ctx, "web")
//	apps, err := c.Apps.List(ctx, &openapi.AppsListParams{PageSize: openapi.Ptr(50)})
//
// Every request goes through one pipeline. It refuses an identifier that would change the route, sends the API key to
// the base host only, never follows a redirect and limits every body. It repeats a failed call if the retry class of
// the operation allows it: a safe call (reads) after any transient failure, an idempotent one after transport
// failures and those of proxies (502 to 504, 520 to 527, 530), an unsafe one only if it provably did not arrive or
// the server sent Retry-After. A TLS failure is never repeated. [Client.API], the generated raw client, and
// [Client.Do], for operations that are not described yet, use the same pipeline.
//
// An error response of the API is an [*APIError]. errors.Is reports its kind ([ErrNotFound], [ErrBusy], …), and its
// Code is the exact reason. A complete response that cannot be decoded is a [*DecodeError], which matches
// [ErrDecode]. A single field of an unexpected type is not an error: the field is treated as absent.
//
// An identifier of a CVM is its id, its UUID, an app id of 40 hex digits, bare or with the prefix "app_" or "0x",
// "instance_" with 40 digits, or its name.
//
// A paged list has an iterator, which yields the items of all pages:
//
//	for cvm, err := range c.CVMs.All(ctx, nil) { … }
//
// The iterator fetches a page when its first item is needed ([WithPrefetch] fetches one page ahead) and stops with
// the loop. It starts again each time it is ranged over. Parameters set the start and the filters, and are not
// changed. An error is yielded once, as the last value; it is a [*PagingError] if the pages contradict each other. If
// items are added or removed meanwhile, some may appear twice or not at all. [Collect] returns the items up to a
// limit.
//
// [CVMsService.Watch] follows a CVM, [CVMsService.WaitFor] waits until it has a status, [Client.WaitAll] does so for
// thousands, and [CVMsService.WaitIdle] waits until no operation runs on it.
//
// Options of New apply to all calls; a [CallOption] can also be passed to a single one.
package client
