package verify_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
func running(t testing.TB, c *client.Client, trust deploy.Option) *deploy.Result {
	t.Helper()
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	r, err := deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: app, InstanceType: "tdx.small"}, trust)
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
