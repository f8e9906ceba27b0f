package onchain_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that are left over. Two kinds are of the simulated node: one ends some seconds
// after the node, the other is for the whole process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
	)
}
