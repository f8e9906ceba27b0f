package compose_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

const (
	webCompose = "services:\n  app:\n    image: nginx:1.25\n    environment:\n      FOO: ${FOO}\n"
	webScript  = "#!/bin/bash\nset -e\nif command -v docker >/dev/null 2>&1 && [[ 1 < 2 ]]; then echo ok; fi\n"
)

// The document of New is the one that the platform writes, byte for byte.
func TestNew_FillsThePlatformsDefaults(t *testing.T) {
	t.Parallel()
	app, err := compose.New(webCompose, compose.WithAllowedEnvs("FOO", "BAR"), compose.WithPreLaunchScript(webScript))
	require.NoError(t, err)
	hash, err := app.Hash()
	require.NoError(t, err)
	var all vectors
	readJSON(t, "testdata/canonical.json", &all)
	for _, v := range all.Vectors {
		if v.ID == "platform_17_fields" {
			got, err := app.Canonical()
			require.NoError(t, err)
			assert.Equal(t, v.Canonical, string(got))
			assert.Equal(t, v.ComposeHash, hash.String())
			assert.True(t, app.Predictable())
			return
		}
	}
	t.Fatal("the vector is missing")
}

func TestPredictable(t *testing.T) {
	t.Parallel()
	script := compose.WithPreLaunchScript("echo")
	for name, tt := range map[string]struct {
		change func(*compose.App)
		want   bool
	}{
		"all defaults and a script": {func(*compose.App) {}, true},
		"other values":              {func(a *compose.App) { *a.PublicLogs = false; a.AllowedEnvs = []string{"A"} }, true},
		"no script":                 {func(a *compose.App) { a.PreLaunchScript = nil }, false},
		"empty script":              {func(a *compose.App) { *a.PreLaunchScript = "" }, false},
		"a default missing":         {func(a *compose.App) { a.StorageFS = nil }, false},
		"no list of names":          {func(a *compose.App) { a.AllowedEnvs = nil }, false},
		"salt":                      {func(a *compose.App) { a.Extra = map[string]json.RawMessage{"salt": []byte(`"x"`)} }, true},
		"null":                      {func(a *compose.App) { a.Extra = map[string]json.RawMessage{"salt": []byte("null")} }, false},
		"unknown member":            {func(a *compose.App) { a.Extra = map[string]json.RawMessage{"port_policy": []byte("{}")} }, false},
		"key provider":              {func(a *compose.App) { kms := "kms"; a.KeyProvider = &kms }, false},
	} {
		app, err := compose.New(webCompose, script)
		require.NoError(t, err)
		tt.change(app)
		assert.Equal(t, tt.want, app.Predictable(), name)
	}
}

func TestAppLosesNothing(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"name":"","allowed_envs":[],"features":null,"salt":null,"x":{"b":[1,null]}}`,
		`{"manifest_version":"3","name":5,"public_logs":"yes","allowed_envs":[1,"A"],"runner":null}`,
		`{"allowed_envs":["A",null],"features":[["x"]]}`,
		`{"docker_config":{"password":"p","registry":"r"},"swap_size":"2G"}`,
		`{"pre_launch_script":"<&>\u2028","name":"😀"}`,
		`{}`,
	} {
		want, err := compose.Canonicalize([]byte(doc))
		require.NoError(t, err)
		app, err := compose.Parse([]byte(doc))
		require.NoError(t, err)
		got, err := json.Marshal(app)
		require.NoError(t, err)
		var again compose.App
		require.NoError(t, json.Unmarshal(got, &again))
		got, err = again.Canonical()
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got))
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	const file = "services: {a: {image: b}}"
	for name, tt := range map[string]struct {
		compose string
		opts    []compose.Option
		want    string
	}{
		"path":              {"docker-compose.yml", nil, `"docker-compose.yml" looks like a path; did you mean the file's content?`},
		"path in a folder":  {"./deploy/compose.yaml", nil, "did you mean the file's content?"},
		"no yaml":           {"services: [", nil, "line 1: did not find expected node content"},
		"a text":            {"services", nil, "want a mapping with services"},
		"a list":            {"- services: {a: {image: b}}", nil, "want a mapping with services"},
		"no services":       {"version: '3'\n", nil, "it has no services"},
		"null services":     {"services:\n", nil, "it has no services"},
		"empty services":    {"services: {}\n", nil, "it has no services"},
		"services as text":  {"services: a\n", nil, "it has no services"},
		"only comments":     {"# services: {a: {image: b}}\n", nil, "it has no services"},
		"path of script":    {file, []compose.Option{compose.WithPreLaunchScript("./prelaunch.sh")}, "pre_launch_script"},
		"path of init":      {file, []compose.Option{compose.WithInitScript("echo", "init.sh")}, "init_script"},
		"path of bash":      {"", []compose.Option{compose.WithBashScript("main.sh")}, "bash_script"},
		"two mains":         {file, []compose.Option{compose.WithBashScript("echo hi")}, "instead of it"},
		"no init script":    {file, []compose.Option{compose.WithInitScript()}, "0 scripts"},
		"many init scripts": {file, []compose.Option{compose.WithInitScript("a", "b", "c", "d", "e", "f")}, "6 scripts"},
		"bad member":        {file, []compose.Option{compose.WithMember("x", func() {})}, "x: "},
		"member of a list":  {file, []compose.Option{compose.WithMember("0", 1)}, "list index"},
		"size":              {strings.Repeat("#", 150<<10), []compose.Option{compose.WithPreLaunchScript(strings.Repeat("y", 51<<10))}, "205824 bytes together, at most 204800"},
		"no compose":        {"", nil, "docker-compose file is empty"},
		"env name":          {file, []compose.Option{compose.WithAllowedEnvs("A-B")}, `"A-B"`},
		"env digit":         {file, []compose.Option{compose.WithAllowedEnvs("1A")}, `"1A"`},
		"env twice":         {file, []compose.Option{compose.WithAllowedEnvs("A", "A")}, "A appears twice"},
		"file system":       {file, []compose.Option{compose.WithStorageFS("btrfs")}, `"btrfs"`},
		"not utf-8":         {"a\xff", nil, "UTF-8"},
	} {
		_, err := compose.New(tt.compose, tt.opts...)
		require.ErrorContains(t, err, tt.want, name)
	}
	_, err := compose.New(file+strings.Repeat(" ", 100<<10-len(file)), compose.WithPreLaunchScript(strings.Repeat("y", 100<<10)))
	require.NoError(t, err, "200 KiB are allowed")
}

