// Package language checks the wording of the module: its doc comments, error texts and names. All of it is in
// the test.
package language
