package phalatest

import (
	"crypto/sha256"
	"encoding/json"
	"strings"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// kmsInfo returns the response of a KMS node's guest agent, as the API passes it on: its quote binds the root keys.
func (s *Server) kmsInfo(k *keyService) openapi.RawJSON {
	return s.nodeInfo("kms "+k.id, attest.KMSReportData(k.rootCA(), k.signer()))
}

// gatewayInfo is the same of the gateway, whose quote binds its account at a certificate authority.
func (s *Server) gatewayInfo() openapi.RawJSON {
	return s.nodeInfo("gateway", attest.GatewayAccountReportData("https://acme.phala.test/acct/1"))
}

// nodeInfo makes the evidence of a node of the platform, once, and none if the test authority fails.
func (s *Server) nodeInfo(name string, reportData [64]byte) openapi.RawJSON {
	if info := s.nodeInfos[name]; info != nil {
		return info
	}
	machine, err := s.machine(s.nodes[0])
	if err != nil {
		return nil
	}
	id := sha256.Sum256([]byte("phalatest node " + name))
	document, err := json.Marshal(map[string]any{"manifest_version": 2, "name": name, "runner": "docker-compose"})
	if err != nil {
		return nil
	}
	evidence, err := machine.Evidence(quotetest.Spec{
		Name: name, AppID: kms.AppID(id[:20]), AppCompose: string(document), ReportData: reportData, OSImageHash: s.images[0].hashBytes(),
		KeyProvider: attest.KeyProvider{Name: "local-sgx", ID: strings.Repeat("5e", 32)},
	})
	if err != nil {
		return nil
	}
	info, err := quotetest.GuestInfo(evidence)
	if err != nil {
		return nil
	}
	s.nodeInfos[name] = info
	return s.nodeInfos[name]
}
