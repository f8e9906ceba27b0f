package client

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

type describedOperation struct {
	ID      string `json:"operationId"`
	Service string `json:"x-phala-service"`
	Method  string `json:"x-phala-method"`
	Retry   string `json:"x-phala-retry"`
	Version string `json:"x-phala-version"`
	Page    string `json:"x-phala-page"`
	Public  bool   `json:"x-phala-public"`
	Key     string `json:"x-phala-key"`
	Limit   int64  `json:"x-phala-max-bytes"`
	verb    string
	path    string

	Parameters []struct {
		Name string `json:"name"`
	} `json:"parameters"`
}

func describedOperations(t *testing.T) map[string]describedOperation {
	t.Helper()
	data, err := os.ReadFile("../openapi/openapi.json")
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]describedOperation `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	ops := map[string]describedOperation{}
	for path, verbs := range doc.Paths {
		for verb, op := range verbs {
			op.verb, op.path = strings.ToUpper(verb), path
			require.NotContains(t, ops, op.Service+"."+op.Method, "described twice")
			ops[op.Service+"."+op.Method] = op
		}
	}
	require.NotEmpty(t, ops)
	return ops
}

// Every operation of the description is exactly one generated method, and there is no other.
func TestGenerated_EveryOperationIsOneMethod(t *testing.T) {
	t.Parallel()
	described := describedOperations(t)
	files, err := filepath.Glob("*.gen.go")
	require.NoError(t, err)
	seen := map[string]int{}
	for _, name := range files {
		if name == "pages.gen.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name == "Format" {
				continue
			}
			service := strings.TrimSuffix(fn.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name, "Service")
			assert.Equal(t, strings.ToLower(service)+".gen.go", name)
			seen[service+"."+fn.Name.Name]++
			assert.Len(t, fn.Body.List, 2, "%s.%s does more than to build a request and to send it", service, fn.Name.Name)
		}
	}
	for name := range described {
		assert.Equal(t, 1, seen[name], name)
	}
	assert.Len(t, seen, len(described))

	services := reflect.TypeFor[Services]()
	for name := range described {
		service, method, _ := strings.Cut(name, ".")
		field, ok := services.FieldByName(service)
		if assert.True(t, ok, "no service %s", service) {
			_, ok = field.Type.MethodByName(method)
			assert.True(t, ok, name)
		}
	}
}

// The route table says of every operation what the description says.
func TestRouteTable_MatchesTheDescription(t *testing.T) {
	t.Parallel()
	described := describedOperations(t)
	classes := map[string]retryClass{"safe": retrySafe, "idempotent": retryIdempotent, "unsafe": retryUnsafe}
	seen := map[string]bool{}
	for op, r := range operations() {
		if op == 0 {
			assert.Zero(t, r, "operation 0 is no operation")
			continue
		}
		d, ok := described[r.name]
		require.True(t, ok, "%s is not described", r.name)
		assert.False(t, seen[r.name], "%s twice", r.name)
		seen[r.name] = true
		assert.Equal(t, d.verb, r.verb, r.name)
		assert.Equal(t, d.path, "/api/v1"+r.path, r.name)
		assert.Equal(t, classes[d.Retry], r.retry, r.name)
		assert.Equal(t, d.Version, r.version, r.name)
		assert.Equal(t, d.Public, r.public, r.name)
		assert.Equal(t, d.Key == "optional", r.optionalKey, r.name)
		assert.Equal(t, d.Limit, r.limit, r.name)
		assert.True(t, r.page == 0 || d.Page != "", "%s: a bound for what is no page", r.name)
	}
	assert.Len(t, seen, len(described))
}

// allName is the iterator of a method that lists: List has All, ListNodes has AllNodes.
func allName(method string) string {
	return "All" + strings.TrimPrefix(strings.TrimPrefix(method, "List"), "Get")
}

// Every list that comes in pages has an iterator, and nothing else has one.
func TestGenerated_EveryPagedListHasAnIterator(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "pages.gen.go", nil, 0)
	require.NoError(t, err)
	var got []string
	for _, decl := range file.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok {
			receiver := fn.Recv.List[0].Type.(*ast.StarExpr).X.(*ast.Ident).Name
			got = append(got, strings.TrimSuffix(receiver, "Service")+"."+fn.Name.Name)
		}
	}
	var want []string
	for _, d := range describedOperations(t) {
		paged := false
		for _, p := range d.Parameters {
			paged = paged || p.Name == "page" || p.Name == "cursor" || p.Name == "offset" || p.Name == "skip"
		}
		assert.Equal(t, paged, d.Page != "", "%s: parameters and x-phala-page", d.ID)
		if paged {
			want = append(want, d.Service+"."+allName(d.Method))
		}
	}
	assert.ElementsMatch(t, want, got)
}

// The generated raw client has a method for every operation, too.
func TestGenerated_EveryOperationIsInTheRawClient(t *testing.T) {
	t.Parallel()
	raw := reflect.TypeFor[*openapi.Client]()
	for name, d := range describedOperations(t) {
		_, plain := raw.MethodByName(d.ID)
		_, withBody := raw.MethodByName(d.ID + "WithBody")
		assert.True(t, plain || withBody, name)
	}
}
