// Package quotetest signs TDX quotes for tests, so that the verification of CVMs can be tested without hardware.
//
//	authority, err := quotetest.New()
//	evidence, err := authority.Evidence(quotetest.Spec{AppID: app, AppCompose: text})
//	policy := authority.Policy()
//	policy.AppID = app
//	report, err := attest.Verify(ctx, evidence, policy)
//
// An [Authority] has its own root in place of Intel's. It issues the PCK chain with the SGX extensions, the TCB info, the
// identity of a quoting enclave and the revocation lists, and signs quotes with event logs that replay to their
// registers. All signatures are real ECDSA. The certificates have Intel's common names, because go-tdx-guest compares
// them, and the organization "phala quotetest".
//
// For tests of refusals, an [Option] changes an authority (an expired or revoked platform), a [Change] changes the
// signed values, and an [attest.Evidence] is a plain value that can be changed afterwards.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package quotetest
