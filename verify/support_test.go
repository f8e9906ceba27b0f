package verify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestMain(m *testing.M) {
	// net/http reads it once per process; nothing of this package may use it.
	if err := os.Setenv("HTTPS_PROXY", "http://proxy.invalid:3128"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// cloud returns a fake cloud, a client of it, and the option that trusts its hardware.
func cloud(t testing.TB, opts ...phalatest.Option) (*phalatest.Server, *client.Client, deploy.Option) {
	t.Helper()
	s := phalatest.New(t, opts...)
	c, err := s.Client()
	require.NoError(t, err)
	return s, c, trusting(s)
}

func trusting(s *phalatest.Server) deploy.Option {
	return deploy.WithVerification(s.AttestationPolicy())
}

// running deploys an app without secrets.
func running(t testing.TB, c *client.Client, trust deploy.Option) *deploy.App {
	t.Helper()
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	r, err := deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: app, Image: "dstack-0.5.5", InstanceType: "tdx.small"}, trust)
	require.NoError(t, err)
	return r
}

// keyless returns a client without an API key.
func keyless(t testing.TB, s *phalatest.Server) *client.Client {
	t.Helper()
	t.Setenv("PHALA_CLOUD_API_KEY", "")
	c, err := client.New(client.WithBaseURL("https://phala.test/api/v1"), client.WithHTTPClient(&http.Client{Transport: s.Transport()}))
	require.NoError(t, err)
	return c
}

func operations(s *phalatest.Server) []string {
	var names []string
	for _, r := range s.Requests() {
		names = append(names, r.Operation)
	}
	return names
}

func rewritten(body []byte, change func(map[string]any)) []byte {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return body
	}
	change(members)
	changed, _ := json.Marshal(members)
	return changed
}

// flipped changes one bit in the middle.
func flipped(text string) string {
	b := []byte(text)
	b[len(b)/2] ^= 1
	return string(b)
}

func mustURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	require.NoError(t, err)
	return u
}

// copied returns a certificate with a key of its own and the extensions of another certificate.
func copied(t testing.TB, from *x509.Certificate) *tls.Certificate {
	t.Helper()
	return selfSigned(t, &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: from.Subject, NotBefore: from.NotBefore, NotAfter: from.NotAfter,
		ExtraExtensions: from.Extensions[len(from.Extensions)-2:],
	})
}

// ordinary returns a certificate without a quote.
func ordinary(t testing.TB) *tls.Certificate {
	t.Helper()
	return selfSigned(t, &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
}

func selfSigned(t testing.TB, template *x509.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
