package attest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-tdx-guest/pcs"

	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/openapi"
)

// CollateralRequest is the platform that collateral is requested for.
type CollateralRequest struct {
	// FMSPC identifies the type of platform, 12 lower-case hex digits.
	FMSPC string
	// CA is the certificate authority of the platform, "platform" or "processor".
	CA string
	// Quote is the whole quote, for sources that need it.
	Quote []byte
	// Now and Roots are those of the policy.
	Now   time.Time
	Roots *x509.CertPool

	platform *pck
}

// Trusted returns [ErrQuoteSignature] if the certificate of the platform does not end in the roots. A source that uses the
// network calls it first: an untrusted certificate could contain any FMSPC, and cause requests for it. The sources of
// this package call it.
func (r CollateralRequest) Trusted() error {
	if r.platform == nil {
		return nil
	}
	if err := r.platform.trusted(r.Roots, r.Now); err != nil {
		return fmt.Errorf("%w: %w", ErrQuoteSignature, err)
	}
	return nil
}

// CollateralFunc returns the collateral for a platform. See [IntelPCS], [OfflineCollateral] and [FirstCollateral];
// [CollateralCache] caches the results of any of them. It returns [ErrNotPossible] if the source has none.
type CollateralFunc func(context.Context, CollateralRequest) (*Collateral, error)

// Collateral is the signed data that Intel publishes about a type of platform: its security levels (TCB info), the
// identity of its quoting enclave, and two revocation lists. A value of this type is consistent in itself: every
// signature in it was checked. [Verify] checks whether its root is trusted and whether it is valid now.
type Collateral struct {
	source openapi.QuoteCollateral

	tcb pcs.TcbInfo
	qe  pcs.EnclaveIdentity

	tcbChain, qeChain, pckChain issuerChain
	rootCRL, pckCRL             *x509.RevocationList

	// trustedRoots are the roots under which trusted last succeeded.
	trustedRoots atomic.Pointer[x509.CertPool]
	agreed       agreements
}

// agreements are the platforms for which go-tdx-guest accepted this collateral.
type agreements struct {
	mu        sync.Mutex
	roots     *x509.CertPool
	platforms map[[32]byte]bool
}

// maxAgreements limits the number of entries, 32 bytes each.
const maxAgreements = 1024

func (a *agreements) has(roots *x509.CertPool, platform [32]byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.platforms[platform] && a.roots.Equal(roots)
}

func (a *agreements) add(roots *x509.CertPool, platform [32]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.roots == nil || !a.roots.Equal(roots) || len(a.platforms) >= maxAgreements {
		a.roots, a.platforms = roots.Clone(), map[[32]byte]bool{}
	}
	a.platforms[platform] = true
}

// issuerChain is a signing certificate with its root.
type issuerChain struct {
	signer, root *x509.Certificate
	// escaped is the chain as it comes in a header of Intel's service.
	escaped string
}

// maxCollateral limits each part of collateral, in bytes. The largest real one is the PCK revocation list of the
// platform CA, well under 1 MiB.
const maxCollateral = 4 << 20

// ParseCollateral parses collateral in JSON: that of the cloud's collateral endpoint, of Intel's quote verification
// library, and of [Collateral.MarshalJSON].
func ParseCollateral(data []byte) (*Collateral, error) {
	if len(data) > maxCollateral {
		return nil, fmt.Errorf("%w: %d bytes, want at most %d", ErrCollateral, len(data), maxCollateral)
	}
	var source openapi.QuoteCollateral
	if err := strictjson.Unmarshal(data, &source); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCollateral, err)
	}
	return NewCollateral(source)
}

// NewCollateral checks the parts of collateral against each other. Its errors are [ErrCollateral].
func NewCollateral(source openapi.QuoteCollateral) (*Collateral, error) {
	c := &Collateral{source: source}
	if err := c.parse(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCollateral, err)
	}
	return c, nil
}

// MarshalJSON writes the form that [ParseCollateral] reads.
func (c *Collateral) MarshalJSON() ([]byte, error) { return json.Marshal(c.source) }

