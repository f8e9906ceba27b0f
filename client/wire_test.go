package client

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

var update = flag.Bool("update", false, "write testdata/wire.golden from what is sent; review it line by line")

const wireGolden = "testdata/wire.golden"

// pathArguments are what the calls of the wire test are given, and what must stand in the path for it.
var pathArguments = map[string]struct{ given, sent string }{
	"cvm_id":       {"7F3B4C2A-1d5e-4f60-8a9b-0c1d2e3f4a5b", "7F3B4C2A1d5e4f608a9b0c1d2e3f4a5b"},
	"app_id":       {"0xABCDEF0123456789abcdef0123456789ABCDEF01", "abcdef0123456789abcdef0123456789abcdef01"},
	"vm_uuid":      {"7f3b4c2a-1d5e-4f60-8a9b-0c1d2e3f4a5b", "7f3b4c2a-1d5e-4f60-8a9b-0c1d2e3f4a5b"},
	"compose_hash": {"0x" + strings.Repeat("Ab", 32), strings.Repeat("ab", 32)},
	"kms_id":       {"kms-base-prod5", "kms-base-prod5"},
	"chain":        {"base", "base"},
	"revision_id":  {"rev_9", "rev_9"},
	"family":       {"gpu", "gpu"},
	"checksum":     {strings.Repeat("0c", 32), strings.Repeat("0c", 32)},
	"webhook_id":   {"wh_1", "wh_1"},
	"event_id":     {"evt_0123456789abcdef", "evt_0123456789abcdef"},
	"key_id":       {"key_1", "key_1"},
	"slug":         {"my-team", "my-team"},
}

const sampleText = "services:\n  web: {image: \"a<b\"}\n"

// callWith calls an operation with every argument set, and returns what it returns.
func callWith(ctx context.Context, t *testing.T, c *Client, op wireOperation, m *sampler, opts ...CallOption) (answer reflect.Value, err error) {
	t.Helper()
	method := op.method(t, c)
	args := []reflect.Value{reflect.ValueOf(ctx)}
	inPath := op.pathParameters()
	for i := 1; i < method.Type().NumIn()-1; i++ {
		in := method.Type().In(i)
		switch {
		case i-1 < len(inPath):
			given := pathArguments[inPath[i-1]].given
			require.NotEmpty(t, given, "%s: add an argument for {%s} to pathArguments", op.name, inPath[i-1])
			args = append(args, reflect.ValueOf(given))
		case in.Kind() == reflect.String:
			args = append(args, reflect.ValueOf(sampleText))
		case in.Kind() == reflect.Pointer && in.Elem().Name() == op.ID+"Params":
			args = append(args, filled(t, op.name, in, op.sampleParams(m)))
		default:
			require.NotNil(t, op.RequestBody, "%s: argument %d", op.name, i)
			args = append(args, filled(t, op.name, in, m.sample(t, op.RequestBody.Content["application/json"].Schema, "body")))
		}
	}
	for _, o := range opts {
		args = append(args, reflect.ValueOf(o))
	}
	results := method.Call(args)
	err, _ = results[len(results)-1].Interface().(error)
	return results[0], err
}

// filled is a value of a type, or of a pointer to it, that is read from a sample and has no zero field.
func filled(t *testing.T, name string, of reflect.Type, sample []byte) reflect.Value {
	t.Helper()
	base := of
	if of.Kind() == reflect.Pointer {
		base = of.Elem()
	}
	into := reflect.New(base)
	require.NoError(t, json.Unmarshal(sample, into.Interface()), name)
	require.Empty(t, zeroFields(into, base.Name()), "%s: an argument without a sample", name)
	if of.Kind() == reflect.Pointer {
		return into
	}
	return into.Elem()
}

func (op wireOperation) sampleParams(m *sampler) []byte {
	params := map[string]any{}
	for _, p := range op.Parameters {
		if p.In != "path" {
			params[p.Name] = m.value(p.Schema, p.Name, p.Name, nil)
		}
	}
	data, _ := openapi.Marshal(params)
	return data
}

// sentRequest is a request as it goes over the wire.
type sentRequest struct {
	*http.Request
	body []byte
}

func capture(r *http.Request) sentRequest {
	sent := sentRequest{Request: r}
	if r.Body != nil {
		sent.body, _ = io.ReadAll(r.Body)
	}
	return sent
}

// row is the request as the golden file has it. The key and the agent are compared here.
func (r sentRequest) row(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, r.URL.RequestURI())
	for _, key := range slices.Sorted(maps.Keys(r.Header)) {
		require.Len(t, r.Header[key], 1, key)
		value := r.Header.Get(key)
		switch key {
		case "User-Agent":
			assert.Equal(t, userAgent, value)
			continue
		case keyHeader:
			assert.Equal(t, testKey, value)
			value = "(the key)"
		}
		fmt.Fprintf(&b, "%s: %s\n", key, value)
	}
	switch {
	case len(r.body) == 0:
	case r.Header.Get("Content-Type") == "application/json":
		fmt.Fprintf(&b, "%s\n", r.body)
	default:
		fmt.Fprintf(&b, "%q\n", r.body)
	}
	return b.String()
}

