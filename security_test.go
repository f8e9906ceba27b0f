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

// TestDocuments_NamedTestsExist finds each test that SECURITY.md and README.md name in the package that they name.
func TestDocuments_NamedTestsExist(t *testing.T) {
	t.Parallel()
	tests := map[string]map[string]bool{} // by directory
	for document, least := range map[string]int{"SECURITY.md": 60, "README.md": 10} {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllSubmatch(text, -1)
		require.Greater(t, len(named), least, document)
		for _, match := range named {
			dir, name := string(match[1]), string(match[2])
			if tests[dir] == nil {
				tests[dir] = testsIn(t, dir)
			}
			assert.True(t, tests[dir][name], "%s names %s, and package %s has no such test", document, name, dir)
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
