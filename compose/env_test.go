package compose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/phala-go/phala/compose"
)

func TestEnvNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                      nil,
		"a: $A b: ${B} c: ${A}": {"A", "B"},
		"${A:-x} ${B-} ${C:?no} ${D?} ${E:+y} ${F+z}": {"A", "B", "C", "D", "E", "F"},
		"${A:-${B:-${C}}}":                            {"A", "B", "C"},
		"${A:?set $B}":                                {"A", "B"},
		"$$A $${B} $$$C":                              {"C"},
		"${_a1}-$_b2.x":                               {"_a1", "_b2"},
		"x: {y: $A}":                                  {"A"},
		"test $? -eq 0; x=$(date); ^a$; $1 $ ${P:-$0.01}": {"P"},
	} {
		got, err := compose.EnvNames(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"a: 1\nb: ${A": "line 2: ${ without its closing brace",
		"${}":          "${ without a name",
		"${1}":         "${ without a name",
		"${A!x}":       "unknown operator",
		"${A:x}":       "unknown operator",
		"${A:-${B}":    "closing brace",
		strings.Repeat("${A:-", 500) + strings.Repeat("}", 500): "nested too deeply",
	} {
		_, err := compose.EnvNames(text)
		require.ErrorContains(t, err, want, text)
	}
}

// The names are those that compose-go finds in the same file once YAML has taken the comments out.
func TestEnvNamesFollowYAML(t *testing.T) {
	t.Parallel()
	for name, file := range map[string]string{
		"comment lines":        "# costs $5 or ${X}\nservices:\n  # ${Y\n  web: {image: $A}\n",
		"comment after value":  "image: nginx # ${X} for $5\nb: $B\n",
		"number sign in value": "url: http://x/#${A}\n",
		"quotes":               "a: \"x # ${A} \\\" # ${B}\" # ${X}\nb: 'it''s # ${C}' # ${Y}\n",
		"quotes over lines":    "a: \"x\n  # ${A}\n  y\" # ${X}\nb: ${B}\n",
		"no quote":             "a: it's ${A} # don't ${X}\nb: ${B}\n",
		"block scalar":         "run: |\n  # ${A}\n\n    x # ${B}\n# ${X}\nother: ${C} # ${Y}\n",
		"folded with header":   "run: >-2 # ${X}\n    # ${A}\nother: ${C}\n",
		"block in list":        "- |\n  # ${A}\n- key: |\n    # ${B}\n  more: 1 # ${X}\n- \"k\": |+\n    # ${C}\n  m: 2 # ${Y}\n",
		"block under tag":      "a: !!str |\n  # ${A}\nb: &x |\n  # ${B}\nc: 1 # ${X}\n",
		"pipe in plain":        "a: b | # ${X}\nc: ${C}\n",
		"flow":                 "a: [\"${A}\", 'b # ${B}', c] # ${X}\nd: {e: \"${D}\"} # ${Y}\n",
		"windows":              "a: 1 # ${X}\r\nb: |\r\n  # ${B}\r\n",
		"tab":                  "a: 1\t# ${X}\nb: ${B}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tree any
			require.NoError(t, yaml.Unmarshal([]byte(file), &tree))
			var want []string
			for name := range template.ExtractVariables(map[string]any{"": tree}, template.DefaultPattern) {
				want = append(want, name)
			}
			got, err := compose.EnvNames(file)
			require.NoError(t, err)
			assert.ElementsMatch(t, want, got)
		})
	}
}

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

// Where a value has nothing that the two treat apart (expansion, escapes, quotes within), the reader of
// compose-go agrees.
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
		if strings.ContainsAny(file, "$\\'\"#\r:`\uFEFF\v\f\u0085\u00a0") {
			return
		}
		theirs, err := dotenv.Parse(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, v := range env {
			if strings.TrimSpace(v.Value) == v.Value && v.Value != "" && theirs[v.Key] != v.Value {
				t.Fatalf("%q: %s is %q here and %q there", file, v.Key, v.Value, theirs[v.Key])
			}
		}
	})
}

// Every variable that compose-go would look up is among our names.
func FuzzEnvNames(f *testing.F) {
	for _, s := range []string{"$A ${B:-c}", "${A:-${B}}", "$$A", "${A:?x $C}", "${A+b}", "a: ${A}\nb: ${B-${C:-d}}", "a: |\n # $A\n# $B\nc: '# $C' # $D\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		names, err := compose.EnvNames(text)
		if err != nil {
			return
		}
		known := map[string]bool{}
		for _, n := range names {
			if known[n] {
				t.Fatalf("%s twice", n)
			}
			known[n] = true
		}
		// compose-go never sees the comments. Its pattern also takes two letters beyond ASCII that fold to
		// k and s, which no variable of a guest can have.
		if strings.ContainsAny(text, "#\u017f\u212a") {
			return
		}
		_, err = template.Substitute(text, func(name string) (string, bool) {
			if !known[name] {
				t.Fatalf("%q: compose-go looks up %s, we found %v", text, name, names)
			}
			return "", false
		})
		_ = err // a text may ask for a variable that is not set
	})
}