// NextUpdate returns the time at which the first part of it expires.
func (c *Collateral) NextUpdate() time.Time {
	first := c.tcb.NextUpdate
	for _, t := range []time.Time{
		c.qe.NextUpdate, c.rootCRL.NextUpdate, c.pckCRL.NextUpdate, c.tcbChain.signer.NotAfter,
		c.qeChain.signer.NotAfter, c.pckChain.signer.NotAfter, c.tcbChain.root.NotAfter,
	} {
		if t.Before(first) {
			first = t
		}
	}
	return first
}

// issued returns the time at which its last part became valid. The revocation lists do not count: a newer list revokes
// no less than an older one, and the two documents are often minutes older than the lists.
func (c *Collateral) issued() time.Time {
	last := c.tcb.IssueDate
	for _, t := range []time.Time{
		c.qe.IssueDate, c.tcbChain.signer.NotBefore, c.qeChain.signer.NotBefore, c.pckChain.signer.NotBefore, c.tcbChain.root.NotBefore,
	} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// checkTime compares the clock with the collateral.
func (c *Collateral) checkTime(now time.Time) error {
	if end := c.NextUpdate(); now.After(end) {
		return fmt.Errorf("%w: it ended %s", ErrCollateralExpired, end.UTC().Format(time.RFC3339))
	}
	if begin := c.issued(); now.Before(begin) {
		return fmt.Errorf("%w: it begins %s", ErrClock, begin.UTC().Format(time.RFC3339))
	}
	return nil
}

// trusted checks that all three chains end in the roots. checkTime checks the validity of the certificates, so that the
// result for the same roots does not change and is cached.
func (c *Collateral) trusted(roots *x509.CertPool) error {
	if last := c.trustedRoots.Load(); last != nil && last.Equal(roots) {
		return nil
	}
	for i, signer := range []*x509.Certificate{c.tcbChain.signer, c.qeChain.signer, c.pckChain.signer} {
		if i == 1 && signer.Equal(c.tcbChain.signer) {
			continue
		}
		chains, err := signer.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: c.issued()})
		if err != nil {
			return fmt.Errorf("%w: signer %.80q: %w", ErrCollateral, signer.Subject.CommonName, err)
		}
		if root := chains[0][len(chains[0])-1]; !sameKey(root, c.tcbChain.root) {
			return fmt.Errorf("%w: signer %.80q is below another root than its revocation list", ErrCollateral, signer.Subject.CommonName)
		}
	}
	c.trustedRoots.Store(roots.Clone())
	return nil
}

func (c *Collateral) parse() error {
	if c.source.RootCACRL == "" || c.source.PCKCRL == "" {
		return errors.New("it has no revocation lists, so that nothing could be revoked; older recordings lack them")
	}
	var err error
	for _, chain := range []struct {
		name string
		pem  string
		into *issuerChain
	}{
		{"TCB info", c.source.TCBInfoIssuerChain, &c.tcbChain},
		{"QE identity", c.source.QEIdentityIssuerChain, &c.qeChain},
		{"PCK revocation list", c.source.PCKCRLIssuerChain, &c.pckChain},
	} {
		if *chain.into, err = parseIssuerChain(chain.pem); err != nil {
			return fmt.Errorf("issuer chain of the %s: %w", chain.name, err)
		}
	}
	root := c.tcbChain.root
	if !sameKey(root, c.qeChain.root) || !sameKey(root, c.pckChain.root) {
		return fmt.Errorf("the issuer chains end in different roots")
	}
	if err := parseSigned(c.source.TCBInfo, c.source.TCBInfoSignature, c.tcbChain.signer, &c.tcb); err != nil {
		return fmt.Errorf("TCB info: %w", err)
	}
	if err := parseSigned(c.source.QEIdentity, c.source.QEIdentitySignature, c.qeChain.signer, &c.qe); err != nil {
		return fmt.Errorf("QE identity: %w", err)
	}
	if c.rootCRL, err = parseCRL(c.source.RootCACRL, root); err != nil {
		return fmt.Errorf("root revocation list: %w", err)
	}
	if c.pckCRL, err = parseCRL(c.source.PCKCRL, c.pckChain.signer); err != nil {
		return fmt.Errorf("PCK revocation list: %w", err)
	}
	// The versions that go-tdx-guest and Intel's library require.
	if c.tcb.ID != "TDX" || c.tcb.Version != 3 {
		return fmt.Errorf("TCB info %.20q of version %d, want \"TDX\" of version 3", c.tcb.ID, c.tcb.Version)
	}
	if c.qe.ID != "TD_QE" || c.qe.Version != 2 {
		return fmt.Errorf("QE identity %.20q of version %d, want \"TD_QE\" of version 2", c.qe.ID, c.qe.Version)
	}
	return nil
}

