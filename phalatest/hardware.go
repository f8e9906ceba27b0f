package phalatest

import (
	"context"
	"encoding/hex"
	"sync"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// hardware creates the quotes: a test authority in the place of Intel's, with a machine for each node. Its keys are
// created with the first evidence.
type hardware struct {
	options []quotetest.Option

	made      sync.Once
	authority *quotetest.Authority
	machines  map[*node]*quotetest.Authority
	failed    error
}

// collateralYears is the validity of the collateral: longer than the CVMs of a test live.
const collateralYears = 10

// WithHardware configures the test authority behind the quotes, as with [quotetest.WithTCBStatus], or with
// [quotetest.WithRevokedPCK], which revokes the first node.
func WithHardware(options ...quotetest.Option) Option {
	return func(s *Server) error {
		s.hardware.options = append(s.hardware.options, options...)
		return nil
	}
}

// machine is the hardware of a node.
func (s *Server) machine(n *node) (*quotetest.Authority, error) {
	s.hardware.made.Do(func() { s.hardware.failed = s.hardware.build(s.nodes) })
	return s.hardware.machines[n], s.hardware.failed
}

func (h *hardware) build(nodes []*node) error {
	now := time.Now().UTC().Truncate(time.Second)
	kind, err := hex.DecodeString(fmspc)
	if err != nil {
		return err
	}
	options := append([]quotetest.Option{
		quotetest.WithFMSPC([6]byte(kind)), quotetest.WithPPID(nodes[0].hardware),
		quotetest.WithCollateralTime(now.Add(-time.Hour), now.AddDate(collateralYears, 0, 0)),
	}, h.options...)
	if h.authority, err = quotetest.New(options...); err != nil {
		return err
	}
	h.machines = map[*node]*quotetest.Authority{nodes[0]: h.authority}
	for _, n := range nodes[1:] {
		if h.machines[n], err = h.authority.Machine(n.hardware); err != nil {
			return err
		}
	}
	return nil
}

// AttestationPolicy returns the policy of a careful caller for this cloud: the roots of its hardware in the place of
// Intel's, a source of collateral, the root CAs of its KMSs, its OS images and its nodes. Development images fail in
// [attest.CheckProductionOS]. The caller adds the app and the compose hash; package deploy does.
//
// Without it the quotes of this cloud are refused, because they are not signed by Intel.
func (s *Server) AttestationPolicy() attest.Policy {
	if _, err := s.machine(s.nodes[0]); err != nil {
		s.wrong("the test authority: %v", err)
		return attest.Policy{Collateral: func(context.Context, attest.CollateralRequest) (*attest.Collateral, error) { return nil, err }}
	}
	p := s.hardware.authority.Policy()
	for _, k := range s.services {
		p.KMSRootCAs = append(p.KMSRootCAs, k.rootCA())
	}
	for _, i := range s.images {
		known, err := i.boots(0).Known()
		if err != nil {
			s.wrong("the image %s: %v", i.name, err)
			continue
		}
		p.OSImageHashes = append(p.OSImageHashes, known.Hash)
		p.Images = append(p.Images, known)
	}
	for _, n := range s.nodes {
		p.Devices = append(p.Devices, attest.DeviceID(n.hardware[:]))
	}
	return p
}

// judge reports whether a quote comes from the hardware of this cloud, and its TCB status; nil if its platform is
// none of these.
func (s *Server) judge(raw []byte) (genuine bool, tcb *attest.TCB) {
	if _, err := s.machine(s.nodes[0]); err != nil {
		return false, nil
	}
	report, err := attest.Verify(context.Background(), attest.Evidence{Quote: raw}, s.hardware.authority.Policy())
	if report == nil {
		s.wrong("the test authority: %v", err)
		return false, nil
	}
	genuine = true
	for _, name := range []attest.CheckName{
		attest.CheckSignature, attest.CheckCollateral, attest.CheckCollateralTime, attest.CheckRevocation,
		attest.CheckTDXModule, attest.CheckQEIdentity,
	} {
		genuine = genuine && report.Check(name).Outcome == attest.Passed
	}
	return genuine, report.Attested.TCB
}
