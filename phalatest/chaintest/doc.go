// Package chaintest runs a simulated chain, with the contracts of a KMS, inside a test.
//
// The chain is go-ethereum's simulated one, with real transactions. The contracts are written for it, with the
// documented behaviour of DstackKms and DstackApp, in five generations.
//
//	chain := chaintest.New(t)
//	kms, err := chain.Open(ctx) // an *onchain.Chain that signs with the first account
//
// Each transaction is mined as soon as it is sent, unless [WithManualMining] is given and the test calls
// [Chain.Mine]. The endpoint can be made to lag ([Chain.Lag]), to answer anything ([Chain.Intercept]), and the
// chain to reorganise ([Chain.Reorg], [Chain.ReorgDropping]). [Chain.Sent] lists what was broadcast.
//
// [Dial] deploys the same contracts on a node of yours, without mining and reorganisations on command. [Attach] takes
// contracts that exist.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package chaintest
