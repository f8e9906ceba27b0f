package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const emptyDocument = `# Dependencies
<!-- packages: written by make deps -->
<!-- end -->
<!-- programs: written by make deps -->
<!-- end -->
<!-- tests: written by make deps -->
<!-- end -->
<!-- own: written by make deps -->
<!-- end -->
`

func example() *scanned {
	return &scanned{
		modules: []module{
			{path: "example.com/direct", direct: true, licences: []string{"MIT"}, lines: 10, users: []string{"client"}},
			{path: "example.com/far", licences: []string{"BSD-3-Clause"}, lines: 20, users: []string{"client"}, through: []string{"example.com/direct"}},
			{path: "example.com/tests", licences: []string{"MIT"}, lines: 30, users: []string{"phalatest/chaintest"}, through: []string{"example.com/far"}},
		},
		packages: []cost{{"client", 2, 30}},
		testOnly: []string{"example.com/assert"},
	}
}

func TestCompare_ADocumentWithReasonsHolds(t *testing.T) {
	t.Parallel()
	text, err := rewrite([]byte(emptyDocument), example())
	require.NoError(t, err)
	assert.Equal(t, []string{
		"example.com/assert is required by the tests and has no reason",
		"example.com/direct has no reason",
	}, compare(text, example()))

	text = []byte(replaceReasons(string(text)))
	assert.Empty(t, compare(text, example()))
	again, err := rewrite(text, example())
	require.NoError(t, err)
	assert.Equal(t, string(text), string(again), "reasons written by hand are kept")
}

func TestCompare_NamesEveryChange(t *testing.T) {
	t.Parallel()
	text, err := rewrite([]byte(emptyDocument), example())
	require.NoError(t, err)
	text = []byte(replaceReasons(string(text)))

	changed := example()
	changed.modules[1].licences = []string{"GPL-3.0"}
	changed.modules[2].path = "example.com/new"
	changed.testOnly = nil
	assert.Equal(t, []string{
		"example.com/assert is listed, but go.mod does not require it for tests",
		"example.com/far has the licence GPL-3.0, and not BSD-3-Clause",
		"example.com/new (MIT) is not listed",
		"example.com/tests is listed, but nothing compiles it",
	}, compare(text, changed))

	unknown := example()
	unknown.modules[1].licences = []string{"unknown"}
	text, err = rewrite(text, unknown)
	require.NoError(t, err)
	assert.Equal(t, []string{"example.com/far has an unknown licence"}, compare(text, unknown))
}

func replaceReasons(text string) string {
	return strings.ReplaceAll(text, noReason, "because we can test it")
}

func TestLicencesOf_TheNearestFile(t *testing.T) {
	t.Parallel()
	const mit = `MIT License

Copyright (c) 2026 Somebody

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`
	dir := t.TempDir()
	inner := filepath.Join(dir, "a", "b")
	require.NoError(t, os.MkdirAll(inner, 0o755))
	pkg := &goPackage{ImportPath: "example.com/m/a/b", Dir: inner}
	pkg.Module = &struct {
		Path, Dir string
		Main      bool
	}{Path: "example.com/m", Dir: dir}

	licences, err := licencesOf(pkg)
	require.NoError(t, err)
	assert.Equal(t, []string{"unknown"}, licences)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "LICENSE"), []byte(mit), 0o600))
	licences, err = licencesOf(pkg)
	require.NoError(t, err)
	assert.Equal(t, []string{"MIT"}, licences)

	require.NoError(t, os.WriteFile(filepath.Join(inner, "LICENSE"), []byte("All rights reserved.\n"), 0o600))
	licences, err = licencesOf(pkg)
	require.NoError(t, err)
	assert.Equal(t, []string{"unknown"}, licences)
}
