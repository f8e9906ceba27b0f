// Package deploy brings a docker-compose file to a running confidential VM, and keeps it running what its owner wants,
// without having to trust the cloud that runs it.
//
//	app, err := deploy.Run(ctx, c, deploy.Spec{Name: "web", Compose: doc, Env: env}, deploy.WithKMSRoot(root), …)
//	err = deploy.SaveFile("web.json", app)
//	next, err := deploy.Update(ctx, c, app, deploy.UpdateSpec{DockerCompose: text})
//
// [Run] computes the compose hash and compares it with the cloud's, compares the app id, checks that the key the
// secrets are encrypted for is signed by the KMS root that the caller pins, for this app id, encrypts the secrets here,
// creates the CVM and follows it until it runs. At last the hardware proves what runs: package attest verifies its
// quote down to this compose hash and app id. Whatever does not match is a [*MismatchError] with both values, and
// nothing more is sent.
//
// # The anchor
//
// Run returns an [App]: what the owner must know from then on. Each later flow takes it: [Update], [Rollback],
// [Replicate], [AddInstance], [Prepare], [Retire]. What a flow signs, allows on chain, encrypts for, or calls "confirmed"
// follows from the anchor, from what the caller hands in, from the chain, or from evidence that was verified, and never
// from another answer of the cloud. The name of a CVM only finds it; what the cloud describes is compared with the
// anchor first. [Attach] makes the anchor of an app that runs already, from verified evidence or from its contract.
// Keep it with [SaveFile].
//
// # Steps and states
//
// The same work can be done phase by phase ([Provision], [Register], [Encrypt], [Create], [Wait]) with a [State]
// between them that is plain JSON, so that another process can finish what this one began. [Resume] goes on
// from any state; [WithCheckpoint] is called with each new one. A change under way is a [Pending], saved by
// [WithPending] and finished by [Finish]. Nothing is sent twice.
//
// # Chains
//
// The KMS is the central one ("phala"), or one that a contract on a chain governs ([WithChain]). Then the contract of
// the app allows what may run. If the owner of the contract must allow a change first and no chain is given, the
// change is a [*Pending]: one process gets it from [Prepare], the owner reads and allows its [Approval] ([Approve], or
// a proposal to a multisig), and a third one carries it out with [Commit], days later and without an API key.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the
// consequences for whoever distributes a binary.
package deploy
