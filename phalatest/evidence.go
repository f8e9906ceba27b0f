package phalatest

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"
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

// signedEvidence is the evidence of a CVM with the certificate of its app, which its quote signs.
type signedEvidence struct {
	of          booted
	evidence    attest.Evidence
	certificate *x509.Certificate
}

// booted is what evidence is about; new evidence is signed when it changes.
type booted struct {
	hash     compose.Hash
	instance string
	image    *image
	node     *node
}

// sign returns the evidence of a running CVM, which it caches.
func (s *Server) sign(vm *cvm) (*signedEvidence, error) {
	of := booted{vm.doc.hash, vm.instance, vm.image, vm.node}
	if vm.signed != nil && vm.signed.of == of {
		return vm.signed, nil
	}
	machine, err := s.machine(vm.node)
	if err != nil {
		return nil, err
	}
	spec := quotetest.Spec{
		Name: vm.name, AppID: vm.app.id, AppCompose: string(vm.doc.text), InstanceID: vm.instance,
		KeyProvider: vm.keyProvider(), OSImage: vm.image.boots(vm.size.memory), StorageFS: deref(vm.doc.app.StorageFS),
	}
	var changes []quotetest.Change
	if sp := s.forged[vm.name]; sp != nil {
		if changes = sp.changes; sp.boots != nil {
			sp.boots(&spec)
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
	vm.signed = &signedEvidence{of, evidence, certificate}
	return vm.signed, nil
}

// keyProvider returns the key provider of a CVM's app.
func (vm *cvm) keyProvider() attest.KeyProvider {
	return attest.KeyProvider{Name: "kms", ID: hex.EncodeToString(vm.app.kms.rootCA())}
}

// describe returns the parsed certificate, as the API shows it.
func (m *signedEvidence) describe(e attest.Evidence) openapi.Certificate {
	c := m.certificate
	fingerprint := sha256.Sum256(c.Raw)
	return openapi.Certificate{
		Subject:      openapi.CertificateSubject{CommonName: c.Subject.CommonName},
		Issuer:       openapi.CertificateIssuer{CommonName: c.Issuer.CommonName},
		SerialNumber: c.SerialNumber.String(), NotBefore: second(c.NotBefore), NotAfter: second(c.NotAfter), Version: "3",
		Fingerprint: hex.EncodeToString(fingerprint[:]), SignatureAlgorithm: c.SignatureAlgorithm.String(), SANs: slices.Clone(c.DNSNames),
		IsCA: ref(c.IsCA), PositionInChain: ref(0), Quote: hex.EncodeToString(e.Quote), AppID: e.AppID.String(), CertUsage: "ratls",
	}
}

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

// forged is what is changed in the evidence of the CVMs of one name.
type forged struct {
	boots   func(*quotetest.Spec)
	changes []quotetest.Change
	shows   func(*attest.Evidence)
}

// BootInstead boots another app than requested and reported for the CVM with that name: another app-compose text, key
// provider or image. The hardware measures what really booted. A nil change ends it.
func (s *Server) BootInstead(name string, change func(*quotetest.Spec)) {
	s.forge(name, func(sp *forged) { sp.boots = change })
}

// ForgeQuote changes what the hardware signs for the CVM with that name, see [quotetest.Change]. No change ends it.
func (s *Server) ForgeQuote(name string, changes ...quotetest.Change) {
	s.forge(name, func(sp *forged) { sp.changes = changes })
}

// TamperEvidence changes the evidence that the cloud returns for the CVM with that name. change is called for each
// response, with a copy. A nil change ends it.
func (s *Server) TamperEvidence(name string, change func(*attest.Evidence)) {
	s.forge(name, func(sp *forged) { sp.shows = change })
}

func (s *Server) forge(name string, set func(*forged)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forged[name] == nil {
		s.forged[name] = &forged{}
	}
	set(s.forged[name])
	for _, t := range s.tenants {
		for _, vm := range t.named(name) {
			vm.signed = nil
		}
	}
}

// shown is the evidence as the cloud shows it.
func (sp *forged) shown(e attest.Evidence) attest.Evidence {
	if sp == nil || sp.shows == nil {
		return e
	}
	e.Quote = slices.Clone(e.Quote)
	e.EventLog = slices.Clone(e.EventLog)
	for i := range e.EventLog {
		event := &e.EventLog[i]
		event.Payload, event.Digest, event.Preimage = slices.Clone(event.Payload), slices.Clone(event.Digest), slices.Clone(event.Preimage)
	}
	sp.shows(&e)
	return e
}
