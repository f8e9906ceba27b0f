package language

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// source is one Go file of the module.
type source struct {
	path, dir string
	test      bool
	generated bool
	file      *ast.File
}

// command reports whether the file belongs to a program, whose names nobody imports.
func (s source) command() bool { return s.file.Name.Name == "main" }

// public reports whether the file belongs to a package that a user imports.
func (s source) public() bool {
	return !s.test && !s.command() && !strings.Contains("/"+s.dir+"/", "/internal/") && !strings.HasPrefix(s.dir, "examples/")
}

// parsed returns the Go files of the module and of the modules inside it. It leaves out the bindings of the
// contracts, which abigen writes.
func parsed(t *testing.T) (*token.FileSet, []source) {
	t.Helper()
	set := token.NewFileSet()
	var sources []source
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if name := entry.Name(); path != root && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		case filepath.Ext(path) != ".go":
			return nil
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
		s := source{
			path: name, dir: filepath.ToSlash(filepath.Dir(name)), file: file,
			test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(file),
		}
		if s.generated && strings.HasPrefix(s.dir, "kms/onchain/dstack") {
			return nil
		}
		sources = append(sources, s)
		return nil
	}))
	require.NotEmpty(t, sources)
	return set, sources
}

// offences collects what a check finds. It fails the test with all of them at once.
type offences struct {
	set  *token.FileSet
	list []string
}

func (o *offences) add(at ast.Node, format string, args ...any) {
	place := o.set.Position(at.Pos())
	o.list = append(o.list, fmt.Sprintf("%s:%d: %s", filepath.ToSlash(strings.TrimPrefix(place.Filename, root+"/")), place.Line, fmt.Sprintf(format, args...)))
}

func (o *offences) check(t *testing.T) {
	t.Helper()
	if len(o.list) > 0 {
		t.Fatalf("%d places:\n%s", len(o.list), strings.Join(o.list, "\n"))
	}
}

// documented calls visit with each exported declaration of a file, its name and its doc comment. The
// declaration of a method has an exported receiver.
func documented(file *ast.File, visit func(at ast.Node, name, doc string)) {
	fields := func(list *ast.FieldList) {
		for _, f := range list.List {
			for _, n := range f.Names {
				if n.IsExported() {
					visit(n, n.Name, f.Doc.Text()+f.Comment.Text())
				}
			}
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d))) {
				visit(d, d.Name.Name, d.Doc.Text())
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					if !s.Name.IsExported() {
						continue
					}
					visit(s, s.Name.Name, d.Doc.Text()+s.Doc.Text())
					switch of := s.Type.(type) {
					case *ast.StructType:
						fields(of.Fields)
					case *ast.InterfaceType:
						fields(of.Methods)
					}
				case *ast.ValueSpec:
					for _, n := range s.Names {
						if n.IsExported() {
							visit(n, n.Name, s.Doc.Text()+s.Comment.Text())
						}
					}
				}
			}
		}
	}
}

