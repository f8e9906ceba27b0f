package client

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestVerifyRawUploads_AFile(t *testing.T) {
	t.Parallel()
	quote := []byte{4, 0, 2, 0, '\r', '\n', '-', '-', 0xff}
	sent := 0
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		assert.Empty(t, r.Header.Get("X-API-Key"))
		require.NoError(t, r.ParseMultipartForm(1<<20))
		file, header, err := r.FormFile("file")
		require.NoError(t, err)
		got, err := io.ReadAll(file)
		require.NoError(t, err)
		assert.Equal(t, quote, got)
		assert.Equal(t, "quote.bin", header.Filename)
		assert.Empty(t, r.MultipartForm.Value)
		if sent++; sent == 1 {
			return reply(503, "", "Retry-After", "0"), nil
		}
		return reply(200, `{"id":"1","success":true,"proof_of_cloud":false,"checksum":"ab"}`), nil
	})
	v, err := c.Attestations.VerifyRaw(t.Context(), quote)
	require.NoError(t, err)
	assert.True(t, v.Success)
	assert.Equal(t, 2, sent, "the body is sent whole again")

	_, err = c.Attestations.VerifyRaw(t.Context(), nil)
	require.ErrorContains(t, err, "Attestations.VerifyRaw: the quote is empty")
	_, err = c.Attestations.VerifyRaw(t.Context(), make([]byte, maxQuote+1))
	require.ErrorContains(t, err, "the quote has 1048577 bytes, want at most 1048576")
	assert.Equal(t, 2, sent)
}

func TestRawQuote_IsBounded(t *testing.T) {
	t.Parallel()
	size, sent := maxQuote, 0
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		sent++
		assert.Empty(t, r.Header.Get("X-API-Key"))
		return reply(200, strings.Repeat("q", size), "Content-Type", "application/octet-stream"), nil
	})
	quote, err := c.Attestations.GetRaw(t.Context(), "ab")
	require.NoError(t, err)
	assert.Equal(t, bytes.Repeat([]byte("q"), maxQuote), quote)
	size++
	_, err = c.Attestations.GetRaw(t.Context(), "ab")
	var large *BodyTooLargeError
	require.ErrorAs(t, err, &large)
	assert.Equal(t, BodyTooLargeError{Operation: "Attestations.GetRaw", Limit: maxQuote}, *large)
	assert.Equal(t, 2, sent, "a second attempt would be as long")
}

func TestTextBodies(t *testing.T) {
	t.Parallel()
	var body, media string
	var length int64
	sent := 0
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		body, media, length = "", r.Header.Get("Content-Type"), r.ContentLength
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			body = string(b)
		}
		if sent++; sent == 1 {
			return reply(503, ""), nil
		}
		return reply(202, `{"status":"in_progress","correlation_id":"c"}`), nil
	}, WithRetry(RetryPolicy{MaxAttempts: 2}))
	got, err := c.CVMs.UpdateDockerCompose(t.Context(), "web-1", "services: {}\n", nil)
	require.NoError(t, err)
	assert.Equal(t, "c", got.CorrelationID)
	assert.Equal(t, "services: {}\n", body, "in the second attempt, too")
	assert.Equal(t, "text/yaml", media)
	assert.EqualValues(t, len(body), length)
	_, err = c.CVMs.UpdatePreLaunchScript(t.Context(), "web-1", "echo hi\n", &openapi.CVMsUpdatePreLaunchScriptParams{
		ComposeHash: openapi.Ptr("ab"), TransactionHash: openapi.Ptr("already-registered"),
	})
	require.NoError(t, err)
	assert.Equal(t, "echo hi\n", body)
	assert.Equal(t, "text/plain", media)
	_, err = c.CVMs.UpdateDockerCompose(t.Context(), "web-1", "", &openapi.CVMsUpdateDockerComposeParams{ComposeHash: openapi.Ptr("ab")})
	require.NoError(t, err)
	assert.Empty(t, body+media, "a commit of what was prepared")
	before := sent
	_, err = c.CVMs.UpdateDockerCompose(t.Context(), "web-1", "", nil)
	require.ErrorContains(t, err, "CVMs.UpdateDockerCompose: body: the text is empty")
	assert.Equal(t, before, sent)
}
