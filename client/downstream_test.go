package client_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/openapi"
)

// status is a small service of somebody else, as it might use this SDK.
type status struct{ cloud *client.Client }

func (s status) Running(ctx context.Context, name string) (bool, error) {
	cvm, err := s.cloud.CVMs.Get(ctx, name)
	if errors.Is(err, client.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return cvm.Status == "running", nil
}

// Its test mocks the default transport, which a client without WithHTTPClient uses.
func TestDownstreamWithHTTPMock(t *testing.T) {
	httpmock.Activate(t)
	const cvms = "https://cloud-api.phala.com/api/v1/cvms/"
	httpmock.RegisterMatcherResponder("GET", cvms+"web-1", httpmock.HeaderIs("X-API-Key", "phak_mock"),
		httpmock.NewJsonResponderOrPanic(200, openapi.CVMDetail{ID: "cvm_1", Name: "web-1", Status: "running"}))
	httpmock.RegisterResponder("GET", cvms+"web-2", httpmock.NewStringResponder(404, `{"detail":"no"}`))
	httpmock.RegisterResponder("GET", cvms+"web-3", httpmock.NewStringResponder(403, `{"detail":"no"}`))

	c, err := client.New(client.WithAPIKey("phak_mock"))
	require.NoError(t, err)
	s := status{c}
	running, err := s.Running(t.Context(), "web-1")
	require.NoError(t, err)
	assert.True(t, running)
	running, err = s.Running(t.Context(), "web-2")
	require.NoError(t, err)
	assert.False(t, running)
	_, err = s.Running(t.Context(), "web-3")
	require.ErrorIs(t, err, client.ErrForbidden)
	assert.Equal(t, 3, httpmock.GetTotalCallCount())
}

// The same with a transport of its own.
func TestDownstream_WithAMockTransport(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder("DELETE", "https://cloud-api.phala.com/api/v1/cvms/web-1", httpmock.NewStringResponder(204, ""))
	c, err := client.New(client.WithAPIKey("phak_mock"), client.WithHTTPClient(&http.Client{Transport: mock}))
	require.NoError(t, err)
	require.NoError(t, c.CVMs.Delete(t.Context(), "web-1"))
	assert.Equal(t, 1, mock.GetTotalCallCount())
}