// goldenRows reads the golden file: a line "# Service.Method", then the request, up to a blank line.
func goldenRows(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(wireGolden)
	if *update && os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	rows := map[string]string{}
	for block := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
		name, row, ok := strings.Cut(strings.TrimPrefix(block, "# "), "\n")
		require.True(t, ok, block)
		require.NotContains(t, rows, name)
		rows[name] = strings.TrimSuffix(row, "\n") + "\n"
	}
	return rows
}

func writeGoldenRows(t *testing.T, rows map[string]string) {
	t.Helper()
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(rows)) {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("# " + name + "\n" + rows[name])
	}
	require.NoError(t, os.MkdirAll("testdata", 0o755))
	require.NoError(t, os.WriteFile(wireGolden, []byte(b.String()), 0o644))
}

// Every operation of the description is called with every argument, sends exactly the bytes of its golden
// row, and decodes its documented answer into a value without a zero field.
func TestWire(t *testing.T) {
	ops, m := description(t)
	want, got := goldenRows(t), map[string]string{}
	for _, op := range ops {
		t.Run(op.name, func(t *testing.T) {
			status, content := op.success()
			medias := slices.DeleteFunc(slices.Sorted(maps.Keys(content)), func(s string) bool { return s == eventStream })
			if len(medias) == 0 {
				medias = []string{""}
			}
			for _, media := range medias {
				body := op.sampleAnswer(t, m, media)
				var sent []sentRequest
				c := newTest(t, func(r *http.Request) (*http.Response, error) {
					sent = append(sent, capture(r))
					resp := reply(status, string(body))
					resp.Header.Set("Content-Type", media)
					return resp, nil
				})
				answer, err := callWith(t.Context(), t, c, op, m)
				require.NoError(t, err)
				require.Len(t, sent, 1)
				if media != "" {
					requireDecoded(t, answer, body, media)
				}
				requireSent(t, op, m, sent[0])
				got[op.name] = sent[0].row(t)
			}
			if !*update {
				row, ok := want[op.name]
				require.True(t, ok, "no row in client/%s: run go test ./client -run TestWire -update, and review the new row by hand", wireGolden)
				require.Equal(t, row, got[op.name])
			}
		})
	}
	if *update {
		writeGoldenRows(t, got)
		return
	}
	for name := range want {
		_, ok := got[name]
		assert.True(t, ok, "the row %s of client/%s is of no operation", name, wireGolden)
	}
}

// sampleAnswer is the body of a documented answer.
func (op wireOperation) sampleAnswer(t *testing.T, m *sampler, media string) []byte {
	t.Helper()
	switch {
	case media == "application/json":
		return m.sample(t, op.answer(), "answer")
	case strings.HasPrefix(media, "text/"):
		return []byte(sampleText)
	case media != "":
		return []byte{0, 1, 2, 0xff}
	}
	return nil
}

// requireDecoded compares what a method returned with the body that was answered.
func requireDecoded(t *testing.T, answer reflect.Value, body []byte, media string) {
	t.Helper()
	require.Empty(t, zeroFields(answer, "answer"), "nothing was decoded here")
	switch got := answer.Interface().(type) {
	case []byte:
		require.Equal(t, body, got)
	case string:
		if media == "application/json" {
			var want string
			require.NoError(t, json.Unmarshal(body, &want))
			require.Equal(t, want, got)
			return
		}
		require.Equal(t, string(body), got)
	default:
		data, err := openapi.Marshal(got)
		require.NoError(t, err)
		require.JSONEq(t, string(body), string(data))
	}
}

// requireSent compares a request with the description, apart from the golden row.
func requireSent(t *testing.T, op wireOperation, m *sampler, r sentRequest) {
	t.Helper()
	path := op.path
	for _, name := range op.pathParameters() {
		path = strings.Replace(path, "{"+name+"}", pathArguments[name].sent, 1)
	}
	require.Equal(t, op.verb, r.Method)
	require.Equal(t, path, r.URL.EscapedPath())
	query := map[string][]string{}
	for _, p := range op.Parameters {
		text := fmt.Sprint(m.value(p.Schema, p.Name, p.Name, nil))
		switch p.In {
		case "query":
			query[p.Name] = []string{strings.Trim(text, "[]")}
		case "header":
			require.Equal(t, []string{text}, r.Header[http.CanonicalHeaderKey(p.Name)], p.Name)
		}
	}
	require.Equal(t, query, map[string][]string(r.URL.Query()))
	switch media := op.textBody(); {
	case op.RequestBody == nil:
		require.Empty(t, r.body)
		require.NotContains(t, r.Header, "Content-Type")
	case media != "":
		require.Equal(t, media, r.Header.Get("Content-Type"))
		require.Equal(t, sampleText, string(r.body))
	default:
		require.Equal(t, "application/json", r.Header.Get("Content-Type"))
		require.JSONEq(t, string(m.sample(t, op.RequestBody.Content["application/json"].Schema, "body")), string(r.body))
	}
	require.EqualValues(t, len(r.body), r.ContentLength)
	require.Equal(t, !op.Public, r.Header.Get(keyHeader) != "")
	version := op.Version
	if version == "" {
		version = DefaultAPIVersion
	}
	require.Equal(t, version, r.Header.Get(versionHeader))
}

