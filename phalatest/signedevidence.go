package phalatest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// signedEvidence is the evidence of a CVM with the certificate of its app, which its quote signs.
type signedEvidence struct {
	of          booted
	evidence    attest.Evidence
	certificate *x509.Certificate
}

// booted is what evidence is about; new evidence is signed when it changes.
type booted struct {
	hash     compose.Hash
	instance string
	image    *image
	node     *node
}

// sign returns the evidence of a running CVM, which it caches.
func (s *Server) sign(vm *cvm) (*signedEvidence, error) {
	of := booted{vm.doc.hash, vm.instance, vm.image, vm.node}
	if vm.signed != nil && vm.signed.of == of {
		return vm.signed, nil
	}
	machine, err := s.machine(vm.node)
	if err != nil {
		return nil, err
	}
	spec := quotetest.Spec{
		Name: vm.name, AppID: vm.app.id, AppCompose: string(vm.doc.text), InstanceID: vm.instance,
		KeyProvider: vm.keyProvider(), OSImage: vm.image.boots(vm.size.memory), StorageFS: deref(vm.doc.app.StorageFS),
	}
	var changes []quotetest.Change
	if sp := s.forged[vm.name]; sp != nil {
		if changes = sp.changes; sp.boots != nil {
			sp.boots(&spec)
		}
	}
	pair, evidence, err := machine.Certificate(spec, changes...)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	vm.signed = &signedEvidence{of, evidence, certificate}
	return vm.signed, nil
}

// keyProvider returns the key provider of a CVM's app.
func (vm *cvm) keyProvider() attest.KeyProvider {
	return attest.KeyProvider{Name: "kms", ID: hex.EncodeToString(vm.app.kms.rootCA())}
}

// describe returns the parsed certificate, as the API shows it.
func (m *signedEvidence) describe(e attest.Evidence) openapi.Certificate {
	c := m.certificate
	fingerprint := sha256.Sum256(c.Raw)
	return openapi.Certificate{
		Subject:      openapi.CertificateSubject{CommonName: c.Subject.CommonName},
		Issuer:       openapi.CertificateIssuer{CommonName: c.Issuer.CommonName},
		SerialNumber: c.SerialNumber.String(), NotBefore: second(c.NotBefore), NotAfter: second(c.NotAfter), Version: "3",
		Fingerprint: hex.EncodeToString(fingerprint[:]), SignatureAlgorithm: c.SignatureAlgorithm.String(), SANs: slices.Clone(c.DNSNames),
		IsCA: ref(c.IsCA), PositionInChain: ref(0), Quote: hex.EncodeToString(e.Quote), AppID: e.AppID.String(), CertUsage: "ratls",
	}
}
