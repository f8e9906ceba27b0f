// Package quotetest signs TDX quotes for tests, so that a program which verifies its CVMs can be tested
// without one.
//
//	authority, err := quotetest.New()
//	evidence, err := authority.Evidence(quotetest.Spec{AppID: app, AppCompose: text})
//	policy := authority.Policy()
//	policy.AppID = app
//	report, err := attest.Verify(ctx, evidence, policy)
//
// An [Authority] has a root of its own in the place of Intel's, and below it everything that a real quote
// rests on: a PCK chain with the SGX extensions, TCB info, the identity of a quoting enclave, revocation
// lists, and an event log that replays to the registers. All signatures are real ECDSA. Its certificates bear
// Intel's names, because go-tdx-guest compares them; that they are not Intel's is plain from the root.
//
// To test what must be refused, [Option] changes an authority (an expired or revoked platform), [Change]
// forges what the hardware signs, and [attest.Evidence] is a plain value that can be changed afterwards.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md says what that asks of
// whoever ships a binary.
package quotetest
