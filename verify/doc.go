// Package verify verifies what runs already on Phala Cloud: it fetches the evidence of CVMs and Intel's collateral
// through the API, and package attest judges both. The cloud is only the messenger; nothing passes because of what
// the cloud reports.
//
//	policy := attest.Policy{ComposeHashes: []compose.Hash{hash}, KMSRootCAs: [][]byte{root}}
//	result, err := verify.App(ctx, c, app, policy)
//
// [App] verifies every instance of an app, [Repeat] does so on an interval and reports what changed, and [CVM]
// verifies one CVM. The error is by errors.Is the sentinel of each check that failed, such as
// [attest.ErrComposeHash]; the result is complete either way.
//
// [Client] returns an http.Client that talks to one app alone, for the requests that carry what the app is trusted with.
//
// A [Result] has the KMS and the gateway of the app, too, and can be written as JSON, JUnit or SARIF; [Result.ExitCode]
// separates kinds of failure. Each [Instance] has a bundle, with which the verification can be repeated offline years
// later.
//
// If the policy names no source of collateral, it is [CloudCollateral], and Intel for [Client].
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md says what that asks of
// whoever ships a binary.
package verify
