// Package client calls the Phala Cloud API.
//
// [New] makes a [Client]. Its fields are services, each with a method for each operation:
//
//	c, err := client.New(client.WithAPIKey(key))
//	cvm, err := c.CVMs.Get(ctx, "web")
//	apps, err := c.Apps.List(ctx, &openapi.AppsListParams{PageSize: openapi.Ptr(50)})
//
// Every request goes through one pipeline. It refuses an identifier that would change the route, sends the
// API key to the base host only, never follows a redirect, bounds every body, and repeats a failed call when
// the operation allows it: a safe one (reads) after any transient failure, an idempotent one after transport
// failures and those of proxies (502 to 504, 520 to 527, 530), an unsafe one only if it provably did not arrive or
// the server sent Retry-After. A TLS failure is never repeated.
// [Client.API], the generated raw client, and [Client.Do], for what is not described yet, use the same
// pipeline.
//
// A failure that the API answers is an [*APIError]; errors.Is tells its kind ([ErrNotFound], [ErrBusy], …),
// its Code the exact reason. An answer that came whole and cannot be decoded is a [*DecodeError], which
// matches [ErrDecode]; a single odd field does not make one, but is absent.
//
// An identifier of a CVM may be its id, its UUID, an app id of 40 hexadecimal digits, bare or behind "app_" or "0x",
// "instance_" with 40 digits, or its name.
//
// A list that comes in pages has an iterator beside it, which yields the items of all pages:
//
//	for cvm, err := range c.CVMs.All(ctx, nil) { … }
//
// It fetches a page when its first item is asked for ([WithPrefetch] looks ahead), stops when the loop does,
// and begins anew each time it is ranged over. Parameters say where to begin and what to keep, and are not
// changed. An error is yielded once, as the last thing; a [*PagingError] where the pages contradict each
// other. Where items are added or removed meanwhile, some may come twice or not at all. [Collect] gathers
// items up to a limit.
//
// [CVMsService.Watch] follows a CVM, [CVMsService.WaitFor] waits until it has a status, [Client.WaitAll] does so
// for thousands, and [CVMsService.WaitIdle] waits until no operation runs on it.
//
// Options given to New hold for all calls; a [CallOption] can also be given to a single one.
package client
