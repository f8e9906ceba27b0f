// Package language has the tests that check the wording of the module: its doc comments, error texts and names, its
// documents, and what its programs print.
package language
