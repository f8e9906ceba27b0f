package client

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"

	"github.com/phala-go/phala/internal/cloudtext"
)

func decoded(status int, body string, header ...string) *APIError {
	e := decodeError(reply(status, "", header...), []byte(body), time.Now())
	e.Operation, e.Method = "CVMs.Get", "GET"
	return e
}

func TestErrorShapes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		status  int
		body    string
		code    Code
		message string
		fields  []string
		request string
	}{
		"detail text":      {403, `{"detail":"No permission"}`, "", "No permission", nil, ""},
		"validation":       {422, `{"detail":[{"loc":["body","compose_file","name"],"msg":"Field required","type":"missing"},{"loc":["query",0],"msg":"x","type":"y"}]}`, "", "Field required", []string{"compose_file.name", "query.0"}, ""},
		"detail object":    {400, `{"detail":{"message":"Nope","code":"X-1"}}`, "X-1", "Nope", nil, ""},
		"device login":     {400, `{"error":"authorization_pending","error_description":"Wait"}`, "", "Wait", nil, ""},
		"device in detail": {400, `{"detail":{"error":"slow_down"}}`, "", "slow_down", nil, ""},
		"structured":       {409, `{"error_code":"ERR-03-007","message":"Conflict","request_id":"r1","details":[{"field":"app_id","value":"ab","message":null}],"suggestions":["a"],"links":[{"url":"https://x","label":"X"}]}`, CodeCVMAppIDConflict, "Conflict", []string{"app_id"}, "r1"},
		"structured, null": {409, `{"error_code":"ERR-03-007","message":"Conflict","details":null,"suggestions":null,"links":null}`, CodeCVMAppIDConflict, "Conflict", nil, ""},
		"older structured": {409, `{"detail":{"error_code":"ERR-03-007","message":"Conflict","request_id":"r2"}}`, CodeCVMAppIDConflict, "Conflict", nil, "r2"},
		"legacy 465":       {465, `{"message":"Register","compose_hash":"ab","app_id":"cd"}`, "", "Register", nil, ""},
		"html":             {502, `<html><body>Bad Gateway</body></html>`, "", "bad gateway", nil, ""},
		"nothing":          {504, ``, "", "gateway timeout", nil, ""},
		"torn":             {500, `{"detail":"int`, "", "internal server error", nil, ""},
		"list":             {400, `["x"]`, "", "bad request", nil, ""},
		"wrong types":      {400, `{"detail":5,"message":{"a":1},"error_code":7,"details":"x","links":[1,{"url":"https://x"}],"suggestions":[1,"ok"]}`, "", "bad request", nil, ""},
		"vendor, nothing":  {466, ``, "", ErrHashInvalidOrExpired.Error(), nil, ""},
		"unknown status":   {599, ``, "", "status 599", nil, ""},
		"control codes":    {400, `{"detail":"a\nb\u001b[31m"}`, "", `a b\x1b[31m`, nil, ""},
		"long":             {400, `{"detail":"` + strings.Repeat("é", 2000) + `"}`, "", strings.Repeat("é", cloudtext.Limit/2) + "…", nil, ""},
	} {
		e := decoded(tt.status, tt.body)
		assert.Equal(t, tt.code, e.Code, name)
		assert.Equal(t, tt.message, e.Message, name)
		assert.Equal(t, tt.request, e.RequestID, name)
		var fields []string
		for _, f := range e.Fields {
			fields = append(fields, f.Field)
		}
		assert.Equal(t, tt.fields, fields, name)
		assert.Equal(t, tt.body, string(e.Raw), name)
		assert.NotContains(t, e.Error(), "\n", name)
	}
	e := decoded(409, `{"error_code":"ERR-03-007","message":"m","request_id":"r1","suggestions":["try"],"links":[{"url":"https://x","label":"X"}]}`, "X-Request-ID", "header")
	assert.Equal(t, "CVMs.Get: 409 ERR-03-007: m [request r1]", e.Error(), "the body's request id goes before the header's")
	assert.Equal(t, []string{"try"}, e.Suggestions)
	assert.Equal(t, []Link{{"https://x", "X"}}, e.Links)
	assert.Equal(t, "header", decoded(500, "", "X-Request-ID", "header").RequestID)
	assert.Equal(t, 7*time.Second, decoded(429, "", "Retry-After", "7").RetryAfter)
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	kinds := map[int][]error{
		300: {ErrRedirect}, 302: {ErrRedirect}, 400: {ErrBadRequest}, 401: {ErrUnauthorized}, 402: {}, 403: {ErrForbidden}, 404: {ErrNotFound},
		409: {ErrConflict, ErrBusy}, 422: {ErrValidation}, 428: {}, 429: {ErrRateLimited}, 465: {ErrHashRegistrationRequired},
		466: {ErrHashInvalidOrExpired}, 467: {ErrTxVerificationFailed}, 468: {ErrHashNotAllowed}, 500: {ErrServer}, 503: {ErrServer}, 599: {ErrServer},
	}
	all := []error{
		ErrRedirect, ErrBadRequest, ErrUnauthorized, ErrForbidden, ErrNotFound, ErrConflict, ErrBusy, ErrValidation, ErrRateLimited,
		ErrServer, ErrHashRegistrationRequired, ErrHashInvalidOrExpired, ErrTxVerificationFailed, ErrHashNotAllowed,
	}
	for status, want := range kinds {
		var got []error
		for _, kind := range all {
			if errors.Is(decoded(status, ""), kind) {
				got = append(got, kind)
			}
		}
		assert.ElementsMatch(t, want, got, status)
	}
	assert.NotErrorIs(t, decoded(409, `{"error_code":"ERR-01-004"}`), ErrBusy)
}

