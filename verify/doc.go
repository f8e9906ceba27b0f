// Package verify verifies apps that already run on Phala Cloud: it fetches the evidence of CVMs and Intel's
// collateral through the API, and package attest verifies both. The cloud only transports them; nothing passes
// because of the cloud's reports.
//
//	policy := attest.Policy{ComposeHashes: []compose.Hash{hash}, KMSRootCAs: [][]byte{root}}
//	result, err := verify.App(ctx, c, app, policy)
//
// [App] verifies every instance of an app, [Repeat] does so on an interval and reports changes, and [CVM] verifies
// one CVM. errors.Is matches the error with the sentinel of each check that failed, such as [attest.ErrComposeHash];
// the result is complete in either case.
//
// [Client] returns an http.Client for one app alone, for requests with data that only the verified app may receive.
//
// A [Result] includes the KMS and the gateway of the app, and can be written as JSON, JUnit or SARIF;
// [Result.ExitCode] distinguishes kinds of failure. Each [Instance] has a bundle, with which the verification can be
// repeated offline years later.
//
// If the policy has no source of collateral, [CloudCollateral] is used, and Intel for [Client].
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package verify
