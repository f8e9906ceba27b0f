// Package phalatest is an in-process Phala Cloud to test against.
//
//	cloud := phalatest.New(t)
//	c, err := cloud.Client()
//	app, err := deploy.Run(ctx, c, spec, deploy.WithKMSRoot(cloud.KMSRoot()),
//		deploy.WithVerification(cloud.AttestationPolicy()))
//	env, err := cloud.Env("shop-1") // what the containers see
//
// It works for real where that matters: it completes app-compose documents with the platform's defaults and hashes them,
// derives app ids from a wallet and a nonce, signs the keys of apps with a KMS root key, decrypts secrets as a guest
// does, and boots CVMs step by step. It keeps one state: what one call changes, every other call shows, be it a status, a
// revision, an operation, the usage or a quota. Shapes and identifiers follow the version header.
//
// # Strictness
//
// A request that does not fit the description of the API fails the test with a message that names what is wrong, besides
// being answered as the API does: an unknown route, field, parameter or content type, a missing API key or version
// header, a wrong type, a value out of range, a null where the API accepts none. With [Lenient] only the response remains.
//
// If the real cloud is careless or hostile, so is this one:
//   - it hashes a document as it received it, nulls and unknown members included;
//   - it picks a development image unless a request refuses one (prefer_dev) or names another;
//   - node_id and teepod_id are two id spaces, and a number of one is another machine in the other;
//   - it refuses a docker-compose text that does not parse, and a variable whose value is null (ERR-01-003);
//   - its guest loses what a real guest loses of a secret, see [Server.Env];
//   - [Server.NewWorkspace] adds another workspace with apps of its own under the same KMS.
//
// Where nobody has published what the real cloud does, an option chooses: [WithStoppedUpdates], [WithDeviceRule],
// [WithTransactionRule], [WithOldEvidence]. Tests should run both.
//
// # Faults and forgeries
//
// [Server.Fault] makes an operation fail in the ways of [Fault]. [Server.TamperResponse] changes its responses.
// [Server.FailBoot] makes a CVM fail to boot, and [Server.Exit] powers one off from within. [Server.BootInstead] boots
// another app-compose than the one that was asked for, [Server.ForgeQuote] changes what the hardware signs,
// [Server.TamperEvidence] what the cloud shows of it, and [WithHardware] the state of the machines.
//
// # What there is
//
// There are one workspace, two nodes, and the central KMS, with which every compose hash is allowed; [WithChain] adds a
// KMS that a contract governs. A change that is only prepared waits for its token. The cloud never asks the network:
// [Server.SetGitHubKeys] and [Server.SetDNS] set what it would find there.
//
// Its hardware is a test authority (package quotetest): running CVMs show quotes with real signatures, event logs that
// replay, and collateral, all under a root that is not Intel's, which [Server.AttestationPolicy] trusts.
//
// It posts the events of its CVMs to webhooks, signed, with the cloud's time limit, attempts and pauses, and keeps a row
// of each delivery; once there is a webhook, CVMs live on although nobody asks. [WithWebhookReceiver] passes deliveries
// to an http.Handler without a network, [WithLocalWebhooks] accepts an httptest.Server, and [Server.Emit] posts any other
// event.
//
// [Server.Transport] serves a client without a network, also within testing/synctest; a [Server] is an http.Handler for
// everything else, such as a client in another language: see examples/fakecloud. What it remembers is bounded: calls by
// [WithRequestLog], provisions and prepared changes by their 14 days, operations, deliveries and quotes by number.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the
// consequences for whoever distributes a binary.
package phalatest
