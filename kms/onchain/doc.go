// Package onchain reads and changes the contracts of a KMS on an EVM chain, such as Ethereum or Base.
//
// DstackKms registers and deploys apps. DstackApp, one for each app, decides what the app may run and where.
//
//	chain, err := onchain.Open(ctx, conn, onchain.Contract{ChainID: 8453, Address: address}, onchain.WithSigner(signer))
//	done, err := chain.DeployApp(ctx, kms.AppContract{Owner: owner, ComposeHash: hash, Device: device})
//	receipt, err := chain.AddComposeHash(ctx, done.App, next)
//	receipt, err = chain.RemoveComposeHash(ctx, done.App, hash)
//	allowed, err := chain.Allowance(ctx, done.App, next, device)
//
// [Open] checks the chain id, the code at the address, and the generation of the contracts. Contracts before dstack
// 0.5.4 share function selectors with the later ones but with another meaning, so they are refused.
//
// # Nothing is sent twice
//
// A change is a [Call]. [Chain.Prepare] tries it without sending, chooses fees and nonce, signs it, and returns an
// [Intent], which is complete and can be stored as JSON. [Chain.Send] broadcasts the intent and waits. Sending the
// same intent again, after a crash or an error, sends the same transaction again; a replacement with higher fees has
// the same nonce. So at most one transaction of an intent is ever mined. The methods that do both in one call have
// the options [Checkpoint], which is called before anything is broadcast, and [ResumeIntent].
//
// # Public endpoints
//
// Reads are repeated while an endpoint limits the rate, fails or lags. All reads of one call are at one block. An
// [*EndpointError] is never a statement about a contract. That a change is not needed is concluded only at a
// confirmed block, and for a removal also two blocks after the first response.
//
// # Owners that are contracts
//
// [Chain.Propose] returns the calls for a multisig or timelock to execute, and a batch file for the Safe transaction
// builder; [Chain.ApprovalBatch] does both for one app. They never sign and never send.
//
// # What has to be trusted
//
// The RPC endpoint. Its responses are compared with one another (receipt, canonical block, logs, state after the
// change), which detects an endpoint that lags, forgets or contradicts itself. A consistent forgery is not detected:
// nothing here verifies consensus. Use an endpoint of your own, or compare two.
//
// # Reading the source
//
// In the order of the data: endpoint.go and backend.go (the connection), reader.go (repeated requests), head.go (the
// newest blocks), chain.go ([Open]); kms.go, allowance.go and ownership.go (reads), logs.go and events.go ([Chain.Watch]);
// call.go, intent.go, account.go, send.go and receipt.go (one transaction), change.go, deployment.go and proposal.go
// (the changes made of it), flow.go (the same with plain types), errors.go.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package onchain
