package attest

import (
	"crypto/x509"
	_ "embed"
)

// intelRootPEM is the Intel SGX Root CA, which also stands above TDX: SHA-256 fingerprint
// 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3, valid until the end of 2049, published at
// https://certificates.trustedservices.intel.com/.
//
//go:embed intel_root.pem
var intelRootPEM []byte

// IntelRoots is the root of trust of a policy that names none: the Intel SGX Root CA.
func IntelRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(intelRootPEM)
	return pool
}
