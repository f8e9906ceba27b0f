// Command apirecord writes the exported API of the SDK as text, one line for each symbol, or compares it with
// the recorded text. A reviewer reads in the diff of that text what a change adds, alters or removes.
//
//	go -C tools run ./apirecord -root .. -write   # make api
//	go -C tools run ./apirecord -root ..          # CI
package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/tools/go/packages"
)

// record is the text, relative to the root of the repository.
const record = "api/v0.1.txt"

func main() {
	log.SetFlags(0)
	log.SetPrefix("apirecord: ")
	root := flag.String("root", ".", "the root of the repository")
	write := flag.Bool("write", false, "write "+record+" instead of comparing with it")
	flag.Parse()
	if err := run(*root, *write); err != nil {
		log.Fatal(err)
	}
}

func run(root string, write bool) error {
	lines, err := exported(root)
	if err != nil {
		return err
	}
	path := filepath.Join(root, record)
	if write {
		return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
	}
	recorded, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	removed, added := difference(readLines(recorded), lines)
	if len(removed)+len(added) == 0 {
		return nil
	}
	for _, line := range removed {
		fmt.Println("-", line)
	}
	for _, line := range added {
		fmt.Println("+", line)
	}
	return fmt.Errorf("the exported API differs from %s in %d lines; if that is meant, run make api and commit the file", record, len(removed)+len(added))
}

// exported returns the lines of all packages that a user can import, sorted.
func exported(root string) ([]string, error) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedModule | packages.NeedTypes | packages.NeedImports,
		Dir:  root,
		Env:  append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "GOWORK=off"),
	}, "./...")
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, pkg := range pkgs {
		if len(pkg.Errors) > 0 {
			return nil, pkg.Errors[0]
		}
		if pkg.Name == "main" || strings.Contains(pkg.PkgPath+"/", "/internal/") || strings.Contains(pkg.PkgPath, "/examples/") {
			continue
		}
		if pkg.Module == nil {
			return nil, errors.New(pkg.PkgPath + " is in no module")
		}
		name := strings.TrimPrefix(strings.TrimPrefix(pkg.PkgPath, pkg.Module.Path), "/")
		lines = append(lines, describe(name, pkg.Types)...)
	}
	sort.Strings(lines)
	return lines, nil
}

// describe returns the lines of a package, whose path in the module is name.
func describe(name string, pkg *types.Package) []string {
	var lines []string
	add := func(format string, args ...any) {
		lines = append(lines, "pkg "+name+", "+fmt.Sprintf(format, args...))
	}
	qualifier := func(other *types.Package) string {
		if other == pkg {
			return ""
		}
		return other.Name()
	}
	text := func(t types.Type) string { return types.TypeString(unnamed(t), qualifier) }
	scope := pkg.Scope()
	for _, symbol := range scope.Names() {
		if !ast.IsExported(symbol) {
			continue
		}
		switch object := scope.Lookup(symbol).(type) {
		case *types.Const:
			value := object.Val().ExactString()
			if object.Val().Kind() == constant.String && len(value) > 80 {
				value = fmt.Sprintf("%d bytes", len(constant.StringVal(object.Val())))
			}
			add("const %s %s = %s", symbol, text(object.Type()), value)
		case *types.Var:
			add("var %s %s", symbol, text(object.Type()))
		case *types.Func:
			add("func %s%s", symbol, strings.TrimPrefix(text(object.Type()), "func"))
		case *types.TypeName:
			describeType(object, text, add)
		}
	}
	return lines
}

func describeType(object *types.TypeName, text func(types.Type) string, add func(string, ...any)) {
	symbol := object.Name()
	if object.IsAlias() {
		add("type %s = %s", symbol, text(types.Unalias(object.Type())))
		return
	}
	named, ok := object.Type().(*types.Named)
	if !ok {
		return
	}
	if params := named.TypeParams(); params.Len() > 0 {
		list := make([]string, params.Len())
		for i := range list {
			list[i] = params.At(i).Obj().Name() + " " + text(params.At(i).Constraint())
		}
		symbol += "[" + strings.Join(list, ", ") + "]"
	}
	switch under := named.Underlying().(type) {
	case *types.Struct:
		add("type %s struct", symbol)
		for field := range under.Fields() {
			switch {
			case !field.Exported():
			case field.Embedded():
				add("type %s struct, embedded %s", symbol, text(field.Type()))
			default:
				add("type %s struct, %s %s", symbol, field.Name(), text(field.Type()))
			}
		}
	case *types.Interface:
		sealed := ""
		for method := range under.Methods() {
			if !method.Exported() {
				sealed = ", with unexported methods"
			}
		}
		if under.IsMethodSet() {
			add("type %s interface%s", symbol, sealed)
		} else {
			add("type %s %s", symbol, text(under))
		}
		for method := range under.Methods() {
			if method.Exported() {
				add("type %s interface, %s%s", symbol, method.Name(), strings.TrimPrefix(text(method.Type()), "func"))
			}
		}
		return
	default:
		add("type %s %s", symbol, text(under))
	}
	// The method set of the pointer has all methods, also those that an embedded field promotes. Methods on the
	// value are marked, because a value can be used where they are all that an interface asks for.
	onValue := map[string]bool{}
	for method := range types.NewMethodSet(named).Methods() {
		onValue[method.Obj().Name()] = true
	}
	for method := range types.NewMethodSet(types.NewPointer(named)).Methods() {
		if !method.Obj().Exported() {
			continue
		}
		receiver := "*" + symbol
		if onValue[method.Obj().Name()] {
			receiver = symbol
		}
		add("method (%s) %s%s", receiver, method.Obj().Name(), strings.TrimPrefix(text(method.Type()), "func"))
	}
}

// unnamed returns the type without the names of parameters and results, which are no part of the API.
func unnamed(t types.Type) types.Type {
	switch t := t.(type) {
	case *types.Signature:
		if t.TypeParams().Len() > 0 {
			return t // Without names, the type parameters would be printed as those of another function.
		}
		return types.NewSignatureType(nil, nil, nil, unnamedTuple(t.Params()), unnamedTuple(t.Results()), t.Variadic())
	case *types.Pointer:
		return types.NewPointer(unnamed(t.Elem()))
	case *types.Slice:
		return types.NewSlice(unnamed(t.Elem()))
	case *types.Map:
		return types.NewMap(unnamed(t.Key()), unnamed(t.Elem()))
	}
	return t
}

func unnamedTuple(tuple *types.Tuple) *types.Tuple {
	vars := make([]*types.Var, 0, tuple.Len())
	for v := range tuple.Variables() {
		vars = append(vars, types.NewVar(token.NoPos, nil, "", unnamed(v.Type())))
	}
	return types.NewTuple(vars...)
}

func readLines(text []byte) []string {
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines
}

// difference returns what is only in the first list and what is only in the second.
func difference(before, after []string) (removed, added []string) {
	only := func(list, other []string) (lines []string) {
		known := make(map[string]bool, len(other))
		for _, line := range other {
			known[line] = true
		}
		for _, line := range list {
			if !known[line] {
				lines = append(lines, line)
			}
		}
		return lines
	}
	return only(before, after), only(after, before)
}
