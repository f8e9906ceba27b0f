package deploy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/internal/interleave"
)

// answering is a transport that reads a request and answers a provision.
type answering struct{ hash string }

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
	}
	body := `{"app_id":"0100000000000000000000000000000000000000","compose_hash":"` + a.hash + `"}`
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

// large is a document of 200 KB.
func large(tb testing.TB) *compose.App {
	tb.Helper()
	script := "#!/bin/sh\n" + strings.Repeat("echo \"a line of a long script\" && true\n", 5000)
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript(script))
	require.NoError(tb, err)
	return app
}

// BenchmarkProvision is a provision of 200 KB by deploy, all checks before it included, and by hand: the document to
// canonical bytes, their hash, a request with these bytes, and the hashes compared; the request by json.Marshal, and put
// together without looking at the document.
func BenchmarkProvision(b *testing.B) {
	app := large(b)
	hash, err := app.Hash()
	require.NoError(b, err)
	transport := answering{hash.String()}
	c, err := client.New(client.WithAPIKey("phak_bench"), client.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(b, err)
	h := &http.Client{Transport: transport}
	interleave.Compare(b, func() error {
		_, err := deploy.Provision(b.Context(), c, deploy.Spec{Name: "web-1", Compose: app})
		return err
	}, interleave.Baseline{Name: "marshal", Do: func() error {
		return provisionByHand(b.Context(), h, app, func(text []byte) ([]byte, error) {
			return json.Marshal(struct {
				Name        string          `json:"name"`
				ComposeFile json.RawMessage `json:"compose_file"`
			}{"web-1", text})
		})
	}}, interleave.Baseline{Name: "concat", Do: func() error {
		return provisionByHand(b.Context(), h, app, func(text []byte) ([]byte, error) {
			return slices.Concat([]byte(`{"name":"web-1","compose_file":`), text, []byte("}")), nil
		})
	}})
}

func provisionByHand(ctx context.Context, h *http.Client, app *compose.App, encode func([]byte) ([]byte, error)) error {
	text, err := app.Canonical()
	if err != nil {
		return err
	}
	hash := compose.Sum(text)
	body, err := encode(text)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://cloud-api.phala.com/api/v1/cvms/provision", bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := h.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		ComposeHash string `json:"compose_hash"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.ComposeHash != hash.String() {
		return errors.New("another hash")
	}
	return nil
}
