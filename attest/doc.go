// Package attest verifies what really runs in a CVM, without trusting the cloud that runs it: from the quote
// that the hardware signs down to the compose hash of the app.
//
//	policy := attest.Policy{
//		AppID:         app,
//		ComposeHashes: []compose.Hash{hash},
//		KMSRootCAs:    [][]byte{root},
//		Measurements:  known,
//		ReportData:    &nonce,
//		Collateral:    attest.NewCollateralCache(attest.IntelPCS(nil)).Collateral,
//	}
//	evidence, err := attest.FromCVM(attestation) // from the API; or FromApp, FromInfo, FromFiles
//	report, err := attest.Verify(ctx, evidence, policy)
//
// # The chain of trust
//
// Each link is a check with a name; a link that fails is an error, and so is one that cannot be checked though
// the policy asks for it.
//
//  1. The quote is signed by a key that a quoting enclave vouches for, the enclave's report by the PCK key of
//     the machine, that key's certificate by Intel, the root of trust ([CheckSignature]).
//  2. Intel's collateral says that the enclave and the TDX module are Intel's, that no certificate is revoked,
//     and in what state the platform is ([CheckCollateral] to [CheckAdvisories]).
//  3. The quote says that the trust domain cannot be debugged ([CheckDebug]) and which firmware, kernel and
//     command line it booted ([CheckMeasurements]).
//  4. The event log replays to the quote's registers, so its events are true ([CheckEventLog]).
//  5. The events before system-ready name app id, compose hash, instance and key provider ([CheckBootEvents]
//     to [CheckOSImage]); the SHA-256 of the exact app-compose text is that compose hash ([CheckComposeText]).
//  6. What the host was told at start agrees ([CheckMRConfigID]).
//  7. The report data is the caller's nonce, or the key of the TLS connection ([CheckReportData]).
//
// Links 4 and 5 rest on link 3: a firmware or kernel of somebody else's making can measure what it likes.
// Known good measurements are for the caller to give; without them the report says "not asked".
//
// # What does the judging
//
// github.com/google/go-tdx-guest verifies the signatures of quotes of version 4. It is always given roots and
// a time. Its own default checks neither collateral nor revocation; here both are checked unless the policy
// waives them by name. The collateral is judged by this package, because the library accepts UpToDate alone
// and does not tell what it found instead; where everything is UpToDate the library judges the collateral as
// well, and both must agree. Quotes of version 5 it does not know: their body is read and compared, but the
// signature is reported as not verified, which is a failure.
//
// For tests, phalatest/quotetest signs quotes below a root of its own.
package attest
