package attest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/go-tdx-guest/pcs"
	tdx "github.com/google/go-tdx-guest/verify"

	"github.com/phala-go/phala/kms"
)

// pck is the certificate chain of the platform, which a quote contains.
type pck struct {
	leaf, intermediate, root *x509.Certificate
	extensions               *pcs.PckExtensions
}

func parsePCK(chain []byte) (*pck, error) {
	rest := bytes.TrimRight(chain, "\x00")
	var found []*x509.Certificate
	for len(found) < 3 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PCK chain of %d PEM certificates, want 3", len(found))
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("PCK chain: certificate %d of 3: %w", len(found)+1, err)
		}
		found = append(found, certificate)
	}
	extensions, err := pcs.PckCertificateExtensions(found[0])
	if err != nil {
		return nil, fmt.Errorf("PCK certificate: %w", err)
	}
	if len(extensions.FMSPC) != 12 {
		return nil, fmt.Errorf("PCK certificate: FMSPC %q, want 12 hexadecimal digits", extensions.FMSPC)
	}
	extensions.FMSPC = strings.ToLower(extensions.FMSPC)
	return &pck{leaf: found[0], intermediate: found[1], root: found[2], extensions: extensions}, nil
}

func (p *pck) ca() string { return caOf(p.intermediate.Subject.CommonName) }

// device is the id by the PPID, or zero if the certificate does not name the platform.
func (p *pck) device() kms.DeviceID {
	ppid, err := hex.DecodeString(p.extensions.PPID)
	if err != nil || len(ppid) == 0 {
		return kms.DeviceID{}
	}
	return DeviceID(ppid)
}

// trusted checks the chain up to the roots. The error names an unknown root: the usual reason is a policy with the roots
// of a test, or without them.
func (p *pck) trusted(roots *x509.CertPool, now time.Time) error {
	if p.ca() == "" {
		return fmt.Errorf("PCK certificate below %.80q, want Intel's platform CA or processor CA", p.intermediate.Subject.CommonName)
	}
	intermediates := x509.NewCertPool()
	intermediates.AddCert(p.intermediate)
	chains, err := p.leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: now})
	if err == nil {
		// Intel has issued its root more than once, with the same key.
		last := chains[0][len(chains[0])-1]
		if p.root.Equal(last) || sameKey(p.root, last) && p.root.CheckSignatureFrom(p.root) == nil {
			return nil
		}
		return fmt.Errorf("the third certificate of the PCK chain, %.80q, is not the root above the other two", p.root.Subject.CommonName)
	}
	var unknown x509.UnknownAuthorityError
	if !errors.As(err, &unknown) {
		return fmt.Errorf("PCK chain: %w", err)
	}
	err = fmt.Errorf("the PCK chain ends in the root %.80q of %.80q with the SHA-256 fingerprint %x, which is none of the policy's roots",
		p.root.Subject.CommonName, strings.Join(p.root.Subject.Organization, ", "), sha256.Sum256(p.root.Raw))
	if slices.Contains(p.root.Subject.Organization, testAuthority) {
		err = fmt.Errorf("%w; it is a test authority, which the policy of phalatest's Server.AttestationPolicy or quotetest's Authority.Policy trusts", err)
	}
	return err
}

// testAuthority is the organization in the certificates of phalatest/quotetest. It is only used for a clearer error.
const testAuthority = "phala quotetest"

// revokedBy returns an error if a certificate of the chain, or a signer of the collateral, is in one of the two lists.
func (p *pck) revokedBy(c *Collateral) error {
	// The lists are signed by the certificates of the collateral; they cover this chain only if those are the same.
	if !sameKey(p.intermediate, c.pckChain.signer) || !sameKey(p.root, c.tcbChain.root) {
		return fmt.Errorf("%w: the revocation lists are not from the CAs of the chain", ErrCollateral)
	}
	if revoked(c.pckCRL, p.leaf) {
		return fmt.Errorf("%w: PCK certificate %x", ErrRevoked, p.leaf.SerialNumber)
	}
	for _, certificate := range []*x509.Certificate{p.intermediate, c.pckChain.signer, c.tcbChain.signer, c.qeChain.signer} {
		if revoked(c.rootCRL, certificate) {
			return fmt.Errorf("%w: %.80q %x", ErrRevoked, certificate.Subject.CommonName, certificate.SerialNumber)
		}
	}
	return nil
}