func parseIssuerChain(text string) (issuerChain, error) {
	if len(text) > maxCollateral {
		return issuerChain{}, fmt.Errorf("%d bytes", len(text))
	}
	var found []*x509.Certificate
	rest := []byte(strings.TrimRight(text, "\x00"))
	for len(bytes.TrimSpace(rest)) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return issuerChain{}, fmt.Errorf("not a chain of PEM certificates")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return issuerChain{}, err
		}
		if found = append(found, certificate); len(found) > 2 {
			break
		}
	}
	if len(found) != 2 {
		return issuerChain{}, fmt.Errorf("%d certificates, want the signer and the root", len(found))
	}
	var again bytes.Buffer
	for _, certificate := range found {
		if err := pem.Encode(&again, &pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}); err != nil {
			return issuerChain{}, err
		}
	}
	chain := issuerChain{signer: found[0], root: found[1], escaped: url.QueryEscape(again.String())}
	// Only the root's own signature covers its validity.
	return chain, errors.Join(chain.signer.CheckSignatureFrom(chain.root), chain.root.CheckSignatureFrom(chain.root))
}

// parseSigned reads a JSON document whose exact text is signed by ECDSA P-256, r and s in hexadecimal.
func parseSigned(text, signature string, signer *x509.Certificate, into any) error {
	if len(text) > maxCollateral {
		return fmt.Errorf("%d bytes, want at most %d", len(text), maxCollateral)
	}
	sig, err := hex.DecodeString(signature)
	if err != nil || len(sig) != 64 {
		return fmt.Errorf("signature %.160q, want 128 hexadecimal digits", signature)
	}
	key, ok := signer.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("signer %.80q has no ECDSA key", signer.Subject.CommonName)
	}
	if !signed(key, []byte(text), sig) {
		return fmt.Errorf("not signed by %.80q", signer.Subject.CommonName)
	}
	return json.Unmarshal([]byte(text), into)
}

// parseCRL reads a revocation list: DER in hexadecimal, or PEM.
func parseCRL(text string, issuer *x509.Certificate) (*x509.RevocationList, error) {
	if len(text) > 2*maxCollateral {
		return nil, fmt.Errorf("%d bytes", len(text))
	}
	der, err := hex.DecodeString(strings.TrimSpace(text))
	if err != nil {
		block, rest := pem.Decode([]byte(text))
		if block == nil || block.Type != "X509 CRL" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, fmt.Errorf("%.20q…: neither DER in hexadecimal nor PEM", text)
		}
		der = block.Bytes
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
		return nil, fmt.Errorf("issued by %.80q, want %.80q", list.Issuer, issuer.Subject)
	}
	if list.NextUpdate.IsZero() {
		return nil, errors.New("it has no next update")
	}
	return list, list.CheckSignatureFrom(issuer)
}

func revoked(list *x509.RevocationList, certificate *x509.Certificate) bool {
	return slices.ContainsFunc(list.RevokedCertificateEntries, func(e x509.RevocationListEntry) bool {
		return e.SerialNumber.Cmp(certificate.SerialNumber) == 0
	})
}

func sameKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo) && bytes.Equal(a.RawSubject, b.RawSubject)
}

