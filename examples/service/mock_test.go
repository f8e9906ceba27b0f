package sandboxes_test

import (
	"net/http"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/sandboxes"

	"github.com/phala-go/phala/client"
)

// Where one answer is all that matters, a mocked transport is enough.
func TestTheCloudsTroublesAreNotTheCallers(t *testing.T) {
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
			mock.RegisterResponder("GET", "https://cloud-api.phala.com/api/v1/cvms/alice-1",
				httpmock.NewStringResponder(tt.status, tt.body))
			c, err := client.New(
				client.WithAPIKey("phak_test"),
				client.WithBaseURL(client.DefaultBaseURL),
				client.WithHTTPClient(&http.Client{Transport: mock}),
				client.WithoutRetry(),
			)
			require.NoError(t, err)
			w := call(sandboxes.New(c), "GET", "/sandboxes/alice-1", nil)
			assert.Equal(t, tt.want, w.Code)
			assert.NotContains(t, w.Body.String(), "CVM")
		})
	}
}