// checkQuote parses the quote.
func (v *verifier) checkQuote() Check {
	if len(v.e.Quote) == 0 {
		return notPossible(ErrQuote, "", "the evidence has no quote")
	}
	q, err := ParseQuote(v.e.Quote)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", ErrQuote, err), "", "")
	}
	v.q, v.r.Quote = q, q
	a := &v.r.Attested
	a.MRTD, a.RTMR, a.ReportData = q.MRTD, q.RTMR, hex.EncodeToString(q.ReportData[:])
	a.QuoteVersion = int(q.Version)
	sum := q.MRAggregated()
	a.MRAggregated = hex.EncodeToString(sum[:])
	return passed("", fmt.Sprintf("version %d, %d bytes", q.Version, len(q.raw)))
}

// checkSignature checks who signed the quote: the PCK chain up to the roots at the given time, the report of the
// quoting enclave by the PCK certificate, the attestation key by that report, the quote by that key.
func (v *verifier) checkSignature() Check {
	pck, err := parsePCK(v.q.pckChain)
	if err != nil {
		return failed(fmt.Errorf("%w: %w", ErrQuoteSignature, err), "", "")
	}
	v.pck = pck
	v.r.Attested.FMSPC = pck.extensions.FMSPC
	v.r.Attested.Devices = DeviceIDs{PPID: pck.device(), UserData: v.q.device()}
	if err := pck.trusted(v.p.Roots, v.now); err != nil {
		return failed(fmt.Errorf("%w: %w", ErrQuoteSignature, err), "", "")
	}
	if err := v.q.signedBy(pck.leaf); err != nil {
		return failed(fmt.Errorf("%w: %w", ErrQuoteSignature, err), "", "")
	}
	return passed("", "quote, quoting enclave and PCK chain")
}

// signedBy checks the signatures between the certificate of the platform and the body of the quote. Quotes of
// version 4 and 5 differ only in what is signed (Intel, "TDX DCAP Quoting Library API", appendix 3).
func (q *Quote) signedBy(pck *x509.Certificate) error {
	platform, ok := pck.PublicKey.(*ecdsa.PublicKey)
	if !ok || platform.Curve != elliptic.P256() {
		return errors.New("the PCK certificate has no ECDSA key on P-256")
	}
	if !signed(platform, q.qeReport, q.qeSignature) {
		return errors.New("the report of the quoting enclave is not signed by the PCK certificate")
	}
	// The report data of the enclave is the hash of the attestation key, followed by zeros.
	sum := sha256.Sum256(slices.Concat(q.attestationKey, q.qeAuthData))
	if want := append(sum[:], make([]byte, 32)...); !equal(q.qeReport[qeReportData:], want) {
		return errors.New("the quoting enclave does not certify the attestation key")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.attestationKey...))
	if err != nil {
		return fmt.Errorf("attestation key: %w", err)
	}
	if !signed(key, q.message, q.signature) {
		return errors.New("the quote is not signed by the attestation key")
	}
	return nil
}

