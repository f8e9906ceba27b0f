// Package deploy deploys, updates and verifies confidential apps, without trust in the cloud that runs them.
//
//	app, err := deploy.Run(ctx, c, deploy.Spec{Name: "web", Compose: doc, Env: env}, deploy.WithKMSRoot(root), …)
//	err = deploy.SaveFile("web.json", app)
//	next, err := deploy.Update(ctx, c, app, deploy.UpdateSpec{DockerCompose: text})
//
// [Run] computes the compose hash and compares it with the cloud's. It compares the app id, and checks that the pinned
// KMS root signed the env key for this app id. It encrypts the secrets locally, creates the CVM, and waits until the CVM
// runs. Finally, package attest verifies the quote of the hardware down to this compose hash and app id. A value that
// differs is a [*MismatchError] with both values, and nothing more is sent.
//
// # The anchor
//
// Run returns an [App], the anchor, which the owner keeps with [SaveFile]. Each later flow takes it: [Update],
// [Rollback], [Replicate], [AddInstance], [Prepare], [Retire]. What a flow signs, allows on chain, encrypts for, or calls
// "confirmed" follows from the anchor, from an argument, from the chain, or from verified evidence, and never from
// another response of the cloud. The name of a CVM only selects it; its description in the cloud is compared with the
// anchor first. [Attach] returns the anchor of an app that runs already, from verified evidence or from its contract.
//
// # Steps and states
//
// A deployment has phases, which are also functions: [Provision], [Register], [Encrypt], [Create], [Wait]. The [State]
// between them is plain JSON, so that another process can continue. [WithCheckpoint] saves each state, and [Resume]
// continues from any. A running change is a [Pending]: [WithPending] saves it, and [Finish] continues it. Nothing is sent
// twice.
//
// # Chains
//
// The KMS is the central one ("phala"), or one that a contract on a chain governs ([WithChain]). On a chain the contract
// of the app must allow each compose hash and each machine. If its owner is somebody else, one process calls [Prepare],
// the owner reads and allows the [Approval] ([Approve], or a proposal to a multisig), and another process calls [Commit],
// days later and without an API key.
//
// # Source
//
// The files in the order of the data: spec.go and options.go (the input), deployment.go and state.go (a new app),
// document.go and secrets.go (what is sent), verification.go (what runs), app.go (the anchor), pending.go, update.go,
// replica.go and approval.go (the changes), chain.go (the contracts). Each flow uses flow.go, event.go and errors.go.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the
// consequences for whoever distributes a binary.
package deploy
