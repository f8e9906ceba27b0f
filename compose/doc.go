// Package compose handles app-compose documents: the JSON text that describes a confidential app, whose SHA-256 the
// hardware attests and the chain allows.
//
// The compose hash is over exact bytes. To verify a running app, hash the unchanged text with [Sum]. To predict the
// hash of a document, [Canonicalize] returns the bytes that the platform writes: members sorted, no white space, the
// shortest escapes. [New] returns a document with the platform's defaults filled in, so that its hash can be compared
// with the platform's. [CompareCompleted] returns the platform's additions to a document.
//
// [EnvUses] returns the variables that a docker-compose file uses, [ReadEnv] reads them from an env file, and
// [CheckGuestValue] checks that a guest passes them on unchanged. The package uses no HTTP, and reads YAML with the
// parser of Docker Compose. Package inspect checks a docker-compose file further.
package compose