// signed reports whether r and s, of 32 bytes each, are a signature of key on the message.
func signed(key *ecdsa.PublicKey, message, signature []byte) bool {
	digest := sha256.Sum256(message)
	return len(signature) == 64 && ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// checkSecondOpinion verifies the quote with go-tdx-guest, with the collateral if it supports that.
func (v *verifier) checkSecondOpinion() (c Check) {
	if v.q.Version != 4 || v.pck.ca() != "platform" {
		return Check{Outcome: NotAsked, Detail: "go-tdx-guest 0.3.1 supports only quotes of version 4 and the platform CA"}
	}
	if v.r.Check(CheckSignature).Outcome != Passed {
		return Check{Outcome: NotAsked, Detail: "the signature failed already"}
	}
	options, judged := &tdx.Options{TrustedRoots: v.p.Roots, Now: v.now}, "the signatures"
	if v.collateralSupported() {
		judged = "the signatures, the collateral and revocation"
		// The result for one platform and collateral does not depend on the quote, so it is cached. The clock was compared
		// before.
		platform := v.q.platform()
		if !v.collateral.agreed.has(v.p.Roots, platform) {
			options.GetCollateral, options.CheckRevocations, options.Getter = true, true, collateralGetter{v.collateral}
			defer func() {
				if c.Outcome == Passed {
					v.collateral.agreed.add(v.p.Roots, platform)
				}
			}()
		}
	}
	if err := tdx.RawTdxQuote(v.q.raw, options); err != nil {
		return failed(fmt.Errorf("%w about %s: %w", ErrSecondOpinion, judged, err), "", "")
	}
	return passed("", "go-tdx-guest agrees about "+judged)
}

// platform identifies everything in a quote that collateral is compared with: the PCK chain, the report of the quoting
// enclave, and the TDX module.
func (q *Quote) platform() [32]byte {
	return sha256.Sum256(slices.Concat(q.qeReport, q.TEETCBSVN[:], q.MRSEAM[:], q.MRSignerSEAM[:], q.SEAMAttributes[:], q.pckChain))
}

// collateralSupported reports whether go-tdx-guest 0.3.1 can evaluate the collateral. It accepts the status UpToDate
// alone, and an FMSPC in lower case, which Intel's TCB info has in either case. A check that failed here fails there as
// well.
func (v *verifier) collateralSupported() bool {
	for i := range v.r.Checks {
		if o := v.r.Checks[i].Outcome; o == Failed || o == NotPossible {
			return false
		}
	}
	c := v.collateral
	return v.r.Attested.TCB.Status() == UpToDate && c.tcb.Fmspc == v.pck.extensions.FMSPC && c.tcb.PceID == v.pck.extensions.PCEID
}

// collateralGetter serves go-tdx-guest's requests from given collateral. The bodies are written from the checked parts,
// so that go-tdx-guest decodes nothing unsigned.
type collateralGetter struct{ c *Collateral }

func (g collateralGetter) Get(address string) (map[string][]string, []byte, error) {
	source := &g.c.source
	answer := func(header string, chain issuerChain, body []byte) (map[string][]string, []byte, error) {
		return map[string][]string{header: {chain.escaped}}, body, nil
	}
	switch {
	case address == pcs.QeIdentityURL():
		return answer("Sgx-Enclave-Identity-Issuer-Chain", g.c.qeChain,
			joinSigned("enclaveIdentity", source.QEIdentity, source.QEIdentitySignature))
	case address == pcs.PckCrlURL("platform"), address == pcs.PckCrlURL("processor"):
		return answer("Sgx-Pck-Crl-Issuer-Chain", g.c.pckChain, g.c.pckCRL.Raw)
	case strings.HasPrefix(address, pcs.TcbInfoURL("")):
		return answer("Tcb-Info-Issuer-Chain", g.c.tcbChain,
			joinSigned("tcbInfo", source.TCBInfo, source.TCBInfoSignature))
	}
	return nil, g.c.rootCRL.Raw, nil // the address is in the root certificate
}

// joinSigned is the reverse of splitSigned. The signature is hexadecimal.
func joinSigned(name, document, signature string) []byte {
	return fmt.Appendf(nil, `{"%s":%s,"signature":"%s"}`, name, document, signature)
}

// checkRevocation looks the certificates up in the revocation lists.
func (v *verifier) checkRevocation() Check {
	if err := v.pck.revokedBy(v.collateral); err != nil {
		return failed(err, "", "")
	}
	return passed("", "")
}

// checkTDXModule checks MRSIGNERSEAM, which is zero for modules that Intel signed, and the module's attributes.
// The collateral must agree.
func (v *verifier) checkTDXModule() Check {
	module := &v.collateral.tcb.TdxModule
	switch {
	case !v.q.MRSignerSEAM.IsZero() || !equal(module.Mrsigner.Bytes, v.q.MRSignerSEAM[:]):
		return failed(ErrTDXModule, Measurement{}.String(), v.q.MRSignerSEAM.String())
	case !masked(v.q.SEAMAttributes[:], module.AttributesMask.Bytes, module.Attributes.Bytes):
		return failed(fmt.Errorf("%w: attributes", ErrTDXModule),
			fmt.Sprintf("%x under %x", module.Attributes.Bytes, module.AttributesMask.Bytes), fmt.Sprintf("%x", v.q.SEAMAttributes))
	}
	return passed("", "")
}

// checkQEIdentity compares the report of the quoting enclave with Intel's identity of the enclave.
func (v *verifier) checkQEIdentity() Check {
	if err := v.q.qe().matches(&v.collateral.qe); err != nil {
		return failed(fmt.Errorf("%w: %w", ErrQEIdentity, err), "", "")
	}
	return passed("", "")
}

// qeReport is the part of the quoting enclave's report that its identity is compared with.
type qeReport struct {
	miscSelect, attributes, mrSigner []byte
	isvProdID, isvSVN                uint16
}

// qe reads the report of the quoting enclave, whose layout is that of an SGX report body.
func (q *Quote) qe() qeReport {
	b := q.qeReport
	return qeReport{
		miscSelect: b[16:20], attributes: b[48:64], mrSigner: b[128:160],
		isvProdID: binary.LittleEndian.Uint16(b[256:]), isvSVN: binary.LittleEndian.Uint16(b[258:]),
	}
}

// matches compares the report with Intel's identity of the enclave.
func (r qeReport) matches(id *pcs.EnclaveIdentity) error {
	if !equal(r.mrSigner, id.Mrsigner.Bytes) {
		return fmt.Errorf("MRSIGNER %x, want %x", r.mrSigner, id.Mrsigner.Bytes)
	}
	if r.isvProdID != id.IsvProdID {
		return fmt.Errorf("product %d, want %d", r.isvProdID, id.IsvProdID)
	}
	if !masked(r.attributes, id.AttributesMask.Bytes, id.Attributes.Bytes) {
		return fmt.Errorf("attributes %x, want %x under %x", r.attributes, id.Attributes.Bytes, id.AttributesMask.Bytes)
	}
	// Intel writes MISCSELECT as a number, most significant byte first, while the report has it the other way
	// round; go-tdx-guest compares both as they are. Every published identity has zero under a mask of all ones.
	if !masked(r.miscSelect, id.MiscselectMask.Bytes, id.Miscselect.Bytes) {
		return fmt.Errorf("MISCSELECT %x, want %x under %x", r.miscSelect, id.Miscselect.Bytes, id.MiscselectMask.Bytes)
	}
	return nil
}

func masked(have, mask, want []byte) bool {
	if len(have) != len(mask) || len(have) != len(want) {
		return false
	}
	for i := range have {
		if have[i]&mask[i] != want[i] {
			return false
		}
	}
	return true
}

// The attributes of a TD, from Intel's "TDX Module ABI Specification", TD_ATTRIBUTES. dcap-qvl checks the same ones.
const (
	attrDebug         = uint64(0xff)    // TUD, "TD under debug": today only the lowest bit is defined
	attrSEPTVEDisable = uint64(1) << 28 // the TD is not interrupted by a fault that the host causes
	attrMigratable    = uint64(1) << 29 // TDX 1.5
	attrPKS           = uint64(1) << 30
	attrKL            = uint64(1) << 31
	attrPerfmon       = uint64(1) << 63
	attrKnown         = attrDebug | attrSEPTVEDisable | attrMigratable | attrPKS | attrKL | attrPerfmon
)

func (q *Quote) attributes() uint64 { return binary.LittleEndian.Uint64(q.TDAttributes[:]) }

func (v *verifier) checkDebug() Check {
	if bits := v.q.attributes() & attrDebug; bits != 0 {
		return failed(ErrDebug, "0x00", fmt.Sprintf("%#02x", bits))
	}
	return passed("", "")
}

func (v *verifier) checkSEPTVE() Check {
	if v.q.attributes()&attrSEPTVEDisable == 0 {
		return failed(ErrSEPTVE, "bit 28 set", fmt.Sprintf("TD attributes %x", v.q.TDAttributes))
	}
	return passed("", "")
}

func (v *verifier) checkMigratable() Check {
	if v.q.attributes()&attrMigratable != 0 {
		return failed(ErrMigratable, "bit 29 clear", fmt.Sprintf("TD attributes %x", v.q.TDAttributes))
	}
	return passed("", "")
}

func (v *verifier) checkReservedAttributes() Check {
	if bits := v.q.attributes() &^ attrKnown; bits != 0 {
		return failed(ErrAttributes, "bits 8 to 27 and 32 to 62 clear", fmt.Sprintf("TD attributes %x", v.q.TDAttributes))
	}
	return passed("", "")
}

func (v *verifier) checkServiceTD() Check {
	switch {
	case !v.q.TD15:
		return Check{Outcome: NotAsked, Detail: "a body of TD 1.0 has none"}
	case !v.q.MRServiceTD.IsZero():
		return failed(ErrServiceTD, Measurement{}.String(), v.q.MRServiceTD.String())
	}
	return passed("", "")
}

func (v *verifier) checkReportData() Check {
	actual := hex.EncodeToString(v.q.ReportData[:])
	var accepted []string
	if v.p.ReportData != nil {
		accepted = []string{hex.EncodeToString(v.p.ReportData[:])}
	}
	return compare(ErrReportData, accepted, actual)
}

// checkDevice compares the machine with the expected ones. A guest derives its device id in one of two ways, or
// states a placeholder; all ids that follow from the quote are genuine.
func (v *verifier) checkDevice() Check {
	devices := v.r.Attested.Devices
	if len(v.p.Devices) == 0 {
		return passed(devices.String(), devices.describe(v.e.Device))
	}
	var accepted []string
	for _, id := range v.p.Devices {
		accepted = append(accepted, id.String())
		if !id.IsZero() && (id.Equal(devices.PPID) || id.Equal(devices.UserData)) {
			return passed(id.String(), devices.describe(v.e.Device))
		}
	}
	c := failed(ErrDevice, strings.Join(accepted, " or "), devices.String())
	if note := devices.describe(v.e.Device); note != "" {
		c.Detail = fmt.Sprintf("%v; %s", ErrDevice, note)
	}
	return c
}
