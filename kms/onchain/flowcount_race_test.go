//go:build race

package onchain_test

// The race detector makes each flow ten times as slow.
const flowCount = 100