// checkCollateral gets collateral for this platform, under the roots.
func (v *verifier) checkCollateral() Check {
	c, err := v.fetch()
	switch {
	case err == nil:
		v.fetched, v.collateral = true, c
		return passed(fmt.Sprintf("FMSPC %s, evaluation %d", v.pck.extensions.FMSPC, c.evaluation()), "")
	case errors.Is(err, ErrQuoteSignature):
		return blocked(CheckCollateral, CheckSignature, true)
	case errors.Is(err, ErrCollateralExpired), errors.Is(err, ErrClock):
		// CheckCollateralTime reports it.
		v.fetched, v.timeErr = true, err
		return passed("", "present, but not valid now")
	case errors.Is(err, ErrNotPossible):
		return Check{Outcome: NotPossible, Detail: err.Error(), err: err}
	case !errors.Is(err, ErrCollateral):
		err = fmt.Errorf("%w: %w", ErrCollateral, err)
	}
	return failed(err, "", "")
}

// fetch gets the collateral from the source of the policy.
func (v *verifier) fetch() (*Collateral, error) {
	if v.p.Collateral == nil {
		return nil, &missingError{ErrCollateral, "the policy names no source of collateral, such as attest.IntelPCS(nil)"}
	}
	request := CollateralRequest{
		FMSPC: v.pck.extensions.FMSPC, CA: v.pck.ca(), Quote: v.q.raw, Now: v.now, Roots: v.p.Roots,
		platform: v.pck,
	}
	c, err := v.p.Collateral(v.ctx, request)
	switch {
	case err != nil:
		return nil, err
	case c == nil:
		return nil, fmt.Errorf("%w: the source returned none", ErrCollateral)
	case !c.isFor(request):
		return nil, fmt.Errorf("%w: it is for FMSPC %.20q, want %s", ErrCollateral, c.tcb.Fmspc, request.FMSPC)
	case !strings.EqualFold(c.tcb.PceID, v.pck.extensions.PCEID):
		return nil, fmt.Errorf("%w: it is for PCE %.20q, want %s", ErrCollateral, c.tcb.PceID, v.pck.extensions.PCEID)
	}
	return c, c.trusted(v.p.Roots)
}

// checkCollateralTime compares the clock with the collateral.
func (v *verifier) checkCollateralTime() Check {
	if v.timeErr != nil {
		return failed(v.timeErr, "", "")
	}
	if err := v.collateral.checkTime(v.now); err != nil {
		return failed(err, "", "")
	}
	return passed("until "+v.collateral.NextUpdate().UTC().Format("2006-01-02 15:04:05Z"), "")
}
func (c *Collateral) isFor(request CollateralRequest) bool {
	return c != nil && strings.EqualFold(c.tcb.Fmspc, request.FMSPC) && caOf(c.pckChain.signer.Subject.CommonName) == request.CA
}

// caOf returns the name of the CA that certified a platform, from Intel's common names.
func caOf(commonName string) string {
	switch commonName {
	case "Intel SGX PCK Platform CA":
		return "platform"
	case "Intel SGX PCK Processor CA":
		return "processor"
	}
	return ""
}

// FirstCollateral returns a source that tries several sources in order, and returns the first usable collateral: for
// the platform, signed under the roots, and valid now. If there is none, the error joins those of all sources.
func FirstCollateral(sources ...CollateralFunc) CollateralFunc {
	return func(ctx context.Context, request CollateralRequest) (*Collateral, error) {
		errs := []error{}
		for i, source := range sources {
			c, err := source(ctx, request)
			if err == nil && c == nil {
				err = fmt.Errorf("%w: the source returned none", ErrCollateral)
			}
			if err == nil {
				err = c.check(request)
			}
			if err == nil {
				return c, nil
			}
			errs = append(errs, fmt.Errorf("source %d of %d: %w", i+1, len(sources), err))
			// Untrusted hardware is untrusted for each source, and after the end of the context none can respond.
			if errors.Is(err, ErrQuoteSignature) || ctx.Err() != nil {
				break
			}
		}
		if len(errs) == 0 {
			return nil, &missingError{ErrCollateral, "no source of collateral was named"}
		}
		return nil, errors.Join(errs...)
	}
}

