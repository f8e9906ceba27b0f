package attest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-tdx-guest/pcs"

	"github.com/phala-go/phala/openapi"
)

// IntelPCS gets collateral from Intel's provisioning certification service: four requests over https. A nil
// client means a default one. Redirects are not followed and answers are bounded.
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

// splitSigned takes {"<name>":<document>,"signature":"<hex>"} apart, keeping the exact text of the document.
// Any other member is refused: encoding/json matches names without regard to case, so that a member "TCBINFO"
// would be read in place of the "tcbInfo" whose signature was checked.
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
