package attest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/go-tdx-guest/pcs"

	"github.com/phala-go/phala/openapi"
)

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
				err = c.usable(request)
			}
			if err == nil {
				return c, nil
			}
			errs = append(errs, fmt.Errorf("source %d of %d: %w", i+1, len(sources), err))
			// A platform that the first source does not trust is trusted by none, and a context that has ended leaves
			// no time for the next.
			if errors.Is(err, ErrSignature) || ctx.Err() != nil {
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
			if c.serves(request) {
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
		if kept := c.kept[key]; kept != nil && kept.usable(request) == nil {
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
		// The failure may be particular to the other caller: its context, its clock, its roots.
		if f.err == nil && f.collateral.usable(request) == nil {
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
		f.err = f.collateral.usable(request)
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

func (c *Collateral) usable(request CollateralRequest) error {
	if !c.serves(request) {
		return fmt.Errorf("%w: it is not for FMSPC %s and CA %s", ErrCollateral, request.FMSPC, request.CA)
	}
	if err := c.holds(request.Now); err != nil {
		return err
	}
	return c.trusted(request.Roots)
}
