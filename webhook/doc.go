// Package webhook receives the events that Phala Cloud sends to a workspace's webhooks.
//
//	handler, err := webhook.Handler(secret, func(ctx context.Context, event webhook.Event) error {
//		switch event.Type {
//		case webhook.CVMCreated, webhook.CVMStopped:
//			cvm, err := event.Lifecycle()
//			…
//		}
//		return nil // also for types that this program does not know
//	})
//	http.Handle("/phala", handler)
//
// The function is called for events that the cloud has signed recently, and once for each event. A [Receiver] checks
// the signature over the exact bytes of the body in constant time, the signing time against a tolerance on both
// sides, and the id of the event against the handled ones. Only signed data is used: the headers X-Webhook-Id and
// X-Webhook-Event are not, so the id and the type come from the body.
//
// After a response that is not 2xx the cloud tries again: four attempts in total, after pauses of 1 minute, 10
// minutes and 1 hour, each with the same event id and ten seconds for the response. So a function that fails is
// called again for the same event, and one that takes longer than the cloud waits is not called concurrently.
//
// [Verify] makes the same check on a header and a body, without a net/http server. [Sign] returns what both accept,
// for tests. The package needs the standard library alone.
package webhook