// receiver returns the name of the type that a method belongs to.
func receiver(d *ast.FuncDecl) string {
	of := d.Recv.List[0].Type
	for {
		switch e := of.(type) {
		case *ast.StarExpr:
			of = e.X
		case *ast.IndexExpr:
			of = e.X
		case *ast.IndexListExpr:
			of = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

// wordings are phrases that a doc comment does not use, each with what to write instead.
var wordings = []struct{ phrase, instead string }{
	{`where there (is|are)`, "if there is"},
	{`rooms?\b`, "package, or memory"},
	{`floors?\b`, "baseline"},
	{`dialects?\b`, "pagination style"},
	{`mint(s|ed)?\b`, "forge, sign or issue"},
	{`hearsay\b`, "unverified"},
	{`(cloud|server|platform)'s word|words? of the (cloud|server)`, "what the cloud reports"},
	{`(tells?|told|telling) lies|lies (to|about)|lied`, "tampered response"},
	{`in turns?`, "interleaved"},
	{`(holds?|held) (\w+ ){1,4}against`, "compare with"},
	{`makes? (it )?room`, "reserve, or evict"},
	{`of the way there`, "transport failure"},
}

// plainWordings are phrases that no comment uses, exported or not, each with what to write instead.
var plainWordings = []struct{ phrase, instead string }{
	{`where there (is|are)`, "if there is"},
	{`hearsay\b`, "unverified"},
	{`(cloud|server|platform)'s word|words? of the (cloud|server)`, "what the cloud reports"},
	{`(tells?|told|telling) lies|lies (to|about)\b|lied\b`, "tampered response"},
	{`(cloud|server|API|platform|node|endpoint|guest|caller|user|chain|contract|test|compiler|KMS|browser|program|response|answer|package|client) (tells?|says?|said|told|wants?|knows?|knew|(gives?|gave) (an?|the|it|its|no|back|them|what)|lies|asks?|thinks?|believes?|promises?|likes?|minds?|forgets?)\b`, "a plain verb: reports, returns, requires, has"},
	{`(holds?|held) (\w+ ){1,4}against`, "compare with"},
	{`makes? (it )?room`, "reserve, or evict"},
	{`of the way there`, "transport failure"},
}

func TestComments_PlainWords(t *testing.T) {
	set, sources := parsed(t)
	found := offences{set: set}
	var patterns []*regexp.Regexp
	for _, w := range plainWordings {
		patterns = append(patterns, regexp.MustCompile(`(?i)\b(`+w.phrase+`)`))
	}
	for _, s := range sources {
		if s.generated || s.test {
			continue
		}
		for _, group := range s.file.Comments {
			text := strings.Join(strings.Fields(group.Text()), " ")
			for i, w := range plainWordings {
				if m := patterns[i].FindString(text); m != "" {
					found.add(group, "%q: write %s", m, w.instead)
				}
			}
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if words := strings.Fields(d.Doc.Text()); len(words) > 1 && words[0] == d.Name.Name && impersonal[words[1]] != "" {
				found.add(d, "%s %s: write %s", d.Name.Name, words[1], impersonal[words[1]])
			}
		}
	}
	found.check(t)
}

// impersonal are the verbs that no comment of a function begins with, exported or not.
var impersonal = map[string]string{
	"gives": "returns", "tells": "reports", "says": "reports", "asks": "queries or requests", "wants": "requires",
	"lets": "allows or makes", "knows": "reports",
}

// verbs are those that the doc comment of a function does not begin with, each with what to write instead.
var verbs = map[string]string{
	"gives": "returns", "tells": "reports", "says": "reports", "asks": "queries or requests", "wants": "requires",
	"lets": "allows or makes", "holds": "contains or compares", "knows": "reports", "answers": "returns or responds",
	"gets": "returns", "is": "returns or reports", "are": "returns",
}

func TestDocs_StandardTerms(t *testing.T) {
	set, sources := parsed(t)
	found := offences{set: set}
	var patterns []*regexp.Regexp
	for _, w := range wordings {
		patterns = append(patterns, regexp.MustCompile(`(?i)\b(`+w.phrase+`)`))
	}
	for _, s := range sources {
		if !s.public() {
			continue
		}
		documented(s.file, func(at ast.Node, name, doc string) {
			text := strings.Join(strings.Fields(doc), " ")
			for i, w := range wordings {
				if m := patterns[i].FindString(text); m != "" {
					found.add(at, "%s: %q: write %s", name, m, w.instead)
				}
			}
		})
	}
	found.check(t)
}

func TestDocs_FunctionsStartWithAVerb(t *testing.T) {
	set, sources := parsed(t)
	found := offences{set: set}
	for _, s := range sources {
		if !s.public() {
			continue
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || !d.Name.IsExported() || d.Recv != nil && !ast.IsExported(receiver(d)) {
				continue
			}
			words := strings.Fields(d.Doc.Text())
			if len(words) == 0 && slices.Contains(conventional, d.Name.Name) {
				continue
			}
			if len(words) < 2 || words[0] != d.Name.Name {
				found.add(d, "%s: the comment starts with the name and a verb", d.Name.Name)
				continue
			}
			if instead := verbs[words[1]]; instead != "" {
				found.add(d, "%s %s: write %s", d.Name.Name, words[1], instead)
			}
			if predicate(d) && words[1] != "reports" && words[1] != "implements" {
				found.add(d, "%s %s: a predicate reports whether something holds", d.Name.Name, words[1])
			}
		}
	}
	found.check(t)
}

// conventional are the methods whose name says everything, so that they need no comment.
var conventional = []string{"Error", "Unwrap", "String"}

// predicate reports whether a function returns one bool and nothing else.
func predicate(d *ast.FuncDecl) bool {
	if d.Type.Results == nil || len(d.Type.Results.List) != 1 || len(d.Type.Results.List[0].Names) > 1 {
		return false
	}
	result, ok := d.Type.Results.List[0].Type.(*ast.Ident)
	return ok && result.Name == "bool"
}

func TestErrors_StartLowerCase(t *testing.T) {
	set, sources := parsed(t)
	found := offences{set: set}
	for _, s := range sources {
		if s.test || s.generated {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			fun, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := fun.X.(*ast.Ident)
			if !ok || of.Name+"."+fun.Sel.Name != "errors.New" && of.Name+"."+fun.Sel.Name != "fmt.Errorf" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil || text == "" {
				return true
			}
			first, _, _ := strings.Cut(text, " ")
			if r := []rune(first); unicode.IsUpper(r[0]) && strings.IndexFunc(first[1:], unicode.IsUpper) < 0 && len(r) > 1 {
				found.add(call, "%q: an error starts lower-case", text)
			}
			if strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "...") || strings.HasSuffix(text, "!") || strings.HasSuffix(text, "\n") {
				found.add(call, "%q: an error ends without punctuation", text)
			}
			return true
		})
	}
	found.check(t)
}

// shared are the exported names that several packages declare on purpose, by the reason.
var shared = map[string]string{
	"the functional options of each package, as in many modules":        "Option WithAPIKey WithLogger WithPollInterval WithWait WithChain WithKMS WithGateway WithPreLaunchScript WatchOptions",
	"the constructor of the package's main type":                        "New Start Open Dial Attach",
	"the main type of the package, which callers qualify with its name": "Client App CVM Chain Report Result Spec Error ID Event Verify Evidence Image",
	"the same thing in the wire format of the API, in openapi":          "Allowance Provision OSImage Workspace CVMAttestation AppAttestations",
	"the event of a CVM, and the status that it leads to":               "CVMCreated CVMStopped CVMDeleted",
	"an alias, or a function that returns the type: one thing":          "EnvVar DeviceID RuntimeEvent Secret Hidden Marshal",
	"the part of testing.TB that a test double uses":                    "TB",
}

func TestNames_OneMeaning(t *testing.T) {
	set, sources := parsed(t)
	found := offences{set: set}
	places := map[string][]string{}
	nodes := map[string]ast.Node{}
	add := func(n *ast.Ident, dir string) {
		if n.IsExported() && !slices.Contains(places[n.Name], dir) {
			places[n.Name] = append(places[n.Name], dir)
			nodes[n.Name] = n
		}
	}
	for _, s := range sources {
		if !s.public() {
			continue
		}
		for _, decl := range s.file.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name, s.dir)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch v := spec.(type) {
					case *ast.TypeSpec:
						add(v.Name, s.dir)
					case *ast.ValueSpec:
						for _, n := range v.Names {
							add(n, s.dir)
						}
					}
				}
			}
		}
	}
	var allowed []string
	for _, names := range shared {
		allowed = append(allowed, strings.Fields(names)...)
	}
	for name, dirs := range places {
		if len(dirs) > 1 && !slices.Contains(allowed, name) {
			found.add(nodes[name], "%s is declared in %s", name, strings.Join(dirs, ", "))
		}
	}
	slices.Sort(found.list)
	found.check(t)
	for _, name := range allowed {
		require.Greater(t, len(places[name]), 1, "%s is declared once: remove it from the list", name)
	}
}

