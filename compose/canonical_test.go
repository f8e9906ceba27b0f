package compose_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

type vectors struct {
	Vectors []struct {
		ID, Mode    string
		InputJSON   string `json:"input_json"`
		Canonical   string
		ComposeHash string `json:"compose_hash"`
	}
	MustReject []struct {
		ID        string
		InputJSON string `json:"input_json"`
	} `json:"must_reject"`
}

// vectorFiles are our own vectors and, where a directory of more is known, those as well.
func vectorFiles(t *testing.T, own, more string) []string {
	t.Helper()
	var files []string
	if own != "" {
		files = append(files, filepath.Join("testdata", own))
	}
	dir := os.Getenv("PHALA_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "vectors")
	}
	if file := filepath.Join(dir, more); fileExists(file) {
		files = append(files, file)
	}
	if len(files) == 0 {
		t.Skip("no vectors here; set PHALA_VECTORS to their directory")
	}
	return files
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func readJSON(t *testing.T, file string, into any) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func TestCanonicalVectors(t *testing.T) {
	t.Parallel()
	for _, file := range vectorFiles(t, "canonical.json", "compose_hash.json") {
		var all vectors
		readJSON(t, file, &all)
		require.NotEmpty(t, all.Vectors)
		require.NotEmpty(t, all.MustReject)
		for _, v := range all.Vectors {
			form := compose.Canonicalize
			if v.Mode == "normalize" {
				form = compose.Normalize
			}
			v.InputJSON = expand(v.InputJSON)
			got, err := form([]byte(v.InputJSON))
			require.NoError(t, err, "%s %s", v.ID, v.Mode)
			if v.Canonical != "" {
				assert.Equal(t, v.Canonical, string(got), "%s %s", v.ID, v.Mode)
			}
			assert.Equal(t, v.ComposeHash, compose.Sum(got).String(), "%s %s", v.ID, v.Mode)
			if v.Mode == "raw" {
				app, err := compose.Parse([]byte(v.InputJSON))
				require.NoError(t, err, v.ID)
				hash, err := app.Hash()
				require.NoError(t, err, v.ID)
				assert.Equal(t, v.ComposeHash, hash.String(), "%s through App", v.ID)
			}
		}
		for _, v := range all.MustReject {
			for _, form := range []func([]byte) ([]byte, error){compose.Canonicalize, compose.Normalize} {
				_, err := form([]byte(v.InputJSON))
				var syntax *compose.SyntaxError
				require.ErrorAs(t, err, &syntax, v.ID)
				assert.NotEmpty(t, syntax.Path, v.ID)
				assert.NotEmpty(t, syntax.Reason, v.ID)
			}
			_, err := compose.Parse([]byte(v.InputJSON))
			require.Error(t, err, v.ID)
		}
	}
}

// expand writes out the two inputs that the vectors abbreviate.
func expand(doc string) string {
	doc = strings.Replace(doc, `<"x" repeated 204800 times>`, `"`+strings.Repeat("x", 204800)+`"`, 1)
	line := "# " + strings.Repeat("\u754c", 20) + `\n`
	return strings.Replace(doc, `<("# " + U+754C x20 + "\n") repeated 1000 times>`, `"`+strings.Repeat(line, 1000)+`"`, 1)
}

func TestRealAppCompose(t *testing.T) {
	t.Parallel()
	for _, file := range vectorFiles(t, "", "real_app_compose.json") {
		var all struct {
			Vectors []struct {
				Hash string `json:"attested_compose_hash"`
				Text string `json:"app_compose"`
			}
		}
		readJSON(t, file, &all)
		require.NotEmpty(t, all.Vectors)
		for _, v := range all.Vectors {
			assert.Equal(t, v.Hash, compose.Sum([]byte(v.Text)).String())
		}
	}
}

func TestCanonicalize_ErrorsNameThePlace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ doc, path, reason string }{
		{``, "$", "empty document"},
		{`[1]`, "$", "want an object"},
		{`{"a":1} x`, "$", "something follows"},
		{`{"a":{"b":[1,{"__proto__":1}]}}`, `$.a.b[1].__proto__`, "no portable form"},
		{`{"a":{"constructor":1}}`, `$.a.constructor`, "constructor"},
		{`{"x":{"10":1}}`, `$.x.10`, "list index"},
		{`{"a b":{"c":9007199254740993}}`, `$["a b"].c`, "2^53"},
		{`{"a":18446744073709551615}`, `$.a`, "2^53"},
		{`{"a":-9007199254740993}`, `$.a`, "2^53"},
		{`{"a":1000000000000000000000}`, `$.a`, "2^53"},
		{`{"a":1,"b":2,"a":3}`, `$.a`, "two members"},
		{`{"a":1,"\u0061":3}`, `$.a`, "two members"},
		{`{"a":"\ud800"}`, `$.a`, "surrogate"},
		{`{"a":"\ud800\u0041"}`, `$.a`, "surrogate"},
		{"{\"a\":\"\xff\"}", `$.a`, "UTF-8"},
		{"{\"a\":\"\n\"}", `$.a`, "control character"},
		{`{"a":"\x"}`, `$.a`, "escape"},
		{`{"a":"b`, `$.a`, "without an end"},
		{`{"a":"b\`, `$.a`, "without an end"},
		{`{"a":1e400}`, `$.a`, "double"},
		{`{"a":01}`, `$`, "comma"},
		{`{"a":-}`, `$.a`, "JSON number"},
		{`{"a":1.}`, `$.a`, "JSON number"},
		{`{"a":tru}`, `$.a`, "not a JSON value"},
		{`{"a":`, `$.a`, "ends too early"},
		{`{"a"1}`, `$.a`, "colon"},
		{`{a:1}`, `$`, "name in quotes"},
		{`{"a":1,}`, `$`, "name in quotes"},
		{`{"a":[1,]}`, `$.a[1]`, "not a JSON value"},
		{`{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, "$.a", "nested too deeply"},
	} {
		_, err := compose.Canonicalize([]byte(tt.doc))
		var syntax *compose.SyntaxError
		require.ErrorAs(t, err, &syntax, tt.doc)
		assert.True(t, strings.HasPrefix(syntax.Path, tt.path), "%s: path %s", tt.doc, syntax.Path)
		assert.Contains(t, syntax.Reason, tt.reason, tt.doc)
		assert.LessOrEqual(t, syntax.Offset, len(tt.doc), tt.doc)
	}
}

func TestNames_AreInUTF16Order(t *testing.T) {
	t.Parallel()
	got, err := compose.Canonicalize([]byte(`{"\uffff":1,"😀":2,"é":3,"z":4,"":5,"z\n":6,"\ue000":7}`))
	require.NoError(t, err)
	assert.Equal(t, "{\"\":5,\"z\":4,\"z\\n\":6,\"é\":3,\"😀\":2,\"\ue000\":7,\"\uffff\":1}", string(got))
}

func TestNormalize_DropsOnlyAtTheTop(t *testing.T) {
	t.Parallel()
	got, err := compose.Normalize([]byte(`{"runner":"bash","pre_launch_script":"","docker_compose_file":"x","z":{"runner":"bash","docker_compose_file":"x","pre_launch_script":""},"bash_script":"b"}`))
	require.NoError(t, err)
	assert.Equal(t, `{"bash_script":"b","runner":"bash","z":{"docker_compose_file":"x","pre_launch_script":"","runner":"bash"}}`, string(got))
	got, err = compose.Normalize([]byte(`{"runner":"docker-compose","bash_script":"b"}`))
	require.NoError(t, err)
	assert.Equal(t, `{"runner":"docker-compose"}`, string(got))
	_, err = compose.Normalize([]byte(`{"pre_launch_script":null,"pre_launch_script":""}`))
	require.ErrorContains(t, err, "two members")
}

// decodeAny is the value of a document as encoding/json reads it.
func decodeAny(doc []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	var v any
	err := d.Decode(&v)
	return v, err
}

// reference is the canonical form by its definition: sorted members, and what JSON.stringify writes.
func reference(value any) string {
	var parts []string
	switch value := value.(type) {
	case map[string]any:
		names := slices.SortedFunc(maps.Keys(value), func(a, b string) int { return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b))) })
		for _, name := range names {
			parts = append(parts, reference(name)+":"+reference(value[name]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		for _, item := range value {
			parts = append(parts, reference(item))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case string:
		escapes := map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}
		for _, r := range value {
			switch escape, known := escapes[r]; {
			case known:
				parts = append(parts, escape)
			case r < ' ':
				parts = append(parts, fmt.Sprintf(`\u%04x`, r))
			default:
				parts = append(parts, string(r))
			}
		}
		return `"` + strings.Join(parts, "") + `"`
	case float64:
		if value == 0 {
			return "0" // JSON.stringify(-0)
		}
	}
	text, _ := json.Marshal(value) // writes numbers as ECMAScript does
	return string(text)
}

func FuzzCanonicalize(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"b":[1,2,{"z":null,"a":true}],"a":"\u00e9\ud83d\ude00\/"}`, `{"n":-0.0,"m":1e21,"k":1e-7}`,
		`{"a":"\u2028<>&"}`, `{"é":1,"e":2}`, "{\"a\":\"\xff\"}", `{"a":[[[[]]]]}`, `{"a":1e999}`, `{"a":1e17}`,
		`{"\ue000":1,"\ud800\udc00":2}`, `{"a":"\b\f\n\r\t\u0001\u007f\"\\"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		first, err := compose.Canonicalize(doc)
		if err != nil {
			var syntax *compose.SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		second, err := compose.Canonicalize(first)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("not idempotent: %s became %s (%v)", first, second, err)
		}
		before, err := decodeAny(doc)
		if err != nil {
			t.Fatalf("accepted %q, encoding/json does not: %v", doc, err)
		}
		after, err := decodeAny(first)
		if err != nil {
			t.Fatalf("wrote %q, encoding/json does not read it: %v", first, err)
		}
		if !assert.ObjectsAreEqual(before, after) {
			t.Fatalf("%q and %q mean different things", doc, first)
		}
		if want := reference(before); string(first) != want {
			t.Fatalf("%q became %s, want %s", doc, first, want)
		}
		app, err := compose.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		through, err := app.Canonical()
		if err != nil || !bytes.Equal(through, first) {
			t.Fatalf("App wrote %s for %s (%v)", through, first, err)
		}
		if _, err := compose.Normalize(doc); err != nil {
			t.Fatalf("canonical but not normal: %v", err)
		}
	})
}
