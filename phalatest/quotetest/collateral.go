package quotetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
)

// The documents that Intel signs, in the format of version 4 of its service, with the members that are read.
type (
	tcbInfo struct {
		ID         string           `json:"id"`
		Version    int              `json:"version"`
		Issued     time.Time        `json:"issueDate"`
		NextUpdate time.Time        `json:"nextUpdate"`
		FMSPC      string           `json:"fmspc"`
		PCEID      string           `json:"pceId"`
		Type       int              `json:"tcbType"`
		Evaluation int              `json:"tcbEvaluationDataNumber"`
		Module     tdxModule        `json:"tdxModule"`
		Modules    []moduleIdentity `json:"tdxModuleIdentities"`
		Levels     []level          `json:"tcbLevels"`
	}
	tdxModule struct {
		Signer         string `json:"mrsigner"`
		Attributes     string `json:"attributes"`
		AttributesMask string `json:"attributesMask"`
	}
	moduleIdentity struct {
		ID string `json:"id"`
		tdxModule
		Levels []level `json:"tcbLevels"`
	}
	level struct {
		TCB        tcb              `json:"tcb"`
		Date       time.Time        `json:"tcbDate"`
		Status     attest.TCBStatus `json:"tcbStatus"`
		Advisories []string         `json:"advisoryIDs,omitempty"`
	}
	tcb struct {
		SGX    []component `json:"sgxtcbcomponents,omitempty"`
		PCESVN int         `json:"pcesvn,omitempty"`
		TDX    []component `json:"tdxtcbcomponents,omitempty"`
		ISVSVN int         `json:"isvsvn,omitempty"`
	}
	component struct {
		SVN int `json:"svn"`
	}
	enclaveIdentity struct {
		ID             string    `json:"id"`
		Version        int       `json:"version"`
		Issued         time.Time `json:"issueDate"`
		NextUpdate     time.Time `json:"nextUpdate"`
		Evaluation     int       `json:"tcbEvaluationDataNumber"`
		MiscSelect     string    `json:"miscselect"`
		MiscSelectMask string    `json:"miscselectMask"`
		Attributes     string    `json:"attributes"`
		AttributesMask string    `json:"attributesMask"`
		Signer         string    `json:"mrsigner"`
		Product        int       `json:"isvprodid"`
		Levels         []level   `json:"tcbLevels"`
	}
)

// The quoting enclave and the TDX module. The attributes of the enclave are those of Intel's.
const (
	qeSVN          = 6
	qeProduct      = 2
	qeAttributes   = "11000000000000000000000000000000"
	qeAttrMask     = "fbffffffffffffff0000000000000000"
	moduleSVN      = 6 // TEE_TCB_SVN[0]
	moduleVersion  = 1 // TEE_TCB_SVN[1]
	otherModuleSVN = 4 // TEE_TCB_SVN[2]
)

func qeSigner() [32]byte { return sha256.Sum256([]byte("quotetest quoting enclave")) }

func components(svn int, first ...int) []component {
	all := make([]component, 16)
	for i := range all {
		all[i].SVN = svn
	}
	for i, svn := range first {
		all[i].SVN = svn
	}
	return all
}

// levels returns the levels of a part: if it is out of date, one above its own that is up to date; its own; and a lower
// one. svn returns the part's version numbers plus add.
func (a *Authority) levels(status attest.TCBStatus, svn func(add int) tcb, lowest tcb) []level {
	date, wanted := a.from.AddDate(0, -6, 0), a.wanted
	var all []level
	if status == attest.OutOfDate || status == attest.OutOfDateConfigurationNeeded {
		if wanted.IsZero() {
			wanted = a.from.AddDate(-1, 0, 0)
		}
		all = append(all, level{TCB: svn(1), Date: wanted.UTC().Truncate(time.Second), Status: attest.UpToDate})
		date = wanted.AddDate(-1, 0, 0).UTC().Truncate(time.Second)
	}
	return append(all, level{TCB: svn(0), Date: date, Status: status}, level{TCB: lowest, Date: date.AddDate(-1, 0, 0), Status: attest.OutOfDate})
}

func (a *Authority) issueCollateral() error {
	isv := func(own int) func(int) tcb { return func(add int) tcb { return tcb{ISVSVN: own + add} } }
	platform := a.levels(a.platform, func(add int) tcb {
		return tcb{SGX: components(cpuSVN, cpuSVN+add), PCESVN: pceSVN, TDX: components(0, 0, 0, otherModuleSVN+add)}
	}, tcb{SGX: components(1), PCESVN: 1, TDX: components(0)})
	platform[len(platform)-2].Advisories = a.advisories
	platform[len(platform)-1].Advisories = []string{"INTEL-SA-00001"}
	spelled := func(text string) string {
		if a.upperCase {
			return strings.ToUpper(text)
		}
		return text
	}
	module := tdxModule{Signer: strings.Repeat("00", 48), Attributes: strings.Repeat("00", 8), AttributesMask: strings.Repeat("ff", 8)}
	tdx := tcbInfo{
		ID: "TDX", Version: 3, Issued: a.from, NextUpdate: a.until, FMSPC: spelled(hex.EncodeToString(a.fmspc)), PCEID: "0000",
		Evaluation: a.evaluation, Module: module,
		Modules: []moduleIdentity{{ID: spelled("TDX_01"), tdxModule: module, Levels: a.levels(a.module, isv(moduleSVN), tcb{ISVSVN: 1})}},
		Levels:  platform,
	}
	signer := qeSigner()
	qe := enclaveIdentity{
		ID: "TD_QE", Version: 2, Issued: a.from, NextUpdate: a.until, Evaluation: a.evaluation,
		MiscSelect: "00000000", MiscSelectMask: "ffffffff", Attributes: qeAttributes, AttributesMask: qeAttrMask,
		Signer: hex.EncodeToString(signer[:]), Product: qeProduct,
		Levels: a.levels(a.quoting, isv(qeSVN), tcb{ISVSVN: 1}),
	}
	var err error
	s := &a.source
	if s.TCBInfo, s.TCBInfoSignature, err = a.signDocument(tdx); err != nil {
		return err
	}
	if s.QEIdentity, s.QEIdentitySignature, err = a.signDocument(qe); err != nil {
		return err
	}
	s.TCBInfoIssuerChain = string(chain(a.signer, a.root))
	s.QEIdentityIssuerChain = s.TCBInfoIssuerChain
	s.PCKCRLIssuerChain = string(chain(a.platformCA, a.root))
	if err := a.issueCRLs(); err != nil {
		return err
	}
	a.collateral, err = attest.NewCollateral(*s)
	return err
}

func (a *Authority) issueCRLs() error {
	var pck, ca []*issued
	if a.revokedPCK {
		pck = append(pck, a.pck)
	}
	if a.revokedCA {
		ca = append(ca, a.platformCA)
	}
	if a.revokedSigner {
		ca = append(ca, a.signer)
	}
	list, err := a.crl(a.platformCA, pck...)
	if err != nil {
		return err
	}
	a.source.PCKCRL = hex.EncodeToString(list)
	list, err = a.crl(a.root, ca...)
	a.source.RootCACRL = hex.EncodeToString(list)
	return err
}

// signDocument returns the text of a document and the signature on it.
func (a *Authority) signDocument(document any) (text, signature string, err error) {
	b, err := json.Marshal(document)
	if err != nil {
		return "", "", err
	}
	sig, err := sign(a.signer.key, sha256.Sum256(b))
	return string(b), hex.EncodeToString(sig), err
}
