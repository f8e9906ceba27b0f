package chaintest

import (
	"path/filepath"
	"runtime"
)

// ipcPath is where the node of a simulated chain listens: the backend shows its node to nobody, so its local
// socket is the way to plain JSON-RPC.
func ipcPath(socket string) string {
	if runtime.GOOS == "windows" {
		return `\\.\pipe\` + filepath.Base(filepath.Dir(socket))
	}
	return socket
}

// Endpoint returns the local socket of the simulated node, for other processes: an argument of rpc.DialContext and
// onchain.Dial. Transactions that come this way are mined with the next block, see [Chain.Mine], and the faults of
// the endpoint do not apply. It is empty on an external node.
func (c *Chain) Endpoint() string { return c.socket }
