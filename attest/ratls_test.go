package attest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/kms"
)

// serve runs an app behind a certificate. Its policy is that of the spec, without a nonce.
func serve(t *testing.T, certificate tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "from the app")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the point
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func get(t *testing.T, peer *attest.Peer, url string) (string, error) {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: peer.TLSConfig()}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestRATLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	certificate, evidence, err := a.Certificate(spec())
	require.NoError(t, err)
	url := serve(t, certificate)

	t.Run("that app", func(t *testing.T) {
		t.Parallel()
		var report *attest.Report
		body, err := get(t, &attest.Peer{Policy: strict(t, a), Report: func(r *attest.Report) { report = r }}, url)
		require.NoError(t, err)
		assert.Equal(t, "from the app", body)
		assert.Equal(t, attest.Passed, report.Check(attest.CheckReportData).Outcome)
	})
	t.Run("evidence from elsewhere", func(t *testing.T) {
		t.Parallel()
		_, err := get(t, &attest.Peer{Policy: strict(t, a), Evidence: func(context.Context, *x509.Certificate) (attest.Evidence, error) {
			return evidence, nil
		}}, url)
		require.NoError(t, err)
	})
	t.Run("another app", func(t *testing.T) {
		t.Parallel()
		p := strict(t, a)
		p.AppID = kms.AppID{9}
		_, err := get(t, &attest.Peer{Policy: p}, url)
		requireOnly(t, err, attest.ErrAppID)
	})
	t.Run("a true quote that signs another key", func(t *testing.T) {
		t.Parallel()
		other, _, err := a.Certificate(spec())
		require.NoError(t, err)
		// The messenger has a key of its own and the evidence of the app.
		_, err = get(t, &attest.Peer{Policy: strict(t, a), Evidence: func(context.Context, *x509.Certificate) (attest.Evidence, error) {
			return evidence, nil
		}}, serve(t, other))
		requireOnly(t, err, attest.ErrReportData)
	})
	t.Run("a certificate without quote", func(t *testing.T) {
		t.Parallel()
		plain := httptest.NewUnstartedServer(http.NotFoundHandler())
		plain.Config.ErrorLog = log.New(io.Discard, "", 0)
		plain.StartTLS()
		t.Cleanup(plain.Close)
		p := strict(t, a)
		p.Now = nil
		_, err := get(t, &attest.Peer{Policy: p}, plain.URL)
		require.ErrorIs(t, err, attest.ErrNoQuote)
	})
	t.Run("as the other hook", func(t *testing.T) {
		t.Parallel()
		peer := &attest.Peer{Policy: strict(t, a)}
		require.NoError(t, peer.VerifyPeerCertificate(certificate.Certificate, nil))
		require.Error(t, peer.VerifyPeerCertificate(nil, nil))
		require.Error(t, peer.VerifyPeerCertificate([][]byte{{1}}, nil))
		require.Error(t, peer.VerifyConnection(tls.ConnectionState{}))
	})
	t.Run("expired certificate", func(t *testing.T) {
		t.Parallel()
		p := strict(t, a)
		p.Now = func() time.Time { return now().AddDate(20, 0, 0) }
		_, err := get(t, &attest.Peer{Policy: p}, url)
		require.ErrorContains(t, err, "valid from")
	})
}
