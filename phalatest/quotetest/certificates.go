package quotetest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/google/go-tdx-guest/pcs"
)

// The platform's security version numbers: of each component, and of the provisioning enclave. The levels of
// the TCB info are below and at them.
const (
	cpuSVN = 5
	pceSVN = 13
)

// RootCRL is the address of the root revocation list that the certificates name.
const RootCRL = "https://certificates.example.invalid/root.der"

func (a *Authority) issueCertificates() error {
	var err error
	// go-tdx-guest and attest know the certificates by these names.
	if a.root, err = a.issue("Intel SGX Root CA", nil, true); err != nil {
		return err
	}
	if a.platformCA, err = a.issue("Intel SGX PCK Platform CA", a.root, true); err != nil {
		return err
	}
	if a.signer, err = a.issue("Intel SGX TCB Signing", a.root, false); err != nil {
		return err
	}
	return a.certify()
}

// certify makes the certificate of the platform and its attestation key.
func (a *Authority) certify() error {
	sgx, err := a.sgxExtension()
	if err != nil {
		return err
	}
	if a.pck, err = a.issue("Intel SGX PCK Certificate", a.platformCA, false, sgx); err != nil {
		return err
	}
	a.attestationKey, err = newKey()
	return err
}

// issue makes a certificate below parent, or a root. With the SGX extension it has exactly the six extensions
// of a PCK certificate, which go-tdx-guest counts.
func (a *Authority) issue(name string, parent *issued, ca bool, extra ...pkix.Extension) (*issued, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	id, err := point(key)
	if err != nil {
		return nil, err
	}
	keyID := sha1.Sum(id) // RFC 5280, 4.2.1.2
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"phala quotetest"}},
		NotBefore: a.from.AddDate(-1, 0, 0), NotAfter: a.until.AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature, SubjectKeyId: keyID[:],
		CRLDistributionPoints: []string{RootCRL}, SignatureAlgorithm: x509.ECDSAWithSHA256, ExtraExtensions: extra,
	}
	if a.sha384 && len(extra) > 0 {
		template.SignatureAlgorithm = x509.ECDSAWithSHA384
	}
	if ca {
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	above := &issued{certificate: template, key: key}
	if parent != nil {
		above = parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, above.certificate, &key.PublicKey, above.key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	return &issued{certificate: certificate, key: key}, err
}

// attribute is an entry of the SGX extension: an object identifier with a value.
type attribute struct {
	ID    asn1.ObjectIdentifier
	Value any
}

// sgxExtension names the platform that a PCK certificate is for, as in Intel's "SGX PCK Certificate and CRL
// Profile Specification".
func (a *Authority) sgxExtension() (pkix.Extension, error) {
	component := func(n int) asn1.ObjectIdentifier {
		return append(append(asn1.ObjectIdentifier{}, pcs.OidTCB...), n)
	}
	var tcb []attribute
	for i := range 16 {
		tcb = append(tcb, attribute{component(i + 1), cpuSVN})
	}
	tcb = append(tcb, attribute{pcs.OidPCESvn, pceSVN}, attribute{pcs.OidCPUSvn, bytes.Repeat([]byte{cpuSVN}, 16)})
	value, err := asn1.Marshal([]attribute{
		{pcs.OidPPID, a.ppid}, {pcs.OidTCB, tcb}, {pcs.OidPCEID, []byte{0, 0}}, {pcs.OidFMSPC, a.fmspc},
	})
	return pkix.Extension{Id: pcs.OidSgxExtension, Value: value}, err
}

// crl is a revocation list of issuer over the given certificates.
func (a *Authority) crl(issuer *issued, revoked ...*issued) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: a.from, NextUpdate: a.until}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.certificate.SerialNumber, RevocationTime: a.from.Add(-time.Minute),
		})
	}
	return x509.CreateRevocationList(rand.Reader, list, issuer.certificate, issuer.key)
}

// chain is PEM, leaf first.
func chain(certificates ...*issued) []byte {
	var b bytes.Buffer
	for _, c := range certificates {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw}))
	}
	return b.Bytes()
}