func TestHashRegistrationRequired(t *testing.T) {
	t.Parallel()
	const kmsInfo = `{"id":"kms_1","slug":"kms-base-prod5","url":"https://k","version":"0.5.5","chain_id":8453,"kms_contract_address":"0x2f83"}`
	structured := `{"error_code":"ERR-01-005","message":"Register","details":[
		{"field":"compose_hash","value":"ab"},{"field":"app_id","value":"cd"},{"field":"device_id","value":"ef"},{"field":"kms_info","value":` + kmsInfo + `},
		{"field":"commit_token","value":"t0ken"},{"field":"commit_url","value":"https://c?token=t0ken"},{"field":"api_commit_url","value":"https://a?token=t0ken"},
		{"field":"onchain_status","value":{"compose_hash_allowed":false,"device_id_allowed":true,"is_allowed":false}},{"field":"new","value":[1]}]}`
	for name, body := range map[string]string{
		"structured": structured, "nested": `{"detail":` + structured + `}`,
		"legacy":        `{"message":"m","compose_hash":"ab","app_id":"cd","device_id":"ef","kms_info":` + kmsInfo + `}`,
		"legacy nested": `{"detail":{"message":"m","compose_hash":"ab","app_id":"cd","device_id":"ef","kms_info":` + kmsInfo + `}}`,
	} {
		var h *HashRegistrationRequired
		require.ErrorAs(t, decoded(465, body), &h, name)
		assert.Equal(t, []string{"ab", "cd", "ef"}, []string{h.ComposeHash, h.AppID, h.DeviceID}, name)
		require.NotNil(t, h.KMSInfo, name)
		assert.Equal(t, int64(8453), *h.KMSInfo.ChainID, name)
		if strings.HasPrefix(name, "legacy") {
			assert.Empty(t, h.CommitToken)
			assert.Nil(t, h.OnChainStatus)
			continue
		}
		assert.Equal(t, openapi.Secret("t0ken"), h.CommitToken, name)
		assert.Equal(t, openapi.Secret("https://a?token=t0ken"), h.APICommitURL, name)
		assert.Equal(t, &OnChainStatus{DeviceIDAllowed: true}, h.OnChainStatus, name)
	}
	var h *HashRegistrationRequired
	require.NotErrorAs(t, decoded(466, structured), &h)
}

func TestAPIError_EveryCodeHasAMeaning(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("codes.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`= "(ERR-\d\d-\d\d\d)"`).FindAllStringSubmatch(string(source), -1)
	assert.Greater(t, len(codes), 40)
	seen := map[string]bool{}
	for _, c := range codes {
		assert.NotEmpty(t, Code(c[1]).Meaning(), c[1])
		assert.False(t, seen[c[1]], c[1])
		seen[c[1]] = true
	}
	assert.Empty(t, Code("ERR-99-999").Meaning())
}

func FuzzDecodeError(f *testing.F) {
	for _, s := range []string{`{"detail":"x"}`, `{"detail":[{"loc":["body",1],"msg":"m"}]}`, `{"error_code":"E","details":[{}],"links":[{}]}`, `{"detail":{"detail":{}}}`, `<html>`, ``} {
		f.Add(s, 422)
	}
	f.Fuzz(func(t *testing.T, body string, status int) {
		e := decodeError(&http.Response{StatusCode: status, Header: http.Header{}}, []byte(body), time.Now())
		if e.Message == "" || strings.ContainsAny(e.Error(), "\r\n") || len(e.Message) > 6*cloudtext.Limit+len("…") {
			t.Fatalf("%q", e.Error())
		}
		var h *HashRegistrationRequired
		_ = errors.As(e, &h)
		_ = json.Valid(e.Raw)
	})
}
