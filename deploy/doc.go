// Package deploy brings a docker-compose file to a running confidential VM without having to trust the
// cloud that runs it.
//
// [Run] does it in one call. It computes the compose hash and compares it with the cloud's, compares the
// app id, checks that the key the secrets are encrypted for is signed by the KMS root the caller pins,
// encrypts the secrets here, creates the CVM and follows it until it runs. Whatever does not match ends the
// deployment with a [*MismatchError] that holds both values, before a secret has left the process.
//
// At last the hardware proves what runs: package attest verifies its quote down to this compose hash and app id, and
// [Result] has the report. What is wrong there is a [*VerificationError]; what cannot be checked is in the result, or
// an error, too, with [WithVerification]. Package verify does the same for what runs already.
//
// The same work can be done phase by phase ([Provision], [Encrypt], [Create], [Wait]) with a [State]
// between them that is plain JSON, so that another process can finish what this one began. [Resume] goes on
// from any state; [WithCheckpoint] is called with each new one. Creating a CVM is idempotent on the app id
// and the compose hash, so repeating a phase whose answer was lost makes no second CVM.
//
// It deploys with the central KMS ("phala"), or with one that a contract on a chain governs ([WithChain]).
//
// [Update] changes what runs, compose file and secrets together; [Replicate] and [AddInstance] make one more CVM of
// an app. Where the owner of the app's contract must allow a change first and no chain is given, it is a [*Pending]:
// plain JSON that one process gets from [Prepare], the owner allows ([Approve], or a proposal to a multisig), and a
// third one carries out with [Commit], days later and without an API key. [Continue] goes on from any of them after
// a crash; nothing is sent twice.
package deploy
