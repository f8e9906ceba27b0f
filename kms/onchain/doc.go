// Package onchain talks to the contracts of a KMS on Ethereum, Base or any other EVM chain: DstackKms, which
// registers and deploys apps, and DstackApp, one for each app, which decides what the app may run and where.
//
//	chain, err := onchain.Open(ctx, conn, onchain.Contract{ChainID: 8453, Address: address}, onchain.WithSigner(signer))
//	done, err := chain.DeployApp(ctx, kms.AppContract{Owner: owner, ComposeHash: hash, Device: device})
//	receipt, err := chain.AddComposeHash(ctx, done.App, next)
//	receipt, err = chain.RemoveComposeHash(ctx, done.App, hash)
//	allowed, err := chain.Allowance(ctx, done.App, next, device)
//
// [Open] checks the chain id, the code at the address, and which generation of the contracts it is. Contracts before
// dstack 0.5.4 share function selectors with the later ones and mean something else, so they are refused.
//
// # Nothing is sent twice
//
// A change is a [Call]. [Chain.Prepare] tries it without sending, chooses fees and nonce, signs it, and returns an
// [Intent], which is all there is to know and can be stored as JSON. [Chain.Send] broadcasts the intent and
// waits. Sending the same intent again, after a crash or an error, sends the same transaction again; a
// replacement with higher fees has the same nonce. So at most one transaction of an intent is ever mined. The
// methods that do both in one call take [Checkpoint], which is called before anything is broadcast, and
// [Resume].
//
// # Public endpoints
//
// Reads are repeated while an endpoint limits the rate, fails or lags, and all of a question is read at one block. An
// [*EndpointError] is never a statement about a contract. That a change is not needed is concluded only at a block that
// is confirmed, and for a removal also two blocks after the first answer.
//
// # Owners that are contracts
//
// [Chain.Propose] returns the calls for a multisig or timelock to execute, and a batch file for the Safe
// transaction builder; [Chain.ApprovalBatch] is both for one app. They never sign and never send.
//
// # What has to be trusted
//
// The RPC endpoint. Answers are compared with one another (receipt, canonical block, logs, state after the
// change), which finds an endpoint that lags, forgets or contradicts itself. A consistent forgery is not found:
// nothing here verifies consensus. Use an endpoint of your own, or ask two.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md says what that asks of
// whoever ships a binary.
package onchain
