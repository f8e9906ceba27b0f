package client

import (
	"strings"

	"github.com/phala-go/phala/openapi"
)

// cvmPath returns an identifier of a CVM in the form of the path: a version 4 UUID without its dashes, an app id for
// 40 hex digits, bare or with 0x, and everything else (a cvm_… id, a name, app_…, instance_…) unchanged. Bare
// digits never mean an instance, which has the prefix "instance_".
func cvmPath(id string) openapi.PathParam {
	switch {
	case isUUID4(id):
		return openapi.PathParam(strings.ReplaceAll(id, "-", ""))
	case isHex(id, 40):
		return openapi.PathParam("app_" + id)
	case strings.HasPrefix(id, "0x") && isHex(id[2:], 40):
		return openapi.PathParam("app_" + strings.ToLower(id[2:]))
	}
	return openapi.PathParam(id)
}

// appPath returns an app id in the form of the path: 40 lower-case digits without a prefix.
func appPath(id string) openapi.PathParam {
	bare := strings.TrimPrefix(strings.TrimPrefix(id, "app_"), "0x")
	if isHex(bare, 40) {
		return openapi.PathParam(strings.ToLower(bare))
	}
	return openapi.PathParam(id)
}

// hashPath returns a hash in the form of the path: lower-case digits without 0x.
func hashPath(hash string) openapi.PathParam {
	if bare := strings.TrimPrefix(hash, "0x"); isHex(bare, 64) {
		return openapi.PathParam(strings.ToLower(bare))
	}
	return openapi.PathParam(hash)
}

func isHex(s string, length int) bool {
	if len(s) != length {
		return false
	}
	for i := range len(s) {
		if !isHexDigit(s[i]) {
			return false
		}
	}
	return true
}

func isHexDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isUUID4 reports whether s is a version 4 UUID of the RFC 9562 variant, with all of its dashes or none.
func isUUID4(s string) bool {
	if len(s) == 36 {
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return false
		}
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	return isHex(s, 32) && s[12] == '4' && strings.IndexByte("89abAB", s[16]) >= 0
}