func TestValidateName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"abcde", "web-1", "A" + strings.Repeat("b", 62), "a1b2c"} {
		assert.NoError(t, compose.ValidateName(good), good)
	}
	for _, bad := range []string{"", "abcd", strings.Repeat("a", 64), "1abcd", "-abcd", "abcd-", "ab--cd", "ab_cd", "ab cd", "abcdé", "ab.cd"} {
		assert.ErrorContains(t, compose.ValidateName(bad), "name ", bad)
	}
}

func TestHashText(t *testing.T) {
	t.Parallel()
	h := compose.Sum([]byte("{}"))
	for _, form := range []string{h.String(), "0x" + h.String(), strings.ToUpper(h.String())} {
		got, err := compose.ParseHash(form)
		require.NoError(t, err, form)
		assert.True(t, h.Equal(got))
	}
	for _, bad := range []string{"", "0x", h.String()[1:], h.String() + "0", "0X" + h.String(), "zz" + h.String()[2:], " " + h.String()[1:]} {
		_, err := compose.ParseHash(bad)
		require.Error(t, err, bad)
	}
	data, err := json.Marshal(h)
	require.NoError(t, err)
	var back compose.Hash
	require.NoError(t, json.Unmarshal(data, &back))
	assert.Equal(t, h, back)
	assert.False(t, h.Equal(compose.Hash{}))
}

func TestEnvVar_IsNeverFormatted(t *testing.T) {
	t.Parallel()
	v := compose.EnvVar{Key: "TOKEN", Value: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "env", v)
	for _, text := range []string{log.String(), fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v), fmt.Sprint([]compose.EnvVar{v}), fmt.Sprintf("%+v", struct{ V compose.EnvVar }{v})} {
		assert.NotContains(t, text, "hunter2")
		assert.Contains(t, text, "TOKEN")
	}
}

// A document that is read and written has the canonical bytes of its text.
func FuzzApp(f *testing.F) {
	for _, doc := range []string{
		`{"name":"","allowed_envs":[],"features":null,"salt":null,"x":{"b":[1,null]}}`, `{"manifest_version":"3","name":5,"public_logs":"yes","runner":null}`,
		`{"allowed_envs":["A",null],"features":[["x"]],"\ue000":1,"😀":2,"Name":3}`, `{"manifest_version":2.0,"pre_launch_script":"<&>\u2028\n"}`, `{"manifest_version":1e30}`, `{}`,
	} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		app, err := compose.Parse(doc)
		want, canonicalErr := compose.Canonicalize(doc)
		if (err == nil) != (canonicalErr == nil) {
			t.Fatalf("Parse: %v, Canonicalize: %v", err, canonicalErr)
		}
		if err != nil {
			return
		}
		got, err := app.Canonical()
		if err != nil || !bytes.Equal(want, got) {
			t.Fatalf("%s became %s, %v", want, got, err)
		}
	})
}
