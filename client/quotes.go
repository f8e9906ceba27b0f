package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime/multipart"

	"github.com/phala-go/phala/openapi"
)

// maxQuote limits an uploaded quote, as x-phala-max-bytes limits a downloaded one. Real quotes have 2 to 8 KB.
const maxQuote = 1 << 20

// VerifyRaw uploads the bytes of a quote as a file, at most 1 MiB, and returns the verdict, like
// [AttestationsService.Verify]. [AttestationsService.GetRaw] returns such bytes.
func (s *AttestationsService) VerifyRaw(ctx context.Context, quote []byte, opts ...CallOption) (*openapi.QuoteVerification, error) {
	body, media, err := quoteForm(quote)
	if err != nil {
		return nil, fmt.Errorf("Attestations.VerifyRaw: %w", err)
	}
	req, err := openapi.NewAttestationsVerifyRequestWithBody(s.client.server, media, bytes.NewReader(body))
	return send[*openapi.QuoteVerification](ctx, s.client.call(opAttestationsVerify, opts), req, err)
}

func quoteForm(quote []byte) (body []byte, media string, err error) {
	switch {
	case len(quote) == 0:
		return nil, "", errors.New("the quote is empty")
	case len(quote) > maxQuote:
		return nil, "", fmt.Errorf("the quote has %d bytes, want at most %d", len(quote), maxQuote)
	}
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	file, err := form.CreateFormFile("file", "quote.bin")
	if err != nil {
		return nil, "", err
	}
	if _, err := file.Write(quote); err != nil {
		return nil, "", err
	}
	if err := form.Close(); err != nil {
		return nil, "", err
	}
	return b.Bytes(), form.FormDataContentType(), nil
}
