package quotetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"math/big"
	"sync/atomic"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
)

// Authority is a platform with everybody who certifies it. It can be used by several goroutines at once.
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

// WithUpperCase writes the FMSPC and the id of the TDX module in the TCB info in capitals, as Intel does on request.
func WithUpperCase() Option { return func(a *Authority) { a.upperCase = true } }

// WithSHA384 signs the certificate of the platform with SHA-384 in place of Intel's SHA-256. go-tdx-guest refuses such
// a certificate, which attest alone would not.
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

// userData is what the quoting enclave puts into the header: 16 bytes that identify the machine, and zeros. It is
// not the PPID, so that the two rules for device ids differ.
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

// Root returns the certificate at the top of everything that the authority signs.
func (a *Authority) Root() *x509.Certificate { return a.root.certificate }

// Roots returns the authority's root, in the place of Intel's.
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
