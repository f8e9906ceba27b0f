package sandboxes_test

import (
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/service/sandboxes"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

// If one answer is all that matters, a mocked transport is enough.
func TestService_HidesTheTroublesOfTheCloud(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status int
		body   string
		want   int
	}{
		"not found":    {http.StatusNotFound, `{"error_code":"ERR-03-001","message":"CVM not found"}`, http.StatusNotFound},
		"rate limited": {http.StatusTooManyRequests, `{"detail":"slow down"}`, http.StatusServiceUnavailable},
		"broken":       {http.StatusBadGateway, `<html>`, http.StatusServiceUnavailable},
		"bad key":      {http.StatusUnauthorized, `{"detail":"bad key"}`, http.StatusInternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mock := httpmock.NewMockTransport()
			mock.RegisterResponder("GET", `=~^https://cloud-api\.phala\.com/api/v1/cvms/[0-9a-f-]+$`,
				httpmock.NewStringResponder(tt.status, tt.body))
			c, err := client.New(
				client.WithAPIKey("phak_test"),
				client.WithBaseURL(client.DefaultBaseURL),
				client.WithHTTPClient(&http.Client{Transport: mock}),
				client.WithoutRetry(),
			)
			require.NoError(t, err)
			dir := t.TempDir()
			app := &deploy.App{CVMs: []deploy.CVM{{ID: "4d1b6e0c-0f0e-4c5e-9a57-0d6a4d1b9a11", Name: "alice-1"}}, Document: "{}", ComposeHash: compose.Sum([]byte("{}"))}
			app.ID[0] = 1
			require.NoError(t, deploy.SaveFile(filepath.Join(dir, "alice-1.app.json"), app))
			s, err := sandboxes.New(c, dir, slog.New(slog.DiscardHandler))
			require.NoError(t, err)
			defer s.Close()
			w := call(s, "GET", "/sandboxes/alice-1", nil)
			assert.Equal(t, tt.want, w.Code)
			assert.NotContains(t, w.Body.String(), "CVM")
		})
	}
}
