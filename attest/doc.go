// Package attest verifies what really runs in a CVM, without trusting the cloud that runs it: from the quote that the
// hardware signs down to the compose hash of the app.
//
//	policy := attest.Policy{
//		AppID:         app,
//		ComposeHashes: []compose.Hash{hash},
//		KMSRootCAs:    [][]byte{root},
//		Images:        images,
//		ReportData:    &nonce,
//		Collateral:    attest.NewCollateralCache(attest.IntelPCS(nil)).Collateral,
//	}
//	evidence, err := attest.FromCVM(attestation) // from the API; or FromApp, FromInfo, FromFiles
//	report, err := attest.Verify(ctx, evidence, policy)
//
// # The chain of trust
//
// Each link is a check with a name. A link that fails is an error, and so is one that is required but cannot be
// checked.
//
//  1. The quote is signed by a key that a quoting enclave certifies, the enclave's report by the PCK key of
//     the machine, that key's certificate by Intel, the root of trust ([CheckSignature]).
//  2. Intel's collateral states that the enclave and the TDX module are Intel's, that no certificate is revoked,
//     and the state of the platform ([CheckCollateral] to [CheckAdvisories]).
//  3. go-tdx-guest comes to the same result ([CheckSecondOpinion]).
//  4. The quote states that the host can neither read the trust domain nor move it ([CheckDebug] to
//     [CheckServiceTD]), and which firmware, kernel and command line it booted ([CheckMeasurements]).
//  5. The event log replays to the quote's registers, so its events are true ([CheckEventLog]).
//  6. The events before system-ready contain app id, compose hash, instance and key provider ([CheckBootEvents]
//     to [CheckOSImage]); the SHA-256 of the exact app-compose text is that compose hash ([CheckComposeText]).
//  7. The host's configuration at start agrees ([CheckMRConfigID]).
//  8. The report data is the caller's nonce, the key of the TLS connection, or that of a KMS or a gateway
//     ([CheckReportData]).
//
// Links 5 and 6 rest on link 4: a firmware or kernel of an attacker can measure anything. The caller sets which image
// may boot ([Policy.Images]). Without it the report has "not asked", and the line of Go that sets it.
//
// # Two verifiers
//
// The signatures of quotes of version 4 and 5 are verified with the standard library, and this package evaluates the
// collateral. github.com/google/go-tdx-guest verifies quotes of version 4 a second time, and both must agree. It
// evaluates the collateral as well, if it supports it: it accepts the status UpToDate alone, and the FMSPC in lower
// case.
//
// For tests, phalatest/quotetest signs quotes below a root of its own.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package attest
