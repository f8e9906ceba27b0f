package compose_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v4"

	"github.com/phala-go/phala/compose"
)

func TestEnvNames(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                    nil,
		"a: $A b:${B} c:${A}": {"A", "B"},
		"a: $B\nb: $A\nc: $C": {"B", "A", "C"},
		"${A:-x} ${B-} ${C:?no} ${D?} ${E:+y} ${F+z}": {"A", "B", "C", "D", "E", "F"},
		"${A:-${B:-${C}}}":                            {"A", "B", "C"},
		"${A:?set $B}":                                {"A", "B"},
		"$$A $${B} $$$C":                              {"C"},
		"${_a1}-$_b2.x":                               {"_a1", "_b2"},
		"{x: {y: $A}}":                                {"A"},
		"test $? -eq 0 && x=$(date) && ^a$ && $1 && $ && ${P:-$0.01}": {"P"},
		"${A}: {$B: $C}":                {"C"},
		`"\x24{A} \u0024B"`:             {"A", "B"},
		"'${A}' # ${B}":                 {"A"},
		"a: !reset\n  b: ${A}\nc: ${C}": {"C"},
		"a: ${A}\n---\nb: ${B}":         {"A", "B"},
	} {
		got, err := compose.EnvNames(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"a: 1\nb: ${A":      "line 2: ${ without its closing brace",
		"${}":               "${ without a name",
		"${1}":              "${ without a name",
		"${A!x}":            "unknown operator",
		"${A:x}":            "unknown operator",
		"${A:-${B}":         "closing brace",
		"a: |\n ${A:-x\n }": "closing brace on the same line",
		"a: [":              "line 1",
		strings.Repeat("${A:-", 500) + strings.Repeat("}", 500): "nested too deeply",
	} {
		_, err := compose.EnvNames(text)
		require.ErrorContains(t, err, want)
	}
}

func TestEnvUses(t *testing.T) {
	t.Parallel()
	const file = `
x-common: &common
  SHARED:
  OVERRIDDEN:
services:
  web:
    image: nginx:${TAG:-1.29}@${DIGEST:?set it}
    environment:
      <<: *common
      OVERRIDDEN: "1"
      PASSED:
      TILDE: ~
      EMPTY: ""
      PLAIN: ${PLAIN}
      BOTH: ${BOTH-x}
      PROJECT: $COMPOSE_PROJECT_NAME
    command: ["${OPTION+--option}", "${OUTER:-${INNER}}"]
  worker:
    environment:
      - LISTED
      - SET=1
      - COMPUTED=$BOTH
      - not a name
    build: {args: [ARG]}
    labels: [LABEL]
secrets:
  token: {environment: TOKEN}
  file: {file: ./x}
configs:
  config: {environment: CONFIG}
`
	uses, err := compose.EnvUses(file)
	require.NoError(t, err)
	assert.Equal(t, []compose.EnvUse{
		{Name: "SHARED", Line: 3, Required: true, PassedThrough: true},
		{Name: "TAG", Line: 7, HasDefault: true},
		{Name: "DIGEST", Line: 7, Required: true, Refused: true},
		{Name: "PASSED", Line: 11, Required: true, PassedThrough: true},
		{Name: "TILDE", Line: 12, Required: true, PassedThrough: true},
		{Name: "PLAIN", Line: 14, Required: true},
		{Name: "BOTH", Line: 15, Required: true, HasDefault: true},
		{Name: "COMPOSE_PROJECT_NAME", Line: 16},
		{Name: "OPTION", Line: 17},
		{Name: "OUTER", Line: 17, HasDefault: true},
		{Name: "INNER", Line: 17},
		{Name: "LISTED", Line: 20, Required: true, PassedThrough: true},
		{Name: "ARG", Line: 24, Required: true, PassedThrough: true},
		{Name: "TOKEN", Line: 27, Required: true, Refused: true, PassedThrough: true},
		{Name: "CONFIG", Line: 30, Required: true, Refused: true, PassedThrough: true},
	}, uses)
}

// Merges of merges cannot make the work grow without bound.
func TestEnvUses_MergesAreBounded(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("x0: &x0 {A: ~}\n")
	for i := range 40 {
		fmt.Fprintf(&b, "x%d: &x%d {<<: [*x%d, *x%d]}\n", i+1, i+1, i, i)
	}
	b.WriteString("services: {a: {environment: *x40}}\n")
	_, err := compose.EnvUses(b.String())
	require.NoError(t, err)
}

