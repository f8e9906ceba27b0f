package attest

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tdx-guest/pcs"
	tdx "github.com/google/go-tdx-guest/verify"
)

// pck is what certifies the platform: the chain that comes with a quote.
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
			return nil, fmt.Errorf("PCK chain: %w", err)
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
	return &pck{leaf: found[0], intermediate: found[1], root: found[2], extensions: extensions}, nil
}

func (p *pck) ca() string { return caOf(p.intermediate.Subject.CommonName) }

// deviceID is empty where the certificate does not name the platform.
func (p *pck) deviceID() string {
	ppid, err := hex.DecodeString(p.extensions.PPID)
	if err != nil || len(ppid) == 0 {
		return ""
	}
	id := DeviceID(ppid)
	return hex.EncodeToString(id[:])
}

// revokedBy looks for each certificate of the chain, and for the signers of the collateral, in the two lists.
func (p *pck) revokedBy(c *Collateral) error {
	// The lists are signed by the certificates of the collateral; they speak about this chain only where
	// those are the same.
	if !sameKey(p.intermediate, c.pckChain.signer) || !sameKey(p.root, c.tcbChain.root) {
		return fmt.Errorf("%w: the revocation lists are not from the CAs of the chain", ErrCollateral)
	}
	if revoked(c.pckCRL, p.leaf) {
		return fmt.Errorf("%w: PCK certificate %x", ErrRevoked, p.leaf.SerialNumber)
	}
	for _, certificate := range []*x509.Certificate{p.intermediate, c.pckChain.signer, c.tcbChain.signer, c.qeChain.signer} {
		if revoked(c.rootCRL, certificate) {
			return fmt.Errorf("%w: %s %x", ErrRevoked, certificate.Subject.CommonName, certificate.SerialNumber)
		}
	}
	return nil
}

// checkSignature lets go-tdx-guest verify the quote: the PCK chain up to the roots at the given time, the
// report of the quoting enclave by the PCK certificate, the attestation key by that report, the quote by that
// key. With collateral it judges that and revocation as well; it then accepts UpToDate alone.
func checkSignature(q *Quote, roots *x509.CertPool, now time.Time, c *Collateral) error {
	options := &tdx.Options{TrustedRoots: roots, Now: now}
	if c != nil {
		options.GetCollateral, options.CheckRevocations, options.Getter = true, true, collateralGetter{c}
	}
	return tdx.RawTdxQuote(q.raw, options)
}

// collateralGetter answers go-tdx-guest's requests out of collateral at hand. The bodies are written anew from
// their checked parts, so that nothing unsigned reaches its decoder.
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

// joinSigned is the reverse of splitSigned; the signature is known to be hexadecimal.
func joinSigned(name, document, signature string) []byte {
	return fmt.Appendf(nil, `{"%s":%s,"signature":"%s"}`, name, document, signature)
}
