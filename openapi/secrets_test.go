package openapi_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every struct that holds a Secret, at any depth, has a Format method: without one fmt prints a nested pointer to
// it under a verb that does not fit with none of the methods beneath.
func TestSecrets_EveryTypeWithASecretFormatsItself(t *testing.T) {
	t.Parallel()
	fields, formats := map[string][]string{}, map[string]bool{}
	for _, name := range []string{"models.gen.go", "secrets.gen.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				ast.Inspect(n.Type, func(inner ast.Node) bool {
					if id, ok := inner.(*ast.Ident); ok {
						fields[n.Name.Name] = append(fields[n.Name.Name], id.Name)
					}
					return true
				})
			case *ast.FuncDecl:
				if n.Name.Name == "Format" {
					formats[n.Recv.List[0].Type.(*ast.Ident).Name] = true
				}
				return false
			}
			return true
		})
	}
	var holds func(name string, above map[string]bool) bool
	holds = func(name string, above map[string]bool) bool {
		if name == "Secret" {
			return true
		}
		if above[name] {
			return false
		}
		above[name] = true
		for _, field := range fields[name] {
			if holds(field, above) {
				return true
			}
		}
		return false
	}
	found := 0
	for name, of := range fields {
		if len(of) > 1 && holds(name, map[string]bool{}) {
			found++
			assert.True(t, formats[name], name)
		}
	}
	assert.Greater(t, found, 10)
}
