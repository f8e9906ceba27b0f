// Package phalatest is an in-process Phala Cloud to test against.
//
//	cloud := phalatest.New(t)
//	c, err := cloud.Client()
//	result, err := deploy.Run(ctx, c, spec, deploy.WithKMSRoot(cloud.KMSRoot()),
//		deploy.WithVerification(cloud.AttestationPolicy()))
//	env, err := cloud.Env(result.State.CVM)
//
// It works for real where that matters: it completes app-compose documents with the platform's defaults and
// hashes them, derives app ids from a wallet and a nonce, signs the keys of apps with a KMS root key, decrypts
// the secrets as a guest would, and boots CVMs step by step. It keeps one state: what one call changes,
// every other call shows, be it a status, a revision, an operation, the usage or a quota. Shapes and
// identifiers follow the version header.
//
// It is strict: what does not fit the description of the API fails the test with a message that names it,
// besides being answered as the API does. That is an unknown route, field, parameter or content type, a
// missing API key or version header, a wrong type or a value out of range. [Lenient] leaves it at the answer.
//
// It misbehaves on command: [Server.Fault] makes an operation fail in the ways of [Fault]; [Server.TamperAnswer]
// changes its answers; [Server.FailBoot] lets a CVM fail to boot, and [Server.Exit] powers one off from within.
//
// There is one account with one workspace, two nodes, and the central KMS, with which every compose hash is
// allowed. A change that is only prepared waits for its token as one under an on-chain KMS does. It
// never asks the network: [Server.SetGitHubKeys] and [Server.SetDNS] say what it would find there.
//
// Its hardware is a test authority (package quotetest): running CVMs show quotes with real signatures, event logs
// that replay, and collateral, all under a root that is not Intel's, which [Server.AttestationPolicy] trusts.
// [Server.BootInstead] lets another app-compose boot than the one that was asked for, [Server.ForgeQuote] changes what
// the hardware signs, [Server.TamperEvidence] what the cloud shows of it, and [WithHardware] the state of the machines.
//
// It posts the events of its CVMs to webhooks, signed, with the cloud's time limit, attempts and pauses, and keeps
// a row of each delivery; once there is a webhook, CVMs live on although nobody asks. [WithWebhookReceiver]
// hands deliveries to an http.Handler without a network, [WithLocalWebhooks] accepts an httptest.Server, and
// [Server.Emit] posts any other event.
//
// [Server.Transport] serves a client without a network, also within testing/synctest; a [Server] is an
// http.Handler for everything else, such as a client in another language: see examples/fakecloud.
package phalatest
