package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func inspectWith(t *testing.T, in string, args ...string) (out, problems string, err error) {
	t.Helper()
	var o, p bytes.Buffer
	err = run(t.Context(), args, strings.NewReader(in), &o, &p)
	return o.String(), p.String(), err
}

func TestRun_Sample(t *testing.T) {
	t.Parallel()
	out, _, err := inspectWith(t, "")
	require.NoError(t, err)
	for _, part := range []string{
		"service web: image ghcr.io/example/web:1.4, ports 8080/tcp", "variable DATABASE_URL: required, the app does not start without",
		"variable LOG_LEVEL: has a default", "variable API_KEY: required, passed through", "warning: line 17: service worker: env-file",
		"warning: line 4: service web: no-digest", "warning: line 12: service web: bind",
	} {
		assert.Contains(t, out, part)
	}
}

func TestRun_OwnFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	file := write("compose.yml", "services: {a: {image: 'x@sha256:b3c656d55d7ad751196f21b7fd2e8d4da9cb430e32f646adcf92441b72f82b14', environment: [A, 'B=$B', 'C=${C-}']}}")
	script := write("script", "#!/bin/sh\n")

	out, _, err := inspectWith(t, "", "-script", script, "-env", write("good", "A=hunter2\nB=x\n"), file)
	require.NoError(t, err, out)
	assert.Contains(t, out, "compose hash ")
	assert.NotContains(t, out, "hunter2")

	out, _, err = inspectWith(t, "", "-env", write("bad", "A='hunter2\n'\nD=x\n"), file)
	require.ErrorIs(t, err, errFound)
	assert.Contains(t, out, "variable B: required, and not in the env file")
	assert.Contains(t, out, "variable A: its value has a newline")
	assert.Contains(t, out, "warning: variable D: the file does not use it")
	assert.NotContains(t, out, "hunter2")

	out, _, err = inspectWith(t, "services: {a: {build: .}}", "-json", "-")
	require.ErrorIs(t, err, errFound)
	assert.Contains(t, out, `"rule":"build"`)
}

func TestRun_Usage(t *testing.T) {
	t.Parallel()
	_, problems, err := inspectWith(t, "", "-h")
	require.ErrorIs(t, err, flag.ErrHelp)
	assert.Contains(t, problems, "usage:")
	for _, args := range [][]string{{"-x"}, {"a", "b"}, {"/does/not/exist"}, {"-env", "/does/not/exist"}, {"-script", "/does/not/exist"}} {
		_, _, err := inspectWith(t, "", args...)
		require.Error(t, err, args)
		require.NotErrorIs(t, err, errFound)
	}
	_, _, err = inspectWith(t, "no compose file", "-")
	require.ErrorContains(t, err, "want a mapping with services")
}
