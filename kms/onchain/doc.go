// Package onchain talks to the contracts of a KMS on Ethereum, Base or any other EVM chain: DstackKms, which
// registers and deploys apps, and DstackApp, one for each app, which says what the app may run and where.
//
//	chain, err := onchain.Open(ctx, rpc, onchain.Contract{ChainID: 8453, Address: address}, onchain.WithSigner(signer))
//	done, err := chain.DeployApp(ctx, kms.AppContract{Owner: owner, ComposeHash: hash, Device: device})
//	receipt, err := chain.AddComposeHash(ctx, done.App, next)
//	allowed, err := chain.Allowance(ctx, done.App, next, device)
//
// [Open] takes nothing on trust that it can ask for: the chain id, the code at the address, and which
// generation of the contracts it is. Contracts before dstack 0.5.4 share function selectors with the later
// ones and mean something else, so they are refused.
//
// # Nothing is sent twice
//
// A change is a [Call]. [Chain.Prepare] tries it without sending, chooses nonce and fees, signs it, and gives
// an [Intent], which is all there is to know and can be stored as JSON. [Chain.Send] broadcasts the intent and
// waits. Sending the same intent again, after a crash or an error, sends the same transaction again; a
// replacement with higher fees has the same nonce. So at most one transaction of an intent is ever mined. The
// methods that do both in one call take [Checkpoint], which is called before anything is broadcast, and
// [Resume].
//
// # Owners that are contracts
//
// [Chain.Propose] gives the calls for a multisig or timelock to execute, and a batch file for the Safe
// transaction builder. It never signs and never sends.
//
// # What has to be trusted
//
// The RPC endpoint. Answers are held against one another (receipt, canonical block, logs, state after the
// change), which finds an endpoint that lags, forgets or contradicts itself. One that lies consistently is not
// found out: nothing here verifies consensus. Use an endpoint of your own, or ask two.
package onchain