// OfflineCollateral returns a source of the given collateral. It returns the first one for the platform.
func OfflineCollateral(collateral ...*Collateral) CollateralFunc {
	return func(_ context.Context, request CollateralRequest) (*Collateral, error) {
		for _, c := range collateral {
			if c.isFor(request) {
				return c, nil
			}
		}
		return nil, fmt.Errorf("%w: none for FMSPC %s and CA %s", ErrCollateral, request.FMSPC, request.CA)
	}
}

// IntelPCS returns a source that fetches collateral from Intel's provisioning certification service: four requests
// over https. A nil client means a default one. Redirects are not followed and responses are limited.
func IntelPCS(client *http.Client) CollateralFunc {
	h := http.Client{}
	if client != nil {
		h = *client
	}
	h.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, request CollateralRequest) (*Collateral, error) {
		if err := request.Trusted(); err != nil {
			return nil, err
		}
		source, err := fetchPCS(ctx, &h, request)
		if err != nil {
			return nil, fmt.Errorf("%w: from Intel: %w", ErrCollateral, err)
		}
		return NewCollateral(*source)
	}
}

func fetchPCS(ctx context.Context, h *http.Client, request CollateralRequest) (*openapi.QuoteCollateral, error) {
	var c openapi.QuoteCollateral
	header, body, err := fetch(ctx, h, pcs.TcbInfoURL(request.FMSPC))
	if err != nil {
		return nil, err
	}
	if c.TCBInfo, c.TCBInfoSignature, err = splitSigned(body, "tcbInfo"); err != nil {
		return nil, err
	}
	if c.TCBInfoIssuerChain, err = chainOf(header, "Tcb-Info-Issuer-Chain"); err != nil {
		return nil, err
	}
	if header, body, err = fetch(ctx, h, pcs.QeIdentityURL()); err != nil {
		return nil, err
	}
	if c.QEIdentity, c.QEIdentitySignature, err = splitSigned(body, "enclaveIdentity"); err != nil {
		return nil, err
	}
	if c.QEIdentityIssuerChain, err = chainOf(header, "Sgx-Enclave-Identity-Issuer-Chain"); err != nil {
		return nil, err
	}
	if header, body, err = fetch(ctx, h, pcs.PckCrlURL(request.CA)); err != nil {
		return nil, err
	}
	c.PCKCRL = hex.EncodeToString(body)
	if c.PCKCRLIssuerChain, err = chainOf(header, "Sgx-Pck-Crl-Issuer-Chain"); err != nil {
		return nil, err
	}
	chain, err := parseIssuerChain(c.QEIdentityIssuerChain)
	if err != nil {
		return nil, err
	}
	if len(chain.root.CRLDistributionPoints) == 0 {
		return nil, fmt.Errorf("the root names no revocation list")
	}
	_, body, err = fetch(ctx, h, chain.root.CRLDistributionPoints[0])
	c.RootCACRL = hex.EncodeToString(body)
	return &c, err
}

func fetch(ctx context.Context, h *http.Client, address string) (http.Header, []byte, error) {
	if u, err := url.Parse(address); err != nil || u.Scheme != "https" {
		return nil, nil, fmt.Errorf("%.200q, want an https URL", address)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("GET %s: status %d", address, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxCollateral+1))
	if err == nil && len(body) > maxCollateral {
		err = fmt.Errorf("more than %d bytes", maxCollateral)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("GET %s: %w", address, err)
	}
	return resp.Header, body, nil
}

func chainOf(header http.Header, name string) (string, error) {
	chain, err := url.QueryUnescape(header.Get(name))
	if err != nil || chain == "" {
		return "", fmt.Errorf("no issuer chain in the header %s", name)
	}
	return chain, nil
}

