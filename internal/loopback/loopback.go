// Package loopback recognises the hosts that are this machine, for which plain HTTP is accepted.
package loopback

import (
	"net"
	"strings"
)

// Is reports whether host is "localhost" or an address of the loopback interface, without a port or brackets.
func Is(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