// Every operation maps a violation of its rules to ErrValidation with the place, and does not repeat it.
func TestWireMaps_AViolation(t *testing.T) {
	ops, m := description(t)
	for _, op := range ops {
		synctest.Test(t, func(t *testing.T) {
			sent := 0
			body := `{"detail":[{"loc":["body","compose_file","name"],"msg":"field required","type":"missing"}]}`
			if op.verb == http.MethodHead {
				body = ""
			}
			c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(422, body), nil })
			_, err := callWith(t.Context(), t, c, op, m)
			require.ErrorIs(t, err, ErrValidation, op.name)
			var api *APIError
			require.ErrorAs(t, err, &api)
			assert.Equal(t, 1, sent, op.name)
			assert.Equal(t, op.name, api.Operation)
			assert.Equal(t, op.verb, api.Method)
			if body != "" {
				require.Len(t, api.Fields, 1, op.name)
				assert.Equal(t, FieldError{Field: "compose_file.name", Message: "field required", Type: "missing"}, api.Fields[0])
				assert.Equal(t, op.name+": 422: field required (compose_file.name)", err.Error())
			}
		})
	}
}

// Every operation maps a failing server to ErrServer, and repeats the call as its class allows, with the
// same bytes each time.
func TestWireRepeatsByClass(t *testing.T) {
	ops, m := description(t)
	attempts := map[string]int{"safe": 4, "idempotent": 4, "unsafe": 1}
	for _, op := range ops {
		for after, want := range map[string]int{"": attempts[op.Retry], "1": 4} {
			synctest.Test(t, func(t *testing.T) {
				var rows []string
				c := newTest(t, func(r *http.Request) (*http.Response, error) {
					rows = append(rows, capture(r).row(t))
					resp := reply(503, `{"detail":"maintenance"}`)
					if after != "" {
						resp.Header.Set("Retry-After", after)
					}
					return resp, nil
				})
				_, err := callWith(t.Context(), t, c, op, m)
				require.ErrorIs(t, err, ErrServer, op.name)
				var api *APIError
				require.ErrorAs(t, err, &api)
				assert.Equal(t, "maintenance", api.Message)
				assert.Equal(t, want, api.Attempts, "%s (%s), Retry-After %q", op.name, op.Retry, after)
				require.Len(t, rows, want)
				assert.Len(t, slices.Compact(rows), 1, op.name)
			})
		}
	}
}

// Where the published facts stand beside the checkout, the golden rows are compared with them.
func TestGoldenRows_AgainstThePublishedOperations(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "api", "operations.tsv"))
	if err != nil {
		t.Skip("no published facts beside the checkout")
	}
	type fact struct{ verb, path, retry string }
	facts := map[string]fact{}
	for line := range strings.Lines(string(data)) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); f[0] != "service" {
			facts[f[0]+"."+f[1]] = fact{f[2], f[3], f[4]}
		}
	}
	ops, _ := description(t)
	rows := goldenRows(t)
	for _, op := range ops {
		want, ok := facts[op.name]
		if op.name == "Account.RevokeToken" {
			continue // read in an official SDK that is newer than the facts
		}
		if !assert.True(t, ok, "%s is not published", op.name) {
			continue
		}
		path := want.path
		for name, argument := range pathArguments {
			path = strings.Replace(path, "{"+name+"}", argument.sent, 1)
		}
		line, _, _ := strings.Cut(rows[op.name], "\n")
		sent, _, _ := strings.Cut(line, "?")
		assert.Equal(t, want.verb+" "+path, sent, op.name)
		assert.Equal(t, want.retry, op.Retry, op.name)
	}
}

// The check of the answers is worth nothing unless it finds what was not decoded.
func TestZeroFields_FindsWhatIsMissing(t *testing.T) {
	t.Parallel()
	vm := openapi.VM{ID: "1", Name: "web"}
	missing := zeroFields(reflect.ValueOf(&vm), "VM")
	assert.NotContains(t, missing, "VM.ID")
	assert.Contains(t, missing, "VM.Status")
	nested := map[string][]openapi.CVMURLs{"a": {{App: "x"}}}
	assert.Equal(t, []string{"answer{}[].Instance"}, zeroFields(reflect.ValueOf(nested), "answer"))
	assert.Equal(t, []string{"answer"}, zeroFields(reflect.ValueOf([]string{}), "answer"))
}