// sentence are words of a sentence. What comes before the underscore of a test's name names what is tested, and
// has none of them.
var sentence = strings.Fields("A An The Is Are Was Were Does Do Not No That Which Who What How Has Have Can Cannot May Must Every Each It Its")

// words returns the words of a name in camel case: "A", "KMS" and "Signs" of "AKMSSigns".
func words(name string) []string {
	var list []string
	runes := []rune(name)
	start := 0
	for i := 1; i <= len(runes); i++ {
		if i < len(runes) {
			begins := unicode.IsUpper(runes[i]) && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
			if !begins || runes[i-1] != 's' && i+1 < len(runes) && runes[i+1] == 's' {
				continue // the plural of an initialism, as in "IDs"
			}
		}
		list = append(list, string(runes[start:i]))
		start = i
	}
	return list
}

func TestNames_OfTests(t *testing.T) {
	set, sources := parsed(t)
	declared := map[string]bool{}
	for _, s := range sources {
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch d := n.(type) {
			case *ast.FuncDecl:
				declared[d.Name.Name] = true
			case *ast.TypeSpec:
				declared[d.Name.Name] = true
			}
			return true
		})
	}
	found := offences{set: set}
	for _, s := range sources {
		if !s.test {
			continue
		}
		for _, decl := range s.file.Decls {
			d, ok := decl.(*ast.FuncDecl)
			if !ok || d.Recv != nil || !strings.HasPrefix(d.Name.Name, "Test") || d.Name.Name == "TestMain" {
				continue
			}
			subject, holds, _ := strings.Cut(strings.TrimPrefix(d.Name.Name, "Test"), "_")
			words := words(subject)
			switch {
			case subject == "" || strings.Contains(holds, "_"):
				found.add(d, "%s: write TestSubject or TestSubject_WhatHolds", d.Name.Name)
			case declared[subject]:
			case len(words) > 4:
				found.add(d, "%s: the subject is longer than four words: write TestSubject_WhatHolds", d.Name.Name)
			case slices.ContainsFunc(words, func(w string) bool { return slices.Contains(sentence, w) }):
				found.add(d, "%s: the subject is a sentence: write TestSubject_WhatHolds", d.Name.Name)
			}
		}
	}
	found.check(t)
}
