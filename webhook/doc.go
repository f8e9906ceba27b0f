// Package webhook receives the events that Phala Cloud posts to a workspace's webhooks.
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
// The function is called for events that the cloud has signed, recently, and once for each event: a [Receiver]
// checks the signature over the exact bytes of the body in constant time, the time of signing against a
// tolerance on both sides, and the id of the event against those that were handled before. Only what is
// signed is used: the headers X-Webhook-Id and X-Webhook-Event are not, so the id and the type come from the
// body.
//
// An answer that is not 2xx lets the cloud try again: four attempts in all, after pauses of 1 minute,
// 10 minutes and 1 hour, each with the same event id and ten seconds for the answer. So a function that fails
// is called again for the same event, and one that takes longer than the cloud waits is not called twice at
// a time.
//
// [Verify] is the same check for those who have a header and a body and no net/http server. [Sign] makes what
// both accept, for tests. The package needs the standard library alone.
package webhook
