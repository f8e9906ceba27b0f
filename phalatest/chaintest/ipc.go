package chaintest

import (
	"path/filepath"
	"runtime"
)

// ipcPath returns the path of the simulated node's socket. The backend does not export its node, so the socket is the
// only access to plain JSON-RPC.
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
