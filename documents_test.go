package phala_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/phala-go/phala"

// document is a Markdown file of the repository.
type document struct {
	path string // with slashes, from the root of the repository
	text string
}

// block is a fenced block of a document.
type block struct {
	line     int // of the fence
	language string
	text     string
}

func documents(t *testing.T) []document {
	t.Helper()
	var all []document
	require.NoError(t, filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != "." && (entry.Name() == "node_modules" || entry.Name() == ".git" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		all = append(all, document{filepath.ToSlash(path), string(text)})
		return err
	}))
	require.NotEmpty(t, all)
	return all
}

// split returns the blocks of a document, and its text without them.
func (d document) split() (blocks []block, prose string) {
	var rest strings.Builder
	var open *block
	for i, line := range strings.SplitAfter(d.text, "\n") {
		fence := strings.TrimSpace(line)
		switch {
		case open != nil && fence == "```":
			blocks, open = append(blocks, *open), nil
			rest.WriteString("\n")
		case open != nil:
			open.text += line
			rest.WriteString("\n")
		case strings.HasPrefix(fence, "```"):
			open = &block{line: i + 1, language: strings.TrimPrefix(fence, "```")}
			rest.WriteString("\n")
		default:
			rest.WriteString(line)
		}
	}
	return blocks, rest.String()
}

// packages type-checks packages from their source, without the bodies of functions: nothing is compiled.
type packages struct {
	mu     sync.Mutex // of the packages that are loaded
	files  *token.FileSet
	listed map[string]*listed
	loaded map[string]*types.Package
}

// listed is a package as go list describes it.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
}

// importedBy returns every package of the module, with all that these and the prelude import.
var importedBy = sync.OnceValues(func() (*packages, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap", "./...",
		"log/slog", "net/http", "os", "os/signal", "testing", "github.com/stretchr/testify/require")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	p := &packages{files: token.NewFileSet(), listed: map[string]*listed{}, loaded: map[string]*types.Package{"unsafe": types.Unsafe}}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := decoder.Decode(&l); errors.Is(err, io.EOF) {
			return p, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		p.listed[l.ImportPath] = &l
	}
})

// Import loads a package, and those that it imports.
func (p *packages) Import(path string) (*types.Package, error) {
	if pkg := p.loaded[path]; pkg != nil {
		return pkg, nil
	}
	l := p.listed[path]
	if l == nil {
		return nil, fmt.Errorf("package %s is not among the dependencies of this module", path)
	}
	files := make([]*ast.File, len(l.GoFiles))
	for i, name := range l.GoFiles {
		var err error
		if files[i], err = parser.ParseFile(p.files, filepath.Join(l.Dir, name), nil, parser.SkipObjectResolution); err != nil {
			return nil, err
		}
	}
	config := types.Config{
		Importer: importing(func(path string) (*types.Package, error) { return p.Import(cmp.Or(l.ImportMap[path], path)) }), IgnoreFuncBodies: true,
		Error: func(error) {}, // such as of imports that only the bodies use
	}
	pkg, _ := config.Check(path, p.files, files, nil)
	p.loaded[path] = pkg
	return pkg, nil
}

// importing is a types.Importer.
type importing func(path string) (*types.Package, error)

func (f importing) Import(path string) (*types.Package, error) { return f(path) }

// check type-checks files as one package. Of a fragment it passes over what the compiler calls soft errors: variables and
// imports that are not used, and := without a new variable.
func (p *packages) check(files []*ast.File, fragment bool) []error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	config := types.Config{Importer: p, Error: func(err error) {
		if typeError, ok := err.(types.Error); !ok || !fragment || !typeError.Soft {
			errs = append(errs, err)
		}
	}}
	_, _ = config.Check("document", p.files, files, nil)
	return errs
}

// compile returns what is wrong with a block of Go.
func (p *packages) compile(name string, b block, prelude string) []error {
	source := b.text
	if formatted, err := format.Source([]byte(source)); err != nil {
		return []error{err}
	} else if string(formatted) != source {
		return []error{fmt.Errorf("gofmt would write it as\n%s", formatted)}
	}
	if strings.HasPrefix(source, "package ") || strings.Contains(source, "\npackage ") {
		file, err := parser.ParseFile(p.files, name, source, parser.SkipObjectResolution)
		if err != nil {
			return []error{err}
		}
		return p.check([]*ast.File{file}, false)
	}
	imports, _, _ := strings.Cut(strings.TrimPrefix(prelude, "package prelude\n"), "\n)\n")
	head := "package prelude\n" + imports + "\n)\n"
	given, err := parser.ParseFile(p.files, "prelude.go", prelude, parser.SkipObjectResolution)
	if err != nil {
		return []error{err}
	}
	var first error
	for _, text := range []string{head + source, head + "func fragment() error {\n" + source + "\nreturn nil\n}\n"} {
		file, err := parser.ParseFile(p.files, name, text, parser.SkipObjectResolution)
		if err == nil {
			return p.check([]*ast.File{given, file}, true)
		}
		first = err
	}
	return []error{first}
}

