//go:build !race

package onchain_test

const flowCount = 1000
