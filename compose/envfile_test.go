package compose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

func TestReadEnv(t *testing.T) {
	t.Parallel()
	const file = "\uFEFF# comment\r\n\r\nPLAIN=value  # not part of it\r\nexport EXPORTED=1\n\texport\tTABBED = spaced \n" +
		"EMPTY=\nCOMMENTED= # nothing\nHASH=a#b\nSINGLE='as $it is \\n # '\nDOUBLE=\"a\\n\\t\\\"\\\\\\$x\\y\" # end\n" +
		"MULTI=\"first\nsecond\"\nKEY='-----BEGIN-----\nabc=\n-----END-----\n'\nEQ=a=b=c\nexport=kept\nUNI=\"\\é\""
	got, err := compose.ReadEnv(strings.NewReader(file))
	require.NoError(t, err)
	want := []compose.EnvVar{
		{"PLAIN", "value"}, {"EXPORTED", "1"}, {"TABBED", "spaced"}, {"EMPTY", ""}, {"COMMENTED", ""}, {"HASH", "a#b"},
		{"SINGLE", "as $it is \\n # "}, {"DOUBLE", "a\n\t\"\\$x\\y"}, {"MULTI", "first\nsecond"},
		{"KEY", "-----BEGIN-----\nabc=\n-----END-----\n"}, {"EQ", "a=b=c"}, {"export", "kept"}, {"UNI", "\\é"},
	}
	require.Len(t, got, len(want))
	for i := range want {
		assert.Equal(t, want[i].Key, got[i].Key)
		assert.Equal(t, want[i].Value, got[i].Value, want[i].Key)
	}
}

func TestReadEnvRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ file, want string }{
		"empty":          {"", "defines no variable"},
		"only comments":  {"# a\n\n  # b", "defines no variable"},
		"yaml":           {"services:\n  web:\n    image: nginx\n", "line 1: want = after services"},
		"json":           {"{\"a\": 1}", "line 1: want NAME=value"},
		"dash":           {"A=1\nB-C=2", "line 2: want = after B"},
		"digit":          {"1A=2", "line 1: want NAME=value"},
		"no value":       {"A=1\nexport B\n", "line 2: want = after B"},
		"twice":          {"A=1\nB=2\nA=3", "line 3: A is defined again, after line 1"},
		"open quote":     {"A=1\nB=\"x\ny", "line 2: the value of B has no closing quote"},
		"open single":    {"B='x", "no closing quote"},
		"behind a quote": {"A='x' y", "line 1: something follows the closing quote of A"},
		"after lines":    {"A='x\ny'\nB", "line 3: want = after B"},
		"number sign":    {"B=1\nA=#x", "line 2: the value of A begins with #, which may be meant as a comment; quote it"},
		"only a sign":    {"A=#", "quote it"},
		"sign and tab":   {"A=x\t# y", "quote it, or use a space"},
		"sign and blank": {"A= #x", "quote it"},
		"lone return":    {"A=1\nB=x\ry", "line 2: a carriage return that ends no line"},
		"binary":         {"A=\x00", "NUL"},
		"not utf-8":      {"A=\xff\xfe", "UTF-8"},
		"too long":       {"A=" + strings.Repeat("x", 1<<20), "longer than"},
	} {
		_, err := compose.ReadEnv(strings.NewReader(tt.file))
		require.ErrorContains(t, err, tt.want, name)
		assert.Less(t, len(err.Error()), 200, name)
	}
}

func TestReadEnvFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), ".env")
	require.NoError(t, os.WriteFile(file, []byte("A=secret value\n"), 0o600))
	env, err := compose.ReadEnvFile(file)
	require.NoError(t, err)
	assert.Equal(t, "secret value", env[0].Value)
	require.NoError(t, os.WriteFile(file, []byte("A='secret value\n"), 0o600))
	_, err = compose.ReadEnvFile(file)
	require.ErrorContains(t, err, file)
	require.NotContains(t, err.Error(), "secret")
	_, err = compose.ReadEnvFile(file + ".missing")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// The reader of compose-go reads the same variables, unless the file has what the two treat apart on purpose:
// dollar signs, which are expanded there, and backslashes.
func FuzzReadEnv(f *testing.F) {
	for _, s := range []string{"A=1\nB='x y'\n", "export A=b # c\n", "A=\"x\ny\"\n", "A=\n", "A = b", "\uFEFFA=1\r\n", "A='\n'\nB=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		env, err := compose.ReadEnv(strings.NewReader(file))
		if err != nil {
			return
		}
		if len(env) == 0 {
			t.Fatal("nothing and no error")
		}
		for _, v := range env {
			if compose.ValidateEnvName(v.Key) != nil {
				t.Fatalf("the name %q", v.Key)
			}
		}
		if strings.ContainsAny(file, "$\\`\uFEFF\v\f\u0085\u00a0") {
			return
		}
		theirs, err := dotenv.Parse(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, v := range env {
			// What we take for a comment behind nothing is a value there, and line ends within quotes stay as they are.
			their := strings.ReplaceAll(theirs[v.Key], "\r\n", "\n")
			if their != v.Value && !(v.Value == "" && strings.HasPrefix(their, "#")) {
				t.Fatalf("%q: %s is %q here and %q there", file, v.Key, v.Value, theirs[v.Key])
			}
		}
	})
}
