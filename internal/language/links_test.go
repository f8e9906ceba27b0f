package language

import (
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docLink is a link of a comment to a name: [Name], [*Name], [Type.Name], [package.Name] or [package.Type.Name].
var docLink = regexp.MustCompile(`\[\*?((?:[a-z]\w*\.)?[A-Z]\w*(?:\.[A-Z]\w*)?)\]`)

// members returns the names that a link can have in the files of one package: of each declaration, and of the fields and
// methods of each type.
func members(sources []source, dir string) map[string]bool {
	names := map[string]bool{}
	embedded := map[string][]string{}
	for _, s := range sources {
		if s.dir != dir || s.test {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					names[receiver(d)+"."+d.Name.Name] = true
				} else {
					names[d.Name.Name] = true
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch v := spec.(type) {
					case *ast.ValueSpec:
						for _, n := range v.Names {
							names[n.Name] = true
						}
					case *ast.TypeSpec:
						names[v.Name.Name] = true
						for _, f := range fieldsOf(v) {
							for _, n := range f.Names {
								names[v.Name.Name+"."+n.Name] = true
							}
							if base, ok := unstarred(f.Type).(*ast.Ident); ok && len(f.Names) == 0 {
								embedded[v.Name.Name] = append(embedded[v.Name.Name], base.Name)
							}
						}
					}
				}
			}
		}
	}
	for outer, bases := range embedded {
		for name := range names {
			if base, member, ok := strings.Cut(name, "."); ok && slices.Contains(bases, base) {
				names[outer+"."+member] = true
			}
		}
	}
	return names
}

func fieldsOf(spec *ast.TypeSpec) []*ast.Field {
	switch of := spec.Type.(type) {
	case *ast.StructType:
		return of.Fields.List
	case *ast.InterfaceType:
		return of.Methods.List
	}
	return nil
}

func unstarred(expr ast.Expr) ast.Expr {
	if star, ok := expr.(*ast.StarExpr); ok {
		return star.X
	}
	return expr
}

// imported returns the directories of the module's packages that a file imports, by the names that it uses.
func imported(file *ast.File) map[string]string {
	const module = "github.com/phala-go/phala/"
	dirs := map[string]string{}
	for _, spec := range file.Imports {
		from := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(from)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if dir, ok := strings.CutPrefix(from, module); ok {
			dirs[name] = dir
		} else {
			dirs[name] = ""
		}
	}
	return dirs
}

// Each link of a comment to a name of this module has a target.
func TestComments_LinksHaveTargets(t *testing.T) {
	set, sources := parsed(t)
	found := offences{set: set}
	names := map[string]map[string]bool{}
	in := func(dir, name string) bool {
		if names[dir] == nil {
			names[dir] = members(sources, dir)
		}
		return names[dir][name]
	}
	var dirs []string
	for _, s := range sources {
		if s.public() && !slices.Contains(dirs, s.dir) {
			dirs = append(dirs, s.dir)
		}
	}
	links := 0
	for _, s := range sources {
		if s.test {
			continue
		}
		from := imported(s.file)
		for _, group := range s.file.Comments {
			for _, match := range docLink.FindAllStringSubmatch(group.Text(), -1) {
				links++
				dir, name := s.dir, match[1]
				if pkg, rest, ok := strings.Cut(name, "."); ok && pkg == strings.ToLower(pkg) {
					target, known := from[pkg]
					if !known {
						at := slices.IndexFunc(dirs, func(dir string) bool { return path.Base(dir) == pkg })
						if at < 0 {
							continue // of another module
						}
						target = dirs[at]
					}
					if target == "" {
						continue
					}
					dir, name = target, rest
				}
				if !in(dir, name) {
					found.add(group, "[%s] has no target", match[1])
				}
			}
		}
	}
	if links < 500 {
		t.Errorf("only %d links were found", links)
	}
	found.check(t)
}
