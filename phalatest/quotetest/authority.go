package quotetest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/google/go-tdx-guest/pcs"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
)

// Authority is a test platform with the certificate authorities above it. It can be used by several goroutines at once.
type Authority struct {
	now func() time.Time
	settings

	root, platformCA, signer, pck *issued
	attestationKey                *ecdsa.PrivateKey

	source     openapi.QuoteCollateral
	collateral *attest.Collateral
	fetches    atomic.Int64
}

// issued is a certificate with its key.
type issued struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

type settings struct {
	fmspc, ppid               []byte
	from, until               time.Time
	platform, module, quoting attest.TCBStatus
	advisories                []string
	revokedPCK, revokedCA     bool
	revokedSigner             bool
	upperCase, sha384         bool
	evaluation                int
	wanted                    time.Time
}

// Option changes an [Authority] or its platform.
type Option func(*Authority)

// WithNow sets the clock that all validities are relative to; time.Now by default.
func WithNow(now func() time.Time) Option { return func(a *Authority) { a.now = now } }

// WithFMSPC sets the type of platform, 6 bytes.
func WithFMSPC(fmspc [6]byte) Option { return func(a *Authority) { a.fmspc = fmspc[:] } }

// WithPPID sets the identity of the machine, 16 bytes.
func WithPPID(ppid [16]byte) Option { return func(a *Authority) { a.ppid = ppid[:] } }

// WithCollateralTime sets the validity of the collateral: by default from an hour before now, for 30 days.
func WithCollateralTime(from, until time.Time) Option {
	return func(a *Authority) { a.from, a.until = from, until }
}

// WithTCBStatus sets the state of the platform's level, with the advisories that apply to it.
func WithTCBStatus(status attest.TCBStatus, advisories ...string) Option {
	return func(a *Authority) { a.platform, a.advisories = status, advisories }
}

// WithModuleStatus sets the state of the TDX module.
func WithModuleStatus(status attest.TCBStatus) Option {
	return func(a *Authority) { a.module = status }
}

// WithQuotingEnclaveStatus sets the state of the quoting enclave.
func WithQuotingEnclaveStatus(status attest.TCBStatus) Option {
	return func(a *Authority) { a.quoting = status }
}

// WithUpperCase writes the FMSPC and the id of the TDX module in the TCB info in upper case, as Intel does on request.
func WithUpperCase() Option { return func(a *Authority) { a.upperCase = true } }

// WithSHA384 signs the certificate of the platform with SHA-384 in place of Intel's SHA-256. go-tdx-guest refuses such
// a certificate; package attest alone accepts it.
func WithSHA384() Option { return func(a *Authority) { a.sha384 = true } }

// WithEvaluation sets the evaluation number of the collateral, 17 by default.
func WithEvaluation(number int) Option { return func(a *Authority) { a.evaluation = number } }

// WithOutOfDateSince sets the date of the level that would be up to date, for the parts that are out of date; a year
// before the collateral by default.
func WithOutOfDateSince(date time.Time) Option { return func(a *Authority) { a.wanted = date } }

// WithRevokedPCK revokes the certificate of the platform.
func WithRevokedPCK() Option { return func(a *Authority) { a.revokedPCK = true } }

// WithRevokedCA revokes the CA that certifies platforms.
func WithRevokedCA() Option { return func(a *Authority) { a.revokedCA = true } }

// WithRevokedSigner revokes the signer of the collateral.
func WithRevokedSigner() Option { return func(a *Authority) { a.revokedSigner = true } }

// New returns an authority with new keys.
func New(options ...Option) (*Authority, error) {
	a := &Authority{now: time.Now, settings: settings{
		fmspc: []byte{0x00, 0x80, 0x6f, 0x05, 0x00, 0x00}, ppid: []byte("quotetest machine"[:16]),
		platform: attest.UpToDate, module: attest.UpToDate, quoting: attest.UpToDate, evaluation: 17,
	}}
	for _, option := range options {
		option(a)
	}
	now := a.now().UTC().Truncate(time.Second)
	if a.from.IsZero() {
		a.from = now.Add(-time.Hour)
	}
	if a.until.IsZero() {
		a.until = now.Add(30 * 24 * time.Hour)
	}
	for _, step := range []func() error{a.issueCertificates, a.issueCollateral} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("quotetest: %w", err)
		}
	}
	return a, nil
}

// Machine returns another platform of the same type below the same root, with an identity of its own (PPID, 16 bytes)
// and the same collateral. [WithRevokedPCK] revokes the first platform.
func (a *Authority) Machine(ppid [16]byte) (*Authority, error) {
	m := &Authority{
		now: a.now, settings: a.settings, root: a.root, platformCA: a.platformCA, signer: a.signer,
		source: a.source, collateral: a.collateral,
	}
	m.ppid = ppid[:]
	if err := m.certify(); err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	return m, nil
}