// The names are those that compose-go finds in the same file once YAML has taken the comments out.
func TestEnvNames_FollowYAML(t *testing.T) {
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

// lookups returns the variables that Docker Compose looks up in a file if those in set have a value, and the
// error of its interpolation. ok is false if it refuses the file for another reason.
func lookups(file string, set map[string]bool) (names map[string]bool, ok bool, err error) {
	defer func() {
		if recover() != nil { // compose-go panics for some files
			names, ok, err = nil, false, nil
		}
	}()
	names = map[string]bool{}
	_, err = loader.LoadModelWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  "/",
		ConfigFiles: []types.ConfigFile{{Filename: "docker-compose.yml", Content: []byte(file)}},
	}, func(o *loader.Options) {
		o.SetProjectName("app", true)
		o.SkipValidation, o.SkipInclude, o.SkipExtends, o.SkipNormalization, o.SkipConsistencyCheck = true, true, true, true, true
		o.SkipDefaultValues, o.SkipResolveEnvironment, o.ResolvePaths = true, true, false
		o.Interpolate.TypeCastMapping = nil
		o.Interpolate.LookupValue = func(name string) (string, bool) {
			names[name] = true
			return "v", set[name]
		}
	})
	var invalid *template.InvalidTemplateError
	var missing *template.MissingRequiredError
	switch {
	case errors.As(err, &invalid):
		return names, true, err
	case err == nil || errors.As(err, &missing):
		return names, true, nil
	}
	return nil, false, nil
}

// compareUses returns an error if Docker Compose and EnvUses do not agree on a file.
func compareUses(file string) error {
	uses, err := compose.EnvUses(file)
	var names []string
	for _, use := range uses {
		names = append(names, use.Name)
	}
	theirs := map[string]bool{}
	var refused error
	for subset := range 1 << min(len(names), 6) { // every choice of the variables that have a value
		set := map[string]bool{}
		for i, name := range names {
			set[name] = subset>>min(i, 5)&1 == 1
		}
		found, ok, invalid := lookups(file, set)
		if !ok {
			return nil
		}
		maps.Copy(theirs, found)
		if invalid != nil {
			refused = invalid
		}
	}
	switch {
	case err == nil && refused != nil:
		return fmt.Errorf("refused by Docker Compose alone: %w", refused)
	case err != nil:
		return nil // it may be refused for values that were not tried
	}
	for name := range theirs {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%s is looked up, and not among %q", name, names)
		}
	}
	for _, use := range uses {
		if !use.PassedThrough && !theirs[use.Name] && len(names) <= 6 {
			return fmt.Errorf("%s is never looked up, only %v", use.Name, theirs)
		}
	}
	return nil
}

var useSamples = []string{
	"a: $A\nb: ${B:-c}\n", "a: ${A:-${B}}${C}", "a: $$A", "a: ${A:?x $C}", "a: ${A+b}", "a: ${A}\nb: ${B-${C:-d}}", "a: |\n # $A\n# $B\nc: '# $C' # $D\n",
	"a: ${A:-{}} ${B}", "a: ${A:-{x}} ${B}", "a: ${A:-b} x ${C:?d} } ${D}", "a: \"\\x24{A}\"", "a: ${A:-x}${B:-y}\n", "a: $A$B${C}$$${D}", "a: [$A, \"${B}\"]\n$C: d\n",
	"a: >\n  ${A:-x\n  y}\n", "a: x\n  ${A:-\n  b}\n", "a: &x ${A}\nb: *x\n", "a: ${A:+${B:?${C}}}", "a: $\u017f ${\u212a}", "a: ${A-}}${B", "a: !reset $A\nb: $B\n", "!reset",
	"services:\n  a:\n    environment:\n      - A\n      B: ~\n", "services: {a: {environment: {A: , B: $C}}}", "secrets: {a: {environment: A}}",
}

func TestEnvUses_LikeDockerCompose(t *testing.T) {
	t.Parallel()
	logrus.SetOutput(io.Discard) // compose-go warns of each variable
	for _, file := range useSamples {
		require.NoError(t, compareUses(file), file)
	}
}

// The variables are those that compose-go looks up, whatever values they have, and what it refuses is an error.
func FuzzEnvUses(f *testing.F) {
	logrus.SetOutput(io.Discard)
	for _, file := range useSamples {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		if strings.ContainsAny(file, "\u0085\u2028\u2029\uFEFF") { // which go-yaml takes for line ends
			return
		}
		if err := compareUses(file); err != nil {
			t.Fatalf("%q: %v", file, err)
		}
	})
}
