package verify

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// checkRootKeys is the name of the check that [WithKMS] adds.
const checkRootKeys attest.CheckName = "kms-root-keys"

// node contains the expectations of a node that the app depends on.
type node struct {
	policy attest.Policy
	root   kms.RootKey // of a KMS; zero if nothing is pinned
}

// verifyNodes verifies the KMS and the gateway of the app. The error includes only those with an option.
func (c *config) verifyNodes(ctx context.Context, result *Result, all *openapi.AppAttestations, app attest.Policy) error {
	var kmsErr, gatewayErr error
	result.KMS, kmsErr = verifyNode(ctx, "kms", all.KMSGuestAgentInfo, c.kms, app)
	result.Gateway, gatewayErr = verifyNode(ctx, "gateway", all.GatewayGuestAgentInfo, c.gateway, app)
	if c.kms == nil {
		kmsErr = nil
	}
	if c.gateway == nil {
		gatewayErr = nil
	}
	return errors.Join(kmsErr, gatewayErr)
}

func verifyNode(ctx context.Context, name string, info openapi.RawJSON, expected *node, app attest.Policy) (*Instance, error) {
	instance := &Instance{Name: name}
	if len(info) == 0 || string(info) == "null" {
		instance.fail(none(fmt.Errorf("the cloud reports no evidence of the %s", name)))
		return instance, instance.Err
	}
	evidence, err := attest.FromInfo(info)
	if err == nil {
		evidence.Name = name
		if len(evidence.Quote) == 0 {
			err = none(fmt.Errorf("the cloud reports no quote of the %s", name))
		}
	}
	if err == nil {
		instance.Report, instance.Bundle, err = attest.Record(ctx, evidence, expected.policyFor(app))
	}
	instance.fail(err)
	return instance, instance.Err
}

// policyFor completes the policy of the node with the part of the app's policy that is for all hardware.
func (n *node) policyFor(app attest.Policy) attest.Policy {
	if n == nil {
		return attest.Policy{
			TCBStatuses: app.TCBStatuses, OutOfDateGrace: app.OutOfDateGrace, MinTCBEvaluation: app.MinTCBEvaluation, Advisories: app.Advisories,
			Roots: app.Roots, Collateral: app.Collateral, Now: app.Now,
		}
	}
	p := n.policy
	if p.Roots == nil {
		p.Roots = app.Roots
	}
	if p.Collateral == nil {
		p.Collateral = app.Collateral
	}
	if p.Now == nil {
		p.Now = app.Now
	}
	if n.root != (kms.RootKey{}) {
		p.Checks = append(slices.Clone(p.Checks), attest.CustomCheck{
			Name: checkRootKeys,
			Check: func(_ context.Context, report *attest.Report) error {
				return checkRootKeysOf(report, app.KMSRootCAs, n.root)
			},
		})
	}
	return p
}

// checkRootKeysOf returns an error unless the quote binds root and one of the root CAs.
func checkRootKeysOf(report *attest.Report, cas [][]byte, root kms.RootKey) error {
	if len(cas) == 0 {
		return fmt.Errorf("%w: the app's policy names no root CA", attest.ErrNotPossible)
	}
	if report.Quote == nil {
		return fmt.Errorf("%w: the quote cannot be read", attest.ErrNotPossible)
	}
	for _, ca := range cas {
		if report.Quote.ReportData == attest.KMSReportData(ca, root) {
			return nil
		}
	}
	return fmt.Errorf("%w: %s is not that of root key %s with one of the %d root CAs; the quote binds other root keys, or "+
		"something else, such as a TLS certificate", attest.ErrReportData, hex.EncodeToString(report.Quote.ReportData[:]), root, len(cas))
}

// GatewayCertificate verifies that the gateway's hardware attests a certificate: the one that the app's domain
// presents in a TLS handshake. info is the gateway's published information ([attest.ParseGatewayInfo]), which need
// not be trusted. It has no app-compose text, so policy should contain the gateway's compose hashes. Without a quote
// for the key of the certificate the error is [attest.ErrNotPossible].
func GatewayCertificate(ctx context.Context, info *attest.GatewayInfo, certificate *x509.Certificate, policy attest.Policy) (*Instance, error) {
	instance := &Instance{Name: "gateway"}
	evidence, err := info.Evidence(certificate)
	if err != nil {
		instance.fail(err)
		return instance, instance.Err
	}
	evidence.Name = instance.Name
	key := attest.GatewayCertificateReportData(certificate)
	policy.ReportData = &key
	return Evidence(ctx, evidence, policy)
}
