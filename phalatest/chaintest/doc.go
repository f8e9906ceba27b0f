// Package chaintest runs a simulated chain, with the contracts of a KMS, inside a test.
//
// The chain is go-ethereum's simulated one, with real transactions. The contracts are written for it, with the
// documented behaviour of DstackKms and DstackApp, in five generations.
//
//	chain := chaintest.New(t)
//	kms, err := chain.Open(ctx) // an *onchain.Chain that signs with the first account
//
// Each transaction is mined as soon as it is sent. With [WithManualMining] only [Chain.Mine] mines. [Chain.Lag] delays the
// responses of the endpoint by blocks, [Chain.Intercept] replaces them, [Chain.Reorg] and [Chain.ReorgDropping] reorganise
// the chain, and [Chain.Sent] lists the transactions that were sent.
//
// [Dial] deploys the same contracts on an external node, and [Attach] uses existing contracts. Neither can mine or
// reorganise the chain.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package chaintest
