package phala_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSecurity_NamedTestsExist finds each test that SECURITY.md names in the package that it names.
func TestSecurity_NamedTestsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllSubmatch(text, -1)
	require.Greater(t, len(named), 60)
	tests := map[string]map[string]bool{} // by directory
	for _, match := range named {
		dir, name := string(match[1]), string(match[2])
		if tests[dir] == nil {
			tests[dir] = testsIn(t, dir)
		}
		assert.True(t, tests[dir][name], "SECURITY.md names %s, and package %s has no such test", name, dir)
	}
}

// TestComparison_LinkedTestsExist finds each test that README.md links in the file that it links.
func TestComparison_LinkedTestsExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	linked := regexp.MustCompile("\\[`([a-z0-9/]+)\\.(Test[A-Za-z0-9_]+)`\\]\\(([^)]+)\\)").FindAllSubmatch(text, -1)
	require.Greater(t, len(linked), 10)
	for _, match := range linked {
		dir, name, file := string(match[1]), string(match[2]), string(match[3])
		assert.Equal(t, dir, filepath.Dir(file), name)
		source, err := os.ReadFile(file)
		if assert.NoError(t, err, name) {
			assert.Contains(t, string(source), "\nfunc "+name+"(", "README.md links %s in %s", name, file)
		}
	}
}

func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	require.NoError(t, err)
	found := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				found[f.Name.Name] = true
			}
		}
	}
	return found
}
