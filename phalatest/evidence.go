package phalatest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// hardware creates the quotes: a test authority in place of Intel's, with a machine for each node. Its keys are created
// with the first evidence.
type hardware struct {
	options []quotetest.Option

	once      sync.Once
	authority *quotetest.Authority
	machines  map[*node]*quotetest.Authority
	err       error
}

// collateralYears is the validity of the collateral: longer than the time of a test under testing/synctest.
const collateralYears = 10

// WithHardware configures the test authority behind the quotes, as with [quotetest.WithTCBStatus], or with
// [quotetest.WithRevokedPCK], which revokes the first node.
func WithHardware(options ...quotetest.Option) Option {
	return func(s *Server) error {
		s.hardware.options = append(s.hardware.options, options...)
		return nil
	}
}

// machine returns the hardware of a node.
func (s *Server) machine(n *node) (*quotetest.Authority, error) {
	s.hardware.once.Do(func() { s.hardware.err = s.hardware.build(s.nodes) })
	return s.hardware.machines[n], s.hardware.err
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

// AttestationPolicy returns the policy of a careful caller for this cloud: the roots of its hardware in place of
// Intel's, a source of collateral, the root CAs of its KMSs, its OS images and its nodes. Development images fail in
// [attest.CheckProductionOS]. The caller adds the app and the compose hash; package deploy does.
//
// Without it the quotes of this cloud are refused, because they are not signed by Intel.
func (s *Server) AttestationPolicy() attest.Policy {
	if _, err := s.machine(s.nodes[0]); err != nil {
		s.failTest("the test authority: %v", err)
		return attest.Policy{Collateral: func(context.Context, attest.CollateralRequest) (*attest.Collateral, error) { return nil, err }}
	}
	p := s.hardware.authority.Policy()
	for _, k := range s.services {
		p.KMSRootCAs = append(p.KMSRootCAs, k.rootCA())
	}
	for _, i := range s.images {
		known, err := i.booted(0).Known()
		if err != nil {
			s.failTest("the image %s: %v", i.name, err)
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

// evaluateQuote reports whether a quote is from the hardware of this cloud, and returns its TCB; nil for another platform.
func (s *Server) evaluateQuote(raw []byte) (genuine bool, tcb *attest.TCB) {
	if _, err := s.machine(s.nodes[0]); err != nil {
		return false, nil
	}
	report, err := attest.Verify(context.Background(), attest.Evidence{Quote: raw}, s.hardware.authority.Policy())
	if report == nil {
		s.failTest("the test authority: %v", err)
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

// signedEvidence is the evidence of a CVM with the certificate of its app, which its quote signs.
type signedEvidence struct {
	subject     evidenceSubject
	evidence    attest.Evidence
	certificate *x509.Certificate
}

// evidenceSubject is what evidence proves; new evidence is signed when it changes.
type evidenceSubject struct {
	hash     compose.Hash
	instance string
	image    *image
	node     *node
}

// sign returns the evidence of a running CVM, which it caches.
func (s *Server) sign(vm *cvm) (*signedEvidence, error) {
	subject := evidenceSubject{vm.doc.hash, vm.instance, vm.image, vm.node}
	if vm.signed != nil && vm.signed.subject == subject {
		return vm.signed, nil
	}
	machine, err := s.machine(vm.node)
	if err != nil {
		return nil, err
	}
	spec := quotetest.Spec{
		Name: vm.name, AppID: vm.app.id, AppCompose: string(vm.doc.text), InstanceID: vm.instance,
		KeyProvider: attest.KeyProvider{Name: "kms", ID: hex.EncodeToString(vm.app.kms.rootCA())}, OSImage: vm.image.booted(vm.size.memory), StorageFS: deref(vm.doc.app.StorageFS),
	}
	var changes []quotetest.Change
	if f := s.forged[vm.name]; f != nil {
		if changes = f.quote; f.boot != nil {
			f.boot(&spec)
		}
	}
	pair, evidence, err := machine.Certificate(spec, changes...)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, err
	}
	vm.signed = &signedEvidence{subject, evidence, certificate}
	return vm.signed, nil
}

// describe returns the parsed certificate as in the API, with the quote of e.
func (signed *signedEvidence) describe(e attest.Evidence) openapi.Certificate {
	c := signed.certificate
	fingerprint := sha256.Sum256(c.Raw)
	return openapi.Certificate{
		Subject:      openapi.CertificateSubject{CommonName: c.Subject.CommonName},
		Issuer:       openapi.CertificateIssuer{CommonName: c.Issuer.CommonName},
		SerialNumber: c.SerialNumber.String(), NotBefore: second(c.NotBefore), NotAfter: second(c.NotAfter), Version: "3",
		Fingerprint: hex.EncodeToString(fingerprint[:]), SignatureAlgorithm: c.SignatureAlgorithm.String(), SANs: slices.Clone(c.DNSNames),
		IsCA: ref(c.IsCA), PositionInChain: ref(0), Quote: hex.EncodeToString(e.Quote), AppID: e.AppID.String(), CertUsage: "ratls",
	}
}

// returnedEvidence is the evidence of a CVM in responses, or the reason why there is none.
type returnedEvidence struct {
	evidence    attest.Evidence
	certificate openapi.Certificate
	tcbInfo     *openapi.TCBInfo
	quote       *attest.Quote // nil if it is malformed
	missing     string
}

// evidence returns the evidence of a CVM. Only a running one has any, and it may be private.
func (s *Server) evidence(vm *cvm) returnedEvidence {
	switch {
	case !vm.running() || vm.instance == "":
		return returnedEvidence{missing: "the CVM is not running"}
	case !deref(vm.doc.app.PublicTCBInfo):
		return returnedEvidence{missing: "the attestation of the CVM is private"}
	}
	signed, err := s.sign(vm)
	if err != nil {
		return returnedEvidence{missing: err.Error()}
	}
	e := s.forged[vm.name].tampered(signed.evidence)
	out := returnedEvidence{evidence: e, certificate: signed.describe(e), tcbInfo: quotetest.CVMAttestation(e).TCBInfo}
	if q, err := attest.ParseQuote(e.Quote); err == nil {
		out.quote = q
	}
	return out
}

func (s *Server) answerCVMsGetAttestation(c *call) *response {
	text, err := json.Marshal(string(c.vm.doc.text))
	if err != nil {
		return internalError(err)
	}
	described := openapi.CVMAttestation{
		IsOnline: c.vm.running(), IsPublic: ref(deref(c.vm.doc.app.PublicTCBInfo)), Name: c.vm.name, ComposeFile: text,
	}
	if p := s.evidence(c.vm); p.missing != "" {
		described.Error = p.missing
	} else {
		described.AppCertificates, described.TCBInfo = []openapi.Certificate{p.certificate}, p.tcbInfo
	}
	return ok(described)
}

func (s *Server) answerAppsGetAttestations(c *call) *response {
	described := openapi.AppAttestations{
		AppID: c.app.id.String(), ContractAddress: c.app.contract(),
		KMSInfo: &openapi.AttestedKMS{
			ContractAddress: c.app.kms.address(), Version: platformVersion, URL: c.app.kms.url, GatewayAppURL: "https://gateway." + gatewayDomain,
			KMSType: c.app.kms.kind,
		},
		// The quotes bind the root keys of the KMS, and the gateway's account at a certificate authority.
		KMSGuestAgentInfo:     s.nodeInfo("kms "+c.app.kms.id, attest.KMSReportData(c.app.kms.rootCA(), c.app.kms.signer())),
		GatewayGuestAgentInfo: s.nodeInfo("gateway", attest.GatewayAccountReportData("https://acme.phala.test/acct/1")),
		Instances:             mapped(c.app.cvms, s.describeEvidence),
	}
	if id := c.app.kms.chainID(); id != nil {
		described.KMSInfo.ChainID = numbered(int(*id))
	}
	return ok(described)
}

func (a *app) publicEvidence() bool {
	return !slices.ContainsFunc(a.cvms, func(vm *cvm) bool { return !deref(vm.doc.app.PublicTCBInfo) })
}

func (s *Server) describeEvidence(vm *cvm) openapi.AppAttestation {
	described := openapi.AppAttestation{
		VMUUID: dashed(vm.uuid), Name: vm.name, InstanceID: vm.instance, Status: vm.status, ImageVersion: vm.image.name, PPID: vm.node.ppid(),
		PPIDSHA256: vm.node.ppidHash(), DeviceID: vm.node.device.String(), FMSPC: fmspc, ComposeFile: string(vm.doc.text),
	}
	p := s.evidence(vm)
	if p.missing != "" {
		described.Error = p.missing
		return described
	}
	described.Quote = hex.EncodeToString(p.evidence.Quote)
	if s.undocumented.oldEvidence {
		described.ComposeFile, described.EventLog = p.evidence.AppCompose, attest.LogEntries(p.evidence.EventLog)
	} else {
		described.TCBInfo, described.AppCertificates = p.tcbInfo, []openapi.Certificate{p.certificate}
	}
	if p.quote != nil {
		described.TEETCBSVN, described.MRConfigID = hex.EncodeToString(p.quote.TEETCBSVN[:]), p.quote.MRConfigID.String()
	}
	return described
}

func (s *Server) answerAppsEvaluateTCB(c *call) *response {
	described := openapi.TCBEvaluation{AppID: c.app.id.String(), Update: "early"}
	for _, vm := range c.app.cvms {
		evaluated := openapi.TCBEvaluationInstance{
			VMUUID: dashed(vm.uuid), Name: vm.name, InstanceID: vm.instance, Status: vm.status, ImageVersion: vm.image.name,
			PPID: vm.node.ppid(), DeviceID: vm.node.device.String(), EvaluationUpdate: "early",
		}
		if p := s.evidence(vm); p.missing != "" {
			evaluated.Error = p.missing
		} else if _, tcb := s.evaluateQuote(p.evidence.Quote); tcb == nil {
			evaluated.Error = "the quote cannot be evaluated"
		} else {
			status := tcb.Status()
			evaluated.EvaluationOK, evaluated.EvaluationStatus = ref(status == attest.UpToDate), string(status)
		}
		described.Instances = append(described.Instances, evaluated)
	}
	return ok(described)
}

// nodeInfo returns the response of a guest agent of the platform, which it caches, or nil if the test authority fails.
func (s *Server) nodeInfo(name string, reportData [64]byte) openapi.RawJSON {
	if info := s.nodeInfos[name]; info != nil {
		return info
	}
	machine, err := s.machine(s.nodes[0])
	if err != nil {
		return nil
	}
	id := sha256.Sum256([]byte("phalatest node " + name))
	evidence, err := machine.Evidence(quotetest.Spec{
		Name: name, AppID: kms.AppID(id[:20]), ReportData: reportData, OSImageHash: s.images[0].hashBytes(),
		AppCompose:  fmt.Sprintf(`{"manifest_version":2,"name":%q,"runner":"docker-compose"}`, name),
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

// forged is the changes of the evidence of the CVMs of one name.
type forged struct {
	boot     func(*quotetest.Spec)
	quote    []quotetest.Change
	response func(*attest.Evidence)
}

// BootInstead boots another app for the CVM with that name than the one that was requested and is reported: another
// app-compose text, key provider or image. The hardware measures what booted. A nil change ends it.
func (s *Server) BootInstead(name string, change func(*quotetest.Spec)) {
	s.forge(name, func(f *forged) { f.boot = change })
}

// ForgeQuote changes what the hardware signs for the CVM with that name, see [quotetest.Change]. No change ends it.
func (s *Server) ForgeQuote(name string, changes ...quotetest.Change) {
	s.forge(name, func(f *forged) { f.quote = changes })
}

// TamperEvidence changes the evidence that the cloud returns for the CVM with that name. change is called for each
// response, with a copy. A nil change ends it.
func (s *Server) TamperEvidence(name string, change func(*attest.Evidence)) {
	s.forge(name, func(f *forged) { f.response = change })
}

func (s *Server) forge(name string, set func(*forged)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forged[name] == nil {
		s.forged[name] = &forged{}
	}
	set(s.forged[name])
	for _, w := range s.workspaces {
		for _, vm := range w.withName(name) {
			vm.signed = nil
		}
	}
}

// tampered returns the evidence with the changes of [Server.TamperEvidence].
func (f *forged) tampered(e attest.Evidence) attest.Evidence {
	if f == nil || f.response == nil {
		return e
	}
	e.Quote = slices.Clone(e.Quote)
	e.EventLog = slices.Clone(e.EventLog)
	for i := range e.EventLog {
		event := &e.EventLog[i]
		event.Payload, event.Digest, event.Preimage = slices.Clone(event.Payload), slices.Clone(event.Digest), slices.Clone(event.Preimage)
	}
	f.response(&e)
	return e
}
