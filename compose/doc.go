// Package compose handles app-compose documents: the JSON text that describes a confidential app, whose
// SHA-256 the hardware attests and the chain allows.
//
// The compose hash is over exact bytes. To verify what runs, hash the text as it came with [Sum], and never
// write it anew. To predict what a document will hash to, [Canonicalize] gives the bytes that the platform
// writes: members sorted, no white space, nothing escaped that JSON lets stand. [New] makes a document with
// the platform's defaults filled in, so that its hash can be compared with the one the platform answers.
//
// [EnvNames] and [ReadEnv] are about the variables that such an app wants: the ones a docker-compose file
// mentions, and the values in an env file. The package knows no HTTP and needs the standard library only.
package compose
