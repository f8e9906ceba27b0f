package quotetest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/phala-go/phala/attest"
)

// Certificate makes a TLS certificate of the CVM whose key the quote signs. It has quote and event log in its
// extensions, or an attestation with a stripped log, by the spec's Attestation. The evidence is the same with the
// app-compose text, which is not in the certificate.
func (a *Authority) Certificate(spec Spec, changes ...Change) (tls.Certificate, attest.Evidence, error) {
	certificate, evidence, err := a.certificate(spec, changes)
	if err != nil {
		err = fmt.Errorf("quotetest: %w", err)
	}
	return certificate, evidence, err
}

func (a *Authority) certificate(spec Spec, changes []Change) (tls.Certificate, attest.Evidence, error) {
	key, err := newKey()
	if err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	spec.ReportData = attest.TaggedReportData(attest.TagRATLS, spki)
	evidence, err := a.Evidence(spec, changes...)
	if err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quotetest app"},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, DNSNames: []string{"app.example.invalid"},
	}
	if template.ExtraExtensions, err = extensions(spec, evidence); err != nil {
		return tls.Certificate{}, attest.Evidence{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, evidence, err
}

// extensions are those of dstack's ra-tls/src/oids.rs: 1.3.6.1.4.1.62397.1.1 is the quote, .2 the event log, .8 the
// attestation.
func extensions(spec Spec, evidence attest.Evidence) ([]pkix.Extension, error) {
	contents := map[int][]byte{}
	var err error
	if spec.Attestation == NoAttestation {
		contents[1] = evidence.Quote
		contents[2], err = json.Marshal(attest.LogEntries(evidence.EventLog))
	} else {
		evidence.EventLog = Strip(evidence.EventLog)
		contents[8], err = Attestation(evidence, spec.Attestation)
	}
	if err != nil {
		return nil, err
	}
	var all []pkix.Extension
	for n, content := range contents {
		value, err := asn1.Marshal(content)
		if err != nil {
			return nil, err
		}
		all = append(all, pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, n}, Value: value})
	}
	return all, nil
}
