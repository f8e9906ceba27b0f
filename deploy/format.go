package deploy

import (
	"fmt"

	"github.com/phala-go/phala/internal/secret"
)

// The specs hold secrets, so each has a Format: without one fmt prints the values of a nested pointer to a spec under a
// verb that does not fit it.

// Format writes the spec without the values of its secrets, whatever the verb.
func (s Spec) Format(f fmt.State, _ rune) {
	type plain Spec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s UpdateSpec) Format(f fmt.State, _ rune) {
	type plain UpdateSpec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s ReplicaSpec) Format(f fmt.State, _ rune) {
	type plain ReplicaSpec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s InstanceSpec) Format(f fmt.State, _ rune) {
	type plain InstanceSpec
	secret.Format(f, plain(s))
}

// Format writes the spec without the values of its secrets, whatever the verb.
func (s RollbackSpec) Format(f fmt.State, _ rune) {
	type plain RollbackSpec
	secret.Format(f, plain(s))
}

// Format writes the state without its ciphertext and its commit token, whatever the verb.
func (s State) Format(f fmt.State, _ rune) {
	type plain State
	secret.Format(f, plain(s))
}
