package delivery

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A public name that leads to a private address is refused when it is connected to.
func TestDelivery_ConnectsToPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := New()
	get := func() error {
		resp, err := w.client.Get(server.URL)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	err := get()
	require.ErrorContains(t, err, "is not public")
	assert.Contains(t, explain(t.Context(), err), "the address 127.0.0.1:")
	w.Local = true
	require.NoError(t, get())
}
