package attest

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// maxCertificate limits the size of a certificate, in bytes.
const maxCertificate = MaxEventLog

// Extensions of an RA-TLS certificate, from dstack's ra-tls/src/oids.rs; each is an OCTET STRING.
const (
	extensionQuote       = 1 // up to dstack 0.5.8
	extensionEventLog    = 2 // up to dstack 0.5.8
	extensionAttestation = 8 // from dstack 0.5.9 on, in place of both
)

func ratlsOID(n int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 62397, 1, n}
}

// ErrNoQuote is returned for a certificate without a quote and without an attestation, such as one that only a KMS
// signed. Read the evidence from the API then, see [Peer.Evidence].
var ErrNoQuote = errors.New("the certificate carries no quote")

// FromCertificate returns the evidence in an RA-TLS certificate: the attestation of a guest from dstack 0.5.9 on, the
// quote and the event log of an older one. The app-compose text is in neither.
func FromCertificate(certificate *x509.Certificate) (Evidence, error) {
	if certificate == nil {
		return Evidence{}, errors.New("evidence: no certificate")
	}
	e := Evidence{Name: certificate.Subject.CommonName}
	attestation, err := extension(certificate, extensionAttestation)
	if err != nil {
		return Evidence{}, err
	}
	if attestation != nil {
		name := e.Name
		if e, err = FromAttestation(attestation); err != nil {
			return Evidence{}, fmt.Errorf("certificate %.80q: %w", name, err)
		}
		e.Name = name
		return e, nil
	}
	quote, err := extension(certificate, extensionQuote)
	if err != nil {
		return Evidence{}, err
	}
	if quote == nil {
		return Evidence{}, fmt.Errorf("certificate %.80q: %w", e.Name, ErrNoQuote)
	}
	e.Quote = quote
	log, err := extension(certificate, extensionEventLog)
	if err != nil || log == nil {
		return e, err
	}
	if e.EventLog, err = ParseEventLog(log); err != nil {
		return Evidence{}, fmt.Errorf("certificate %.80q: %w", e.Name, err)
	}
	return e, nil
}

// extension returns the content of an extension, or nil.
func extension(certificate *x509.Certificate, n int) ([]byte, error) {
	var found []byte
	for i := range certificate.Extensions {
		x := &certificate.Extensions[i]
		if !x.Id.Equal(ratlsOID(n)) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("certificate: extension %s appears twice", x.Id)
		}
		rest, err := asn1.Unmarshal(x.Value, &found)
		if err != nil || len(rest) > 0 || found == nil {
			return nil, fmt.Errorf("certificate: extension %s is not an OCTET STRING", x.Id)
		}
	}
	return found, nil
}

// fromPEM reads the first certificate of a chain.
func fromPEM(data []byte) (Evidence, error) {
	block, _ := pem.Decode(bytes.TrimSpace(data))
	if block == nil || block.Type != "CERTIFICATE" || len(block.Bytes) > maxCertificate {
		return Evidence{}, errors.New("not a PEM certificate")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return Evidence{}, err
	}
	return FromCertificate(certificate)
}

// Peer verifies the other end of a TLS connection by its hardware. Certificate authorities are not used: the quote
// signs the certificate's key (report data is [RATLSReportData]), and the handshake proves that the peer has that
// key. So the connection ends in the very CVM that the policy describes.
type Peer struct {
	// Policy is the policy for the app. ReportData is filled in.
	Policy Policy
	// Evidence, if not nil, returns the evidence for a certificate, for instance from the API or from a file with the
	// app-compose text. The default is [FromCertificate].
	Evidence func(ctx context.Context, certificate *x509.Certificate) (Evidence, error)
	// Report, if not nil, is called with the report of each handshake, also of those that fail.
	Report func(*Report)
	// Timeout limits the verification of one handshake, which may have to fetch collateral; 30 seconds if zero. TLS
	// passes no context to its hooks.
	Timeout time.Duration
}

// TLSConfig returns a configuration of a client for that app alone, for the TLSClientConfig of an http.Transport. It
// sets InsecureSkipVerify because VerifyConnection replaces the check of names and authorities.
func (p *Peer) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true,
		VerifyConnection:   p.VerifyConnection,
	}
}

// VerifyConnection implements the hook of tls.Config, which is called at each handshake, also at a resumed one. A
// server that verifies its clients requests their certificates with tls.RequireAnyClientCert.
func (p *Peer) VerifyConnection(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: the peer has no certificate", ErrNotPossible)
	}
	return p.verify(state.PeerCertificates[0])
}

// VerifyPeerCertificate implements the hook of tls.Config. A resumed connection does not call it, so VerifyConnection
// is preferable.
func (p *Peer) VerifyPeerCertificate(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 {
		return fmt.Errorf("%w: the peer has no certificate", ErrNotPossible)
	}
	certificate, err := x509.ParseCertificate(raw[0])
	if err != nil {
		return fmt.Errorf("certificate of the peer: %w", err)
	}
	return p.verify(certificate)
}

func (p *Peer) verify(certificate *x509.Certificate) error {
	timeout := p.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	policy := p.Policy
	now := time.Now()
	if policy.Now != nil {
		now = policy.Now()
	}
	if now.Before(certificate.NotBefore) || now.After(certificate.NotAfter) {
		return fmt.Errorf("certificate of the peer: valid from %s to %s, now it is %s",
			certificate.NotBefore.UTC().Format(time.RFC3339), certificate.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	source := p.Evidence
	if source == nil {
		source = func(_ context.Context, certificate *x509.Certificate) (Evidence, error) {
			return FromCertificate(certificate)
		}
	}
	evidence, err := source(ctx, certificate)
	if err != nil {
		return fmt.Errorf("evidence of the peer: %w", err)
	}
	key := RATLSReportData(certificate)
	policy.ReportData = &key
	report, err := Verify(ctx, evidence, policy)
	if p.Report != nil && report != nil {
		p.Report(report)
	}
	return err
}
