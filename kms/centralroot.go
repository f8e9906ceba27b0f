package kms

// PhalaCentralRootKey is the root key of Phala's central KMS, which signs the env keys of apps that are not governed
// on a chain: a compressed secp256k1 key for [ParseSigner], [CheckSigner] and the KMS root of a deployment. The root
// CA of the same KMS is attest.PhalaCentralRootCA.
//
// Source: Phala-Network/trust-center, packages/verifier/src/verifiers/phalaCloudKmsVerifier.ts, commit f081105 of
// 2026-06-10.
//
// Warning: only the vendor of the cloud published the key. Pinning it excludes an impostor between the caller and the
// vendor, and a KMS that is exchanged later. It does not exclude a vendor that published the wrong key. Compare it
// with a key that was pinned before, or with the evidence of the KMS node (attest.KMSReportData).
const PhalaCentralRootKey = "0x0334c76e0c3f52ec64cbf9bbf5c910c272330166fd656c0a86bb330963e46910e1"
