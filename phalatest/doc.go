// Package phalatest is an in-process Phala Cloud to test against.
//
//	cloud := phalatest.New(t)
//	c, err := cloud.Client()
//	result, err := deploy.Run(ctx, c, spec, deploy.WithKMSRoot(cloud.KMSRoot()))
//	env, err := cloud.Env(result.State.CVM)
//
// It works for real where that matters: it completes app-compose documents with the platform's defaults and
// hashes them, derives app ids from a wallet and a nonce, signs the keys of apps with a KMS root key, decrypts
// the secrets as a guest would, and boots CVMs step by step. It keeps one state: what one call changes,
// every other call shows. Shapes and identifiers follow the version header.
//
// It is strict: a route that does not exist, a missing API key or version header, and a body with unknown
// members or wrong types fail the test with a message that names them, besides being answered as the API
// does; [Lenient] leaves it at the answer. Operations that are described and not faked yet answer 501.
//
// It misbehaves on command: [Server.Inject] makes an operation fail, be slow, or lose its answer after the
// work was done; [Server.Rewrite] lets it lie; [Server.FailBoot] lets a CVM fail to boot.
//
// It posts the events of its CVMs to webhooks, signed, with the cloud's time limit, attempts and pauses, and keeps
// a row of each delivery; once there is a webhook, CVMs live on although nobody asks. [WithWebhookReceiver]
// hands deliveries to an http.Handler without a network, [WithLocalWebhooks] accepts an httptest.Server, and
// [Server.Emit] posts any other event.
//
// [Server.Transport] serves a client without a network, also within testing/synctest; a [Server] is an
// http.Handler for everything else, such as a client in another language: see examples/fakecloud.
package phalatest
