// Package errortable writes docs/errors.md from the source: every exported error type and sentinel, when it is
// returned, and what to do about it.
package errortable

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

const (
	root = "../.."
	page = root + "/docs/errors.md"
)

// packages are those whose errors a flow may return, in the order of the page.
var packages = []string{"deploy", "client", "verify", "attest", "compose", "kms", "kms/onchain", "webhook", "openapi"}

// entry is one error.
type entry struct {
	name, when string
	isType     bool
}

// A stale table, an error without documentation, and an error that nobody has said what to do about are failures.
func TestErrors_AreDocumented(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(head)
	used := map[string]bool{}
	for _, name := range packages {
		fmt.Fprintf(&b, "\n## Package %s\n\n| error | when | what to do |\n| --- | --- | --- |\n", name)
		entries := errorsOf(t, name)
		require.NotEmpty(t, entries, name)
		for _, e := range entries {
			key := name + "." + e.name
			todo, ok := actions[key]
			if !ok {
				key = name + ".*"
				todo, ok = actions[key]
			}
			used[key] = true
			assert.True(t, ok, "%s.%s: say what to do about it in actions.go", name, e.name)
			assert.NotEmpty(t, e.when, "%s.%s: its comment must say when it is returned", name, e.name)
			shown := "`" + e.name + "`"
			if e.isType {
				shown = "`*" + e.name + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", shown, cell(e.when), cell(todo))
		}
	}
	for key := range actions {
		assert.True(t, used[key], "%s is no error", key)
	}
	if *update {
		require.NoError(t, os.WriteFile(page, []byte(b.String()), 0o644))
		return
	}
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Equal(t, b.String(), string(text), "stale: run go test ./internal/errortable -update")
}

const head = `# Errors

This page is generated from the source: ` + "`go test ./internal/errortable -update`" + `.

Every error that a flow returns is one of these by ` + "`errors.As`" + ` (a type, shown with a star) or ` + "`errors.Is`" + ` (a sentinel), or
it is the error of a context that ended, or what a function of the caller returned. Text of the cloud or of a guest in an
error is escaped and has at most 1 KB.
`

// cell makes text fit for a table.
func cell(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", "\\|")
}

// errorsOf returns the exported error types and sentinels of a package, sorted.
func errorsOf(t *testing.T, name string) []entry {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(name), "*.go"))
	require.NoError(t, err)
	docs, isError := map[string]string{}, map[string]bool{}
	var entries []entry
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if of := receiver(d); of != "" && d.Name.Name == "Error" {
					isError[of] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						docs[s.Name.Name] = first(s.Doc, d.Doc)
					case *ast.ValueSpec:
						entries = append(entries, sentinelsOf(d, s)...)
					}
				}
			}
		}
	}
	for of := range isError {
		if ast.IsExported(of) {
			entries = append(entries, entry{of, docs[of], true})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries
}

// sentinelsOf returns the exported Err… variables of a declaration. Without a comment of its own, the text of the error
// says when it is returned.
func sentinelsOf(d *ast.GenDecl, s *ast.ValueSpec) []entry {
	if d.Tok != token.VAR {
		return nil
	}
	var entries []entry
	for i, name := range s.Names {
		if !strings.HasPrefix(name.Name, "Err") || i >= len(s.Values) {
			continue
		}
		when := first(s.Doc)
		if when == "" && len(d.Specs) == 1 {
			when = first(d.Doc)
		}
		if call, ok := s.Values[i].(*ast.CallExpr); ok && when == "" && len(call.Args) > 0 {
			if text, ok := call.Args[0].(*ast.BasicLit); ok {
				when, _ = strconv.Unquote(text.Value)
			}
			if s.Comment != nil {
				when += " (" + strings.TrimSpace(s.Comment.Text()) + ")"
			}
		}
		entries = append(entries, entry{name.Name, when, false})
	}
	return entries
}

// first returns the first paragraph of the first comment that there is.
func first(comments ...*ast.CommentGroup) string {
	for _, c := range comments {
		if c != nil {
			text, _, _ := strings.Cut(c.Text(), "\n\n")
			return strings.NewReplacer("[*", "`*", "[", "`", "]", "`").Replace(text)
		}
	}
	return ""
}

func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) != 1 {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}
