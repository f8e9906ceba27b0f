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
// If the policy names no source of collateral, it is [CloudCollateral].
package verify