// userData returns the user data of the header: 16 bytes that identify the machine, and zeros. It is not the PPID, so
// that the two device ids differ.
func (a *Authority) userData() [20]byte {
	var user [20]byte
	sum := sha256.Sum256(append([]byte("quotetest quoting enclave of "), a.ppid...))
	copy(user[:16], sum[:])
	return user
}

// Devices returns the two ids of the machine, for [attest.Policy.Devices].
func (a *Authority) Devices() attest.DeviceIDs {
	user := a.userData()
	return attest.DeviceIDs{PPID: attest.DeviceID(a.ppid), UserData: attest.DeviceID(user[:])}
}

// Root returns the root certificate of the authority.
func (a *Authority) Root() *x509.Certificate { return a.root.certificate }

// Roots returns the authority's root, for [attest.Policy.Roots].
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root.certificate)
	return pool
}

// Collateral implements [attest.CollateralFunc] for the authority's platform.
func (a *Authority) Collateral(_ context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
	if err := request.Trusted(); err != nil {
		return nil, err
	}
	a.fetches.Add(1)
	if want := fmt.Sprintf("%x", a.fmspc); request.FMSPC != want || request.CA != "platform" {
		return nil, fmt.Errorf("quotetest: no collateral for FMSPC %s and CA %s, only for %s and platform", request.FMSPC, request.CA, want)
	}
	return a.collateral, nil
}

// Fetches returns how often Collateral was called.
func (a *Authority) Fetches() int { return int(a.fetches.Load()) }

// CloudCollateral returns the collateral in the format of the cloud's endpoint.
func (a *Authority) CloudCollateral() openapi.QuoteCollateral { return a.source }

// Policy returns a policy that trusts the authority, with its clock. The caller adds further expectations.
func (a *Authority) Policy() attest.Policy {
	return attest.Policy{Roots: a.Roots(), Collateral: a.Collateral, Now: a.now}
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// sign returns r and s of 32 bytes each, as quotes and collateral have them.
func sign(key *ecdsa.PrivateKey, digest [32]byte) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		return nil, err
	}
	return append(pad(r), pad(s)...), nil
}

func pad(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

// point is a public key without the byte that marks it as uncompressed.
func point(key *ecdsa.PrivateKey) ([]byte, error) {
	public, err := key.PublicKey.ECDH()
	if err != nil {
		return nil, err
	}
	return public.Bytes()[1:], nil
}

// Reissue returns an authority with the same root, keys and platform and with new collateral, as Intel issues it
// every month. The options set the content of the new collateral, such as [WithCollateralTime] and [WithRevokedPCK].
func (a *Authority) Reissue(options ...Option) (*Authority, error) {
	next := &Authority{
		now: a.now, settings: a.settings, root: a.root, platformCA: a.platformCA, signer: a.signer,
		pck: a.pck, attestationKey: a.attestationKey,
	}
	for _, option := range options {
		option(next)
	}
	if err := next.issueCollateral(); err != nil {
		return nil, fmt.Errorf("quotetest: %w", err)
	}
	return next, nil
}

// The platform's security version numbers: of each component, and of the provisioning enclave.
const (
	cpuSVN = 5
	pceSVN = 13
)

// RootCRL is the address of the root revocation list that the certificates name.
const RootCRL = "https://certificates.example.invalid/root.der"

func (a *Authority) issueCertificates() error {
	var err error
	// go-tdx-guest and attest compare these names.
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

// certify issues the certificate of the platform and creates its attestation key.
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

// issue issues a certificate below parent, or a root. With the SGX extension it has the six extensions of a PCK
// certificate; go-tdx-guest checks their number.
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

// sgxExtension describes the platform of a PCK certificate, as in Intel's "SGX PCK Certificate and CRL Profile
// Specification".
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

// crl returns a revocation list of issuer with the given certificates.
func (a *Authority) crl(issuer *issued, revoked ...*issued) ([]byte, error) {
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: a.from, NextUpdate: a.until}
	for _, r := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: r.certificate.SerialNumber, RevocationTime: a.from.Add(-time.Minute),
		})
	}
	return x509.CreateRevocationList(rand.Reader, list, issuer.certificate, issuer.key)
}

// chain returns certificates in PEM.
func chain(certificates ...*issued) []byte {
	var b bytes.Buffer
	for _, c := range certificates {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.certificate.Raw}))
	}
	return b.Bytes()
}
