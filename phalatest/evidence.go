package phalatest

import (
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// proof is the evidence of a CVM as the API shows it, or why there is none.
type proof struct {
	evidence    attest.Evidence
	certificate object
	tcbInfo     any
	quote       *attest.Quote // nil where it is malformed
	missing     string
}

// prove gives the evidence of a CVM. Only a running one has any, and it may keep it private.
func (s *Server) prove(vm *cvm) proof {
	switch {
	case !vm.running() || vm.instance == "":
		return proof{missing: "the CVM is not running"}
	case !deref(vm.doc.app.PublicTCBInfo):
		return proof{missing: "the CVM keeps its attestation private"}
	}
	m, err := s.mint(vm)
	if err != nil {
		return proof{missing: err.Error()}
	}
	e := s.forged[vm.name].shown(m.evidence)
	p := proof{evidence: e, certificate: m.describe(e), tcbInfo: quotetest.CVMAttestation(e).TCBInfo}
	if q, err := attest.ParseQuote(e.Quote); err == nil {
		p.quote = q
	}
	return p
}

func getAttestation(s *Server, _ *call, vm *cvm) answer {
	described := object{
		"is_online": vm.running(), "is_public": deref(vm.doc.app.PublicTCBInfo), "error": nil, "name": vm.name,
		"app_certificates": nil, "tcb_info": nil, "compose_file": string(vm.doc.text),
	}
	if p := s.prove(vm); p.missing != "" {
		described["error"] = p.missing
	} else {
		described["app_certificates"], described["tcb_info"] = []object{p.certificate}, p.tcbInfo
	}
	return ok(described)
}

func getAppAttestations(s *Server, c *call, a *app) answer {
	if c.tenant != a.tenant && !a.shown() {
		return plain(http.StatusNotFound, "App not found")
	}
	instances := []object{}
	for _, vm := range a.cvms {
		instances = append(instances, s.describeProof(vm))
	}
	contract, _ := a.contract().(string) // empty under the central KMS
	governed, _ := a.kms.address().(string)
	return ok(object{
		"app_id": a.id.String(), "contract_address": contract,
		"kms_info": object{
			"contract_address": governed, "chain_id": a.kms.chainID(), "version": "0.5.5", "url": a.kms.url,
			"gateway_app_id": nil, "gateway_app_url": "https://gateway." + gatewayDomain, "kms_type": a.kms.kind,
		},
		"instances": instances, "kms_guest_agent_info": nil, "gateway_guest_agent_info": nil, "qemu_version": nil,
	})
}

// shown tells whether everybody may see the evidence of the app.
func (a *app) shown() bool {
	return !slices.ContainsFunc(a.cvms, func(vm *cvm) bool { return !deref(vm.doc.app.PublicTCBInfo) })
}

func (s *Server) describeProof(vm *cvm) object {
	described := object{
		"vm_uuid": dashed(vm.uuid), "name": vm.name, "instance_id": orNull(vm.instance), "status": vm.status, "image_version": vm.image.name,
		"quote": nil, "ppid": vm.node.ppid(), "ppid_sha256": vm.node.ppidHash(), "device_id": vm.node.device.String(), "fmspc": fmspc,
		"tee_tcb_svn": nil, "mr_config_id": nil, "cpusvn": nil, "pcesvn": nil, "tcb_info": nil, "app_certificates": nil,
		"compose_file": string(vm.doc.text), "eventlog": nil, "error": nil,
	}
	p := s.prove(vm)
	if p.missing != "" {
		described["error"] = p.missing
		return described
	}
	described["quote"], described["tcb_info"] = orNull(hex.EncodeToString(p.evidence.Quote)), p.tcbInfo
	described["app_certificates"] = []object{p.certificate}
	if s.unknown.oldEvidence {
		described["tcb_info"], described["app_certificates"] = nil, nil
		described["compose_file"], described["eventlog"] = p.evidence.AppCompose, attest.LogEntries(p.evidence.EventLog)
	}
	if p.quote != nil {
		described["tee_tcb_svn"], described["mr_config_id"] = hex.EncodeToString(p.quote.TEETCBSVN[:]), p.quote.MRConfigID.String()
	}
	return described
}

func evaluateTCB(s *Server, c *call, a *app) answer {
	if c.tenant != a.tenant && !a.shown() {
		return plain(http.StatusNotFound, "App not found")
	}
	instances := []object{}
	for _, vm := range a.cvms {
		evaluated := object{
			"vm_uuid": dashed(vm.uuid), "name": vm.name, "instance_id": vm.instance, "status": vm.status, "image_version": vm.image.name,
			"ppid": vm.node.ppid(), "device_id": vm.node.device.String(), "evaluation_update": "early", "evaluation_ok": nil,
			"evaluation_status": nil, "error": nil,
		}
		if p := s.prove(vm); p.missing != "" {
			evaluated["error"] = p.missing
		} else if _, tcb := s.judge(p.evidence.Quote); tcb == nil {
			evaluated["error"] = "the quote cannot be judged"
		} else {
			status := tcb.Status()
			evaluated["evaluation_ok"], evaluated["evaluation_status"] = status == attest.UpToDate, status
		}
		instances = append(instances, evaluated)
	}
	return ok(object{"app_id": a.id.String(), "update": "early", "instances": instances})
}
