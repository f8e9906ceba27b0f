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