// splitSigned returns the parts of {"<name>":<document>,"signature":"<hex>"}, with the exact text of the document.
// Any other member is an error: encoding/json matches names without regard to case, so that a member "TCBINFO" would
// be read in place of the "tcbInfo" whose signature was checked.
func splitSigned(body []byte, name string) (document, signature string, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		return "", "", fmt.Errorf("%s: not a JSON object", name)
	}
	seen := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
		key, _ := token.(string)
		if _, twice := seen[key]; twice || (key != name && key != "signature") {
			return "", "", fmt.Errorf("%s: unexpected member %.80q", name, key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return "", "", fmt.Errorf("%s: %w", name, err)
		}
		seen[key] = value
	}
	if err := json.Unmarshal(seen["signature"], &signature); err != nil || seen[name] == nil {
		return "", "", fmt.Errorf("%s: the document or its signature is missing", name)
	}
	return string(seen[name]), signature, nil
}

// maxCached limits the entries of a cache. There are a few dozen types of TDX platforms.
const maxCached = 128

// CollateralCache caches the collateral for each FMSPC and CA until its next update. Concurrent verifications that
// need the same collateral share one request. Only collateral that is valid under the roots of the request is cached.
// The method Collateral is a [CollateralFunc].
type CollateralCache struct {
	source CollateralFunc

	mu      sync.Mutex
	kept    map[cacheKey]*Collateral
	running map[cacheKey]*fetching
}

type cacheKey struct{ fmspc, ca string }

type fetching struct {
	done       chan struct{}
	collateral *Collateral
	err        error
}

// NewCollateralCache returns a cache in front of source.
func NewCollateralCache(source CollateralFunc) *CollateralCache {
	return &CollateralCache{source: source, kept: map[cacheKey]*Collateral{}, running: map[cacheKey]*fetching{}}
}

// Collateral returns collateral from the cache, or from the source. It returns an error if that of the source is not
// signed under the roots ([ErrCollateral]), has expired ([ErrCollateralExpired]) or is not valid yet ([ErrClock]).
func (c *CollateralCache) Collateral(ctx context.Context, request CollateralRequest) (*Collateral, error) {
	key := cacheKey{request.FMSPC, request.CA}
	for {
		c.mu.Lock()
		if kept := c.kept[key]; kept != nil && kept.check(request) == nil {
			c.mu.Unlock()
			return kept, nil
		}
		f, waiting := c.running[key]
		if !waiting {
			f = &fetching{done: make(chan struct{})}
			c.running[key] = f
		}
		c.mu.Unlock()
		if !waiting {
			c.fetch(ctx, key, request, f)
			return f.collateral, f.err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for collateral: %w", context.Cause(ctx))
		case <-f.done:
		}
		// The failure may be due to the context, the clock or the roots of the other caller.
		if f.err == nil && f.collateral.check(request) == nil {
			return f.collateral, nil
		}
	}
}

func (c *CollateralCache) fetch(ctx context.Context, key cacheKey, request CollateralRequest, f *fetching) {
	f.err = fmt.Errorf("%w: the source panicked", ErrCollateral)
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.running, key)
		if f.err == nil {
			c.keep(key, f.collateral, request.Now)
		}
		close(f.done)
	}()
	f.collateral, f.err = c.source(ctx, request)
	if f.err == nil {
		f.err = f.collateral.check(request)
	}
	if f.err != nil {
		f.collateral = nil
	}
}

// keep adds an entry. If the cache is full, it evicts the expired entries, otherwise any.
func (c *CollateralCache) keep(key cacheKey, collateral *Collateral, now time.Time) {
	for k, kept := range c.kept {
		if len(c.kept) >= maxCached || now.After(kept.NextUpdate()) {
			delete(c.kept, k)
		}
	}
	c.kept[key] = collateral
}

func (c *Collateral) check(request CollateralRequest) error {
	if !c.isFor(request) {
		return fmt.Errorf("%w: it is not for FMSPC %s and CA %s", ErrCollateral, request.FMSPC, request.CA)
	}
	if err := c.checkTime(request.Now); err != nil {
		return err
	}
	return c.trusted(request.Roots)
}
