package client

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/webhook"
)

const planted = "phak_Planted/Secret+7"

// forms are the forms in which a secret may be found.
func forms() []string {
	return []string{
		planted, url.QueryEscape(planted), strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(planted)), "="),
		hex.EncodeToString([]byte(planted)), strings.ToUpper(hex.EncodeToString([]byte(planted))), fmt.Sprint([]byte(planted)),
		strings.Trim(fmt.Sprint([]byte(planted)), "[]"),
	}
}

// requireHidden formats a value in every way and looks for the secret. asJSON is false for what is sent as JSON.
func requireHidden(t *testing.T, name string, value any, asJSON bool) {
	t.Helper()
	var shown []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		shown = append(shown, fmt.Sprintf(verb, value), fmt.Sprintf(verb, struct{ V any }{value}), fmt.Sprintf(verb, []any{value}))
	}
	if err, ok := value.(error); ok {
		shown = append(shown, err.Error(), fmt.Errorf("wrapped: %w", err).Error())
	}
	var text bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("x", "value", value)
	shown = append(shown, text.String())
	if asJSON {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		shown = append(shown, log.String())
		if data, err := json.Marshal(value); err == nil {
			shown = append(shown, string(data))
		}
	}
	for _, s := range shown {
		for _, form := range forms() {
			require.NotContains(t, s, form, name)
		}
	}
}

// exported returns the exported types of this package that hold anything, from its source.
func exported(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			general, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range general.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
					names[s.Name.Name] = true
				}
			}
		}
	}
	return names
}

// Every exported type of the package is formatted in every way with a secret in it. A new type fails until it is
// here.
func TestNoExportedTypeShowsASecret(t *testing.T) {
	t.Parallel()
	c := newTest(t, nil, WithAPIKey(planted), WithHeader("X-Team", planted))
	failure := decoded(465, `{"detail":{"message":"m","error_code":"c","details":[{"field":"commit_token","value":"`+planted+`","message":"x"},
		{"field":"commit_url","value":"https://x/?t=`+planted+`","message":"x"}]}}`)
	failure.Raw = Hidden(planted)
	violation := decoded(422, `{"detail":[{"loc":["body","env"],"msg":"m","type":"t","input":"`+planted+`"}]}`)
	var required *HashRegistrationRequired
	require.True(t, failure.As(&required))
	require.Equal(t, openapi.Secret(planted), required.CommitToken)
	answer := Answer{Operation: "Webhooks.Create", Body: Hidden(planted), Header: http.Header{"Set-Cookie": {planted}}}
	wait := &WaitError{CVM: "a", Target: "running", State: &openapi.CVMState{Status: "error"}, Err: failure}
	samples := map[string]any{
		"Client": *c, "Services": c.Services, "Answer": answer, "Hidden": Hidden(planted), "Option": WithAPIKey(planted),
		"CallOption": WithHeader("X-Team", planted), "Middleware": Middleware(func(string, *http.Request, RoundTrip) (*http.Response, error) { return nil, nil }),
		"RoundTrip": RoundTrip(func(*http.Request) (*http.Response, error) { return nil, nil }), "APIError": *failure,
		"FieldError": violation.Fields[0], "Link": Link{URL: "https://x"}, "HashRegistrationRequired": *required,
		"OnChainStatus": OnChainStatus{}, "WaitError": *wait, "WaitAllError": WaitAllError{Failed: []*WaitError{wait}},
		"WaitOption": WithPolling(), "WatchOptions": WatchOptions{Target: "running"}, "StateEvent": StateEvent{CVM: "a"},
		"RetryPolicy": DefaultRetryPolicy(), "Code": CodeCVMNotFound, "BodyTooLargeError": BodyTooLargeError{}, "DecodeError": DecodeError{Err: failure},
		"PagingError": PagingError{}, "LogSource": LogSerial, "LogOptions": LogOptions{Tail: 10},
	}
	services := reflect.ValueOf(c.Services)
	for i := range services.NumField() {
		samples[services.Type().Field(i).Name+"Service"] = services.Field(i).Elem().Interface()
	}
	for name := range exported(t) {
		value, ok := samples[name]
		if !assert.True(t, ok, "%s is exported: add a sample with a secret", name) {
			continue
		}
		requireHidden(t, name, value, true)
		pointer := reflect.New(reflect.TypeOf(value))
		pointer.Elem().Set(reflect.ValueOf(value))
		requireHidden(t, "*"+name, pointer.Interface(), true)
	}
	requireHidden(t, "the raw client", *c.API, true)
	requireHidden(t, "*the raw client", c.API, true)
	requireHidden(t, "a 465", failure, true)
	requireHidden(t, "a 422", violation, true)
}

// The errors of calls that carried a secret do not repeat it, whatever the server makes of it.
func TestNoErrorShowsASecret(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"echo as input":   `{"detail":[{"loc":["body","encrypted_env"],"msg":"bad","type":"t","input":{"encrypted_env":"` + planted + `"}}]}`,
		"echo as value":   `{"error_code":"E","message":"m","details":[{"field":"f","value":"` + planted + `","message":"m"}]}`,
		"echo as it came": planted,
	} {
		c := newTest(t, func(r *http.Request) (*http.Response, error) { return reply(422, body), nil }, WithAPIKey(planted))
		_, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{EncryptedEnv: openapi.Ptr(openapi.Secret(planted))})
		require.ErrorIs(t, err, ErrValidation)
		requireHidden(t, name, err, true)
		_, err = c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: planted})
		requireHidden(t, name, err, true)
	}
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
	}, WithoutRetry())
	_, err := c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: planted})
	requireHidden(t, "a transport error", err, true)
}

// Types of the wire travel as JSON, so JSON shows their secrets; nothing else does.
func TestNoWireTypeShowsASecret(t *testing.T) {
	t.Parallel()
	secret := openapi.Secret(planted)
	for name, value := range map[string]any{
		"provision": openapi.ProvisionRequest{EncryptedEnv: &secret}, "create": openapi.CreateCVMRequest{EncryptedEnv: &secret},
		"update": openapi.UpdateCVMRequest{EncryptedEnv: &secret}, "instance": openapi.CreateInstanceRequest{EncryptedEnv: &secret, Token: &secret},
		"envs": openapi.UpdateEnvsRequest{EncryptedEnv: secret}, "commit": openapi.CommitUpdateRequest{Token: &secret},
		"hook": openapi.Webhook{Secret: secret}, "secret of a hook": openapi.WebhookSecret{Secret: secret}, "secret": secret, "params": openapi.CVMsGetCommitUpdateParams{Token: secret},
		"approval": webhook.PendingApproval{CommitToken: planted, CommitURL: planted, APICommitURL: planted},
	} {
		requireHidden(t, name, value, false)
		pointer := reflect.New(reflect.TypeOf(value))
		pointer.Elem().Set(reflect.ValueOf(value))
		requireHidden(t, "*"+name, pointer.Interface(), false)
	}
	receiver, err := webhook.Handler(planted, nil)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), planted)
	assert.Nil(t, receiver)
}
