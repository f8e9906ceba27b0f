package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"sort"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func lines(t *testing.T, source string) []string {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, 0)
	require.NoError(t, err)
	config := types.Config{Importer: importer.Default()}
	pkg, err := config.Check("example.com/p", fset, []*ast.File{file}, nil)
	require.NoError(t, err)
	got := describe("p", pkg)
	sort.Strings(got)
	return got
}

func TestDescribe_ALineForEachExportedSymbol(t *testing.T) {
	t.Parallel()
	got := lines(t, `package p

type base struct{}

func (*base) Close() error { return nil }
func (base) hidden()       {}

type Thing struct {
	base
	Name  string
	Inner *Other
	count int
}

func (Thing) Size(in int) (n int, err error) { return 0, nil }

type Other = Thing
type Number int
type Set[T any] map[string]T
type Source interface {
	Next(limit int) (ok bool)
	sealed()
}

const One Number = 1
const hidden = 2

var Default = Thing{}

func New(name string, more ...func(t *Thing) error) *Thing { return nil }
func Map[T any](in []T) []T                               { return in }
`)
	assert.Equal(t, []string{
		"pkg p, const One Number = 1",
		"pkg p, func Map[T any](in []T) []T",
		"pkg p, func New(string, ...func(*Thing) error) *Thing",
		"pkg p, method (*Thing) Close() error",
		"pkg p, method (Thing) Size(int) (int, error)",
		"pkg p, type Number int",
		"pkg p, type Other = Thing",
		"pkg p, type Set[T any] map[string]T",
		"pkg p, type Source interface, Next(int) bool",
		"pkg p, type Source interface, with unexported methods",
		"pkg p, type Thing struct",
		"pkg p, type Thing struct, Inner *Other",
		"pkg p, type Thing struct, Name string",
		"pkg p, var Default Thing",
	}, got)
}

func TestDifference_NamesWhatWasRemovedAndAdded(t *testing.T) {
	t.Parallel()
	removed, added := difference([]string{"a", "b", "c"}, []string{"a", "c", "d"})
	assert.Equal(t, []string{"b"}, removed)
	assert.Equal(t, []string{"d"}, added)
}

func TestDescribe_ARenamedParameterIsNoChange(t *testing.T) {
	t.Parallel()
	assert.Equal(t,
		lines(t, "package p\nfunc F(name string, opts map[string]func(x int) error) {}"),
		lines(t, "package p\nfunc F(text string, options map[string]func(y int) error) {}"))
}
