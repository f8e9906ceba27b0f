package verify

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phala-go/phala/attest"
)

// maxPeers limits the number of cached certificates. An instance of an app has one.
const maxPeers = 256

type fingerprint [sha256.Size]byte

// peers caches the verifications of certificates under one policy.
type peers struct {
	policy attest.Policy
	report func(*attest.Report)

	mu    sync.Mutex
	known map[fingerprint]*verification
}

// verification is that of one certificate, shared by all connections with it.
type verification struct {
	peers       *peers
	certificate *x509.Certificate
	key         fingerprint
	busy        chan struct{}             // has an element during a verification
	until       atomic.Pointer[time.Time] // nil until it is verified
}

// of returns the verification of a certificate, which may be pending.
func (p *peers) of(certificate *x509.Certificate) *verification {
	key := fingerprint(sha256.Sum256(certificate.Raw))
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.known[key]; v != nil {
		return v
	}
	for k, v := range p.known {
		if len(p.known) >= maxPeers || !v.fresh() {
			delete(p.known, k) // its connections keep their pointer
		}
	}
	v := &verification{peers: p, certificate: certificate, key: key, busy: make(chan struct{}, 1)}
	p.known[key] = v
	return v
}

func (p *peers) forget(v *verification) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known[v.key] == v {
		delete(p.known, v.key)
	}
}

func (p *peers) now() time.Time {
	if p.policy.Now != nil {
		return p.policy.Now()
	}
	return time.Now()
}

// valid reports whether the verification is valid now.
func (v *verification) valid() bool {
	until := v.until.Load()
	return until != nil && !v.peers.now().After(*until)
}

// fresh reports whether the verification is pending or valid.
func (v *verification) fresh() bool { return v.until.Load() == nil || v.valid() }

// renew verifies the certificate unless its verification is valid. Concurrent calls verify once.
func (v *verification) renew(ctx context.Context) error {
	if v.valid() {
		return nil
	}
	select {
	case v.busy <- struct{}{}:
		defer func() { <-v.busy }()
	case <-ctx.Done():
		return fmt.Errorf("verification of the peer: %w", context.Cause(ctx))
	}
	if v.valid() {
		return nil
	}
	until, err := v.peers.verify(ctx, v.certificate)
	if err != nil {
		v.peers.forget(v)
		return err
	}
	v.until.Store(&until)
	return nil
}

// verify returns the time at which the verification expires: the end of the collateral or of the certificate.
func (p *peers) verify(ctx context.Context, certificate *x509.Certificate) (time.Time, error) {
	until := certificate.NotAfter
	policy := p.policy
	policy.Collateral = func(_ context.Context, request attest.CollateralRequest) (*attest.Collateral, error) {
		collateral, err := p.policy.Collateral(ctx, request)
		if err == nil && collateral != nil && collateral.NextUpdate().Before(until) {
			until = collateral.NextUpdate()
		}
		return collateral, err
	}
	peer := attest.Peer{Policy: policy, Report: p.report, Timeout: handshakeTimeout}
	err := peer.VerifyConnection(tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate}})
	if until.Before(p.now()) {
		until = certificate.NotAfter // the policy waives that the collateral has ended
	}
	return until, err
}
