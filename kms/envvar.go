package kms

import "github.com/phala-go/phala/compose"

// EnvVar is the variable of package compose, which reads it from env files: one type from the file to the ciphertext.
type EnvVar = compose.EnvVar