// Every block of Go compiles: a whole program as it is, a fragment with the declarations of docs/testdata/prelude.go.txt.
func TestDocuments_GoCompiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/testdata/prelude.go.txt")
	require.NoError(t, err)
	_, prelude, found := strings.Cut(string(text), "package prelude\n")
	require.True(t, found)
	p, err := importedBy()
	require.NoError(t, err)
	programs, fragments := 0, 0
	for _, d := range documents(t) {
		blocks, _ := d.split()
		for _, b := range blocks {
			if b.language != "go" {
				continue
			}
			if strings.HasPrefix(b.text, "package ") {
				programs++
			} else {
				fragments++
			}
			for _, err := range p.compile(fmt.Sprintf("%s:%d", d.path, b.line), b, "package prelude\n"+prelude) {
				t.Errorf("%s:%d: %v", d.path, b.line, err)
			}
		}
	}
	assert.NotZero(t, programs)
	assert.NotZero(t, fragments)
}

// The check above finds what it is for.
func TestDocuments_GoThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	p, err := importedBy()
	require.NoError(t, err)
	const prelude = "package prelude\n\nimport (\n\t\"os\"\n\n\t\"github.com/phala-go/phala/deploy\"\n)\n\nvar app *deploy.App\n"
	for want, source := range map[string]string{
		"undefined: deploy.Gone":        "app, err := deploy.Gone(nil)\n",
		"app.Gone undefined":            "id := app.Gone\n",
		"undefined: next":               "app = next\n",
		"gofmt would write":             "a:=1\n",
		"missing condition":             "if {\n",
		"declared and not used: unused": "package main\n\nfunc main() {\n\tunused := 1\n}\n",
		"\"os\" imported and not used":  "package main\n\nimport \"os\"\n\nfunc main() {\n}\n",
		"is not among the dependencies": "package main\n\nimport \"example.com/gone\"\n\nfunc main() {\n\tgone.F()\n}\n",
	} {
		errs := p.compile("block", block{text: source}, prelude)
		if assert.NotEmpty(t, errs, source) {
			assert.ErrorContains(t, errs[0], want)
		}
	}
	for _, source := range []string{"id := app.ID\n", "func f(a *deploy.App) error { return nil }\n", "for range os.Args {\n\t// …\n}\n"} {
		assert.Empty(t, p.compile("block", block{text: source}, prelude), source)
	}
}

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:href|src|srcset)="([^"]+)"`)
	inline    = regexp.MustCompile("`([^`]+)`")
	qualified = regexp.MustCompile(`^\(?\*?([a-z]+)\.([A-Z]\w*)\)?(?:\.([A-Z]\w*))?`)
	// service is a call of a client: c.CVMs.Get.
	service = regexp.MustCompile(`^c\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
	// testFunction is the name of a function that go test runs.
	testFunction = regexp.MustCompile(`(?:^|\.)(?:Test|Fuzz|Benchmark|Example)[A-Z_]`)
	// inTree is a path of this repository.
	inTree = regexp.MustCompile(`^(?:go run (?:-C )?)?\.?/?((?:examples|docs|tools|internal|\.ci|\.github|openapi|client|compose|kms|attest|verify|deploy|webhook|phalatest)/[\w./-]*\w)`)
)

// Each link within the repository leads to a file, and to a heading of it.
func TestDocuments_LinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	all := documents(t)
	anchors := map[string]map[string]bool{}
	for _, d := range all {
		anchors[d.path] = d.anchors()
	}
	links := 0
	for _, d := range all {
		_, prose := d.split()
		for _, match := range link.FindAllStringSubmatch(inline.ReplaceAllString(prose, ""), -1) {
			target := match[1] + match[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			links++
			path, anchor, _ := strings.Cut(target, "#")
			file := d.path
			if path != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), path))
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s: link to %s: %v", d.path, target, err)
				continue
			}
			if anchor != "" && !anchors[file][anchor] {
				t.Errorf("%s: link to %s: no such heading", d.path, target)
			}
		}
	}
	assert.NotZero(t, links)
}

// anchors returns the anchors that GitHub makes of the headings.
func (d document) anchors() map[string]bool {
	found := map[string]bool{}
	_, prose := d.split()
	for line := range strings.Lines(prose) {
		level := len(line) - len(strings.TrimLeft(line, "#"))
		if level == 0 || !strings.HasPrefix(line[level:], " ") {
			continue
		}
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(line[level:]))
		found[anchor] = true
	}
	return found
}

// What the documents name in code exists: identifiers of the packages, and files of the repository.
func TestDocuments_NamesExist(t *testing.T) {
	t.Parallel()
	p, err := importedBy()
	require.NoError(t, err)
	byName := map[string]*types.Package{}
	for path := range p.listed {
		if !strings.HasPrefix(path, module+"/") || strings.Contains(path, "/internal/") || strings.Contains(path, "/examples/") {
			continue
		}
		p.mu.Lock()
		pkg, err := p.Import(path)
		p.mu.Unlock()
		require.NoError(t, err)
		byName[pkg.Name()] = pkg
	}
	names, files := 0, 0
	for _, d := range documents(t) {
		_, prose := d.split()
		for _, match := range inline.FindAllStringSubmatch(prose, -1) {
			code := match[1]
			if testFunction.MatchString(code) {
				continue // SECURITY.md names tests, and has a check of its own
			}
			if name := qualified.FindStringSubmatch(code); name != nil && byName[name[1]] != nil {
				names++
				if !exists(byName[name[1]], name[2], name[3]) {
					t.Errorf("%s: `%s`: package %s has no such name", d.path, code, name[1])
				}
			}
			if call := service.FindStringSubmatch(code); call != nil && d.path != "CONTRIBUTING.md" { // which makes an operation up
				names++
				if !existsMember(byName["client"], "Client", call[1], call[2]) {
					t.Errorf("%s: `%s`: a client has no such name", d.path, code)
				}
			}
			if path := inTree.FindStringSubmatch(code); path != nil {
				files++
				if _, err := os.Stat(path[1]); err != nil {
					t.Errorf("%s: `%s`: %v", d.path, code, err)
				}
			}
		}
	}
	assert.NotZero(t, names)
	assert.NotZero(t, files)
	assert.False(t, exists(byName["deploy"], "Gone", ""))
	assert.False(t, exists(byName["deploy"], "App", "Gone"))
	assert.True(t, exists(byName["deploy"], "App", "Compose"))
	assert.True(t, existsMember(byName["client"], "Client", "CVMs", "Get"))
	assert.False(t, existsMember(byName["client"], "Client", "CVMs", "Gone"))
	assert.False(t, existsMember(byName["client"], "Client", "Gone", ""))
}

// exists reports whether a package has a name, and, if a member is given, whether that is a field or a method of it.
func exists(pkg *types.Package, name, member string) bool {
	object := pkg.Scope().Lookup(name)
	if object == nil {
		return false
	}
	if member == "" {
		return true
	}
	found, _, _ := types.LookupFieldOrMethod(object.Type(), true, pkg, member)
	return found != nil
}

// existsMember reports whether a member of a type exists, and, if given, a member of that.
func existsMember(pkg *types.Package, name, member, of string) bool {
	object := pkg.Scope().Lookup(name)
	if object == nil {
		return false
	}
	found, _, _ := types.LookupFieldOrMethod(object.Type(), true, pkg, member)
	if found == nil || of == "" {
		return found != nil
	}
	inner, _, _ := types.LookupFieldOrMethod(found.Type(), true, pkg, of)
	return inner != nil
}

// Commands that the documents give name programs that exist.
func TestDocuments_CommandsNamePrograms(t *testing.T) {
	t.Parallel()
	program := regexp.MustCompile(`go run \./([\w/-]+)|go -C ([\w/-]+) `)
	single := regexp.MustCompile(`go test -run (\w+) \./([\w/]+)`)
	commands, tests := 0, 0
	for _, d := range documents(t) {
		blocks, _ := d.split()
		for _, b := range blocks {
			if b.language != "sh" {
				continue
			}
			for _, match := range program.FindAllStringSubmatch(b.text, -1) {
				commands++
				files, err := filepath.Glob(filepath.Join(match[1]+match[2], "*.go"))
				require.NoError(t, err)
				assert.NotEmpty(t, files, "%s:%d: %s", d.path, b.line, match[0])
			}
			for _, match := range single.FindAllStringSubmatch(b.text, -1) {
				tests++
				files, err := filepath.Glob(filepath.Join(match[2], "*_test.go"))
				require.NoError(t, err)
				var all strings.Builder
				for _, file := range files {
					text, err := os.ReadFile(file)
					require.NoError(t, err)
					all.Write(text)
				}
				assert.Contains(t, all.String(), "func "+match[1]+"(", "%s:%d", d.path, b.line)
			}
		}
	}
	assert.NotZero(t, commands)
	assert.NotZero(t, tests)
}
