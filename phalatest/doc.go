// Package phalatest runs a fake Phala Cloud inside a test.
//
//	cloud := phalatest.New(t)
//	c, err := cloud.Client()
//	app, err := deploy.Run(ctx, c, spec, deploy.WithKMSRoot(cloud.KMSRoot()),
//		deploy.WithVerification(cloud.AttestationPolicy()))
//	env, err := cloud.Env("shop-1") // the environment of the containers
//
// The fake answers every operation of the API and keeps one state: a change by one call is visible in all others. It
// completes app-compose documents with the platform's defaults and hashes them. It derives app ids from a wallet and a
// nonce, signs the keys of apps with a KMS root key, decrypts secrets as a guest does, and boots CVMs step by step.
// Shapes and identifiers follow the version header.
//
// # Strictness
//
// The test fails if a request does not fit the description of the API: an unknown route, field, parameter or content
// type, a missing API key or version header, a wrong type, a value out of range, a null that the API does not accept.
// The message names what is wrong, and the response is that of the API. With [Lenient] only the response remains.
//
// If the real cloud is careless or hostile, so is the fake:
//   - it hashes a document as it received it, nulls and unknown members included;
//   - it picks a development image unless a request refuses one (prefer_dev) or names another;
//   - node_id and teepod_id are two id spaces, and a number of one is another node in the other;
//   - it refuses a docker-compose text that does not parse, and a variable whose value is null (ERR-01-003);
//   - its guest changes secrets as a real guest does, see [Server.Env];
//   - [Server.NewWorkspace] adds another workspace with apps of its own under the same KMS.
//
// Where nobody has published what the real cloud does, an option chooses: [WithStoppedUpdates], [WithDeviceRule],
// [WithTransactionRule], [WithOldEvidence]. Tests should run both.
//
// # Faults and forgeries
//
//   - [Server.Fault] makes an operation fail in the ways of [Fault], and [Server.TamperResponse] changes its responses.
//   - [Server.FailBoot] makes a CVM fail to boot, and [Server.Exit] powers one off from within.
//   - [Server.BootInstead] boots another app-compose than the requested one, [Server.ForgeQuote] changes the signed
//     quote, and [Server.TamperEvidence] changes the evidence in responses.
//   - [WithHardware] sets the state of the machines, such as a TCB status.
//
// # Contents of the cloud
//
// There are one workspace, two nodes, and the central KMS, which allows every compose hash. [WithChain] adds a KMS that a
// contract governs. A change that is only prepared waits for its token. The fake never uses the network:
// [Server.SetGitHubKeys] and [Server.SetDNS] set what it would read there.
//
// The hardware is a test authority (package quotetest). Running CVMs have quotes with real signatures, event logs that
// replay, and collateral, all under a root that is not Intel's. [Server.AttestationPolicy] trusts it.
//
// Webhooks are signed and delivered with the cloud's time limit, attempts and pauses, and each delivery is recorded. Once
// a webhook exists, CVMs advance without further calls. [WithWebhookReceiver] passes deliveries to an http.Handler without
// a network, [WithLocalWebhooks] accepts an httptest.Server, and [Server.Emit] sends any other event.
//
// [Server.Transport] serves a client without a network, also within testing/synctest. A [Server] is an http.Handler, for
// example for a client in another language: see examples/fakecloud. Its memory is bounded: calls by [WithRequestLog],
// provisions and prepared changes by their 14 days, operations, deliveries and quotes by number.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the
// consequences for whoever distributes a binary.
package phalatest

// The files in reading order:
//
//   - server.go, options.go; request.go, route.go, response.go, encoding.go: from a request to its response
//   - request_log.go, fault.go: recorded requests, faults
//   - workspace.go, ssh_keys.go, catalogue.go, kms.go, chain.go: what CVMs depend on
//   - document.go, provision.go, cvm.go, lifecycle.go, state.go, cvm_views.go, cvm_settings.go: a CVM from its document on
//   - update.go, approval.go, replica.go, app.go: changes, prepared changes, replicas, revisions and usage
//   - evidence.go, quote_registry.go; logs.go; webhook.go, webhook_operations.go
