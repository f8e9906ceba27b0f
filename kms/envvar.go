package kms

import "github.com/phala-go/phala/compose"

// EnvVar is the type of package compose, which reads variables from env files.
type EnvVar = compose.EnvVar
