// Package kmsauth has the bindings of KmsAuth, the KMS contract before dstack 0.5.4. It shares selectors with
// DstackKms that mean something else, so it has to be recognised, and is then refused.
package kmsauth
