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

// minted is the evidence of a CVM with the certificate of its app, which its quote signs.
type minted struct {
	of          booted
	evidence    attest.Evidence
	certificate *x509.Certificate
}

// booted is what evidence is about; other evidence is minted when it changes.
type booted struct {
	hash     compose.Hash
	instance string
	image    *image
	node     *node
}

// mint makes the evidence of a running CVM, and keeps it.
func (s *Server) mint(vm *cvm) (*minted, error) {
	of := booted{vm.doc.hash, vm.instance, vm.image, vm.node}
	if vm.minted != nil && vm.minted.of == of {
		return vm.minted, nil
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
	vm.minted = &minted{of, evidence, certificate}
	return vm.minted, nil
}

// keyProvider is who gives the app of a CVM its keys.
func (vm *cvm) keyProvider() attest.KeyProvider {
	return attest.KeyProvider{Name: "kms", ID: hex.EncodeToString(vm.app.kms.rootCA())}
}

// describe is the certificate in parts, as the API shows it.
func (m *minted) describe(e attest.Evidence) openapi.Certificate {
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
