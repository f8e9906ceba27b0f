package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestIdentifiers_CannotChangeTheRoute(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s was sent", r.URL)
		return nil, errors.New("sent")
	})
	for _, id := range []string{"", ".", "..", "a/b", "a%2fb", "..%2f..", "a\\b", "a?b", "a#b", "a b", "a\nb", strings.Repeat("a", 300)} {
		_, err := c.CVMs.Get(t.Context(), id)
		require.ErrorIs(t, err, openapi.ErrPathParam, id)
		_, err = c.CVMs.GetState(t.Context(), id, nil)
		require.ErrorIs(t, err, openapi.ErrPathParam, id)
		_, err = c.API.CVMsGet(t.Context(), openapi.PathParam(id))
		require.ErrorIs(t, err, openapi.ErrPathParam, id)
	}
	_, err := c.CVMs.Get(t.Context(), "paginated")
	require.ErrorIs(t, err, ErrRoute)
	require.ErrorContains(t, err, "CVMs.List")
	_, err = c.KMS.GetAppEnvPublicKey(t.Context(), "..", "ab")
	require.ErrorIs(t, err, openapi.ErrPathParam)
}
