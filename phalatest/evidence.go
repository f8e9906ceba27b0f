package phalatest

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// proof is the evidence of a CVM as the API shows it, or the reason why there is none.
type proof struct {
	evidence    attest.Evidence
	certificate openapi.Certificate
	tcbInfo     *openapi.TCBInfo
	quote       *attest.Quote // nil if it is malformed
	missing     string
}

// prove returns the evidence of a CVM. Only a running one has any, and it may keep it private.
func (s *Server) prove(vm *cvm) proof {
	switch {
	case !vm.running() || vm.instance == "":
		return proof{missing: "the CVM is not running"}
	case !deref(vm.doc.app.PublicTCBInfo):
		return proof{missing: "the CVM keeps its attestation private"}
	}
	m, err := s.sign(vm)
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
	text, err := json.Marshal(string(vm.doc.text))
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	described := openapi.CVMAttestation{
		IsOnline: vm.running(), IsPublic: ref(deref(vm.doc.app.PublicTCBInfo)), Name: vm.name, ComposeFile: text,
	}
	if p := s.prove(vm); p.missing != "" {
		described.Error = p.missing
	} else {
		described.AppCertificates, described.TCBInfo = []openapi.Certificate{p.certificate}, p.tcbInfo
	}
	return ok(described)
}

func getAppAttestations(s *Server, c *call, a *app) answer {
	if c.tenant != a.tenant && !a.shown() {
		return plain(http.StatusNotFound, "App not found")
	}
	described := openapi.AppAttestations{
		AppID: a.id.String(), ContractAddress: a.contract(),
		KMSInfo: &openapi.AttestedKMS{
			ContractAddress: a.kms.address(), Version: "0.5.5", URL: a.kms.url, GatewayAppURL: "https://gateway." + gatewayDomain, KMSType: a.kms.kind,
		},
		KMSGuestAgentInfo: s.kmsInfo(a.kms), GatewayGuestAgentInfo: s.gatewayInfo(),
	}
	if id := a.kms.chainID(); id != nil {
		described.KMSInfo.ChainID = numbered(int(*id))
	}
	for _, vm := range a.cvms {
		described.Instances = append(described.Instances, s.describeProof(vm))
	}
	return ok(described)
}

// shown reports whether the evidence of the app is public.
func (a *app) shown() bool {
	return !slices.ContainsFunc(a.cvms, func(vm *cvm) bool { return !deref(vm.doc.app.PublicTCBInfo) })
}

func (s *Server) describeProof(vm *cvm) openapi.AppAttestation {
	described := openapi.AppAttestation{
		VMUUID: dashed(vm.uuid), Name: vm.name, InstanceID: vm.instance, Status: vm.status, ImageVersion: vm.image.name, PPID: vm.node.ppid(),
		PPIDSHA256: vm.node.ppidHash(), DeviceID: vm.node.device.String(), FMSPC: fmspc, ComposeFile: string(vm.doc.text),
	}
	p := s.prove(vm)
	if p.missing != "" {
		described.Error = p.missing
		return described
	}
	described.Quote = hex.EncodeToString(p.evidence.Quote)
	if s.unknown.oldEvidence {
		described.ComposeFile, described.EventLog = p.evidence.AppCompose, attest.LogEntries(p.evidence.EventLog)
	} else {
		described.TCBInfo, described.AppCertificates = p.tcbInfo, []openapi.Certificate{p.certificate}
	}
	if p.quote != nil {
		described.TEETCBSVN, described.MRConfigID = hex.EncodeToString(p.quote.TEETCBSVN[:]), p.quote.MRConfigID.String()
	}
	return described
}

func evaluateTCB(s *Server, c *call, a *app) answer {
	if c.tenant != a.tenant && !a.shown() {
		return plain(http.StatusNotFound, "App not found")
	}
	described := openapi.TCBEvaluation{AppID: a.id.String(), Update: "early"}
	for _, vm := range a.cvms {
		evaluated := openapi.TCBEvaluationInstance{
			VMUUID: dashed(vm.uuid), Name: vm.name, InstanceID: vm.instance, Status: vm.status, ImageVersion: vm.image.name,
			PPID: vm.node.ppid(), DeviceID: vm.node.device.String(), EvaluationUpdate: "early",
		}
		if p := s.prove(vm); p.missing != "" {
			evaluated.Error = p.missing
		} else if _, tcb := s.judge(p.evidence.Quote); tcb == nil {
			evaluated.Error = "the quote cannot be judged"
		} else {
			status := tcb.Status()
			evaluated.EvaluationOK, evaluated.EvaluationStatus = ref(status == attest.UpToDate), string(status)
		}
		described.Instances = append(described.Instances, evaluated)
	}
	return ok(described)
}
