package client

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func countNew(opened chan<- struct{}) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened <- struct{}{}
		}
	}
}

// trust lets the default transport of a client accept the certificate of a test server.
func trust(t *testing.T, c *Client, server *httptest.Server) {
	t.Helper()
	tr, ok := c.http.Transport.(*transport)
	require.True(t, ok)
	tr.own.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
}

// httpmock puts a transport of its own in the place of http.DefaultTransport, before or after a client was made.
func TestDefaultTransport_GivesWayToAnother(t *testing.T) {
	before, err := New(WithAPIKey(testKey))
	require.NoError(t, err)
	httpmock.Activate(t)
	after, err := New(WithAPIKey(testKey))
	require.NoError(t, err)
	httpmock.RegisterResponder("GET", DefaultBaseURL+"/cvms/web-1", httpmock.NewStringResponder(200, cvmJSON))
	for _, c := range []*Client{before, after} {
		cvm, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err)
		assert.Equal(t, "web-1", cvm.Name)
	}
	assert.Equal(t, 2, httpmock.GetTotalCallCount())
}

func TestDefaultTransport_IsTheStandardOneButForItsIdleConnections(t *testing.T) {
	c, err := New(WithAPIKey(testKey))
	require.NoError(t, err)
	own := c.http.Transport.(*transport).own
	standard := http.DefaultTransport.(*http.Transport)
	assert.Equal(t, maxIdlePerHost, own.MaxIdleConnsPerHost)
	assert.GreaterOrEqual(t, own.MaxIdleConns, maxIdlePerHost)
	assert.True(t, own.ForceAttemptHTTP2)
	assert.Equal(t, standard.IdleConnTimeout, own.IdleConnTimeout)
	assert.Equal(t, standard.TLSHandshakeTimeout, own.TLSHandshakeTimeout)
	assert.NotSame(t, standard, own)
}
