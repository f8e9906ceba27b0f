// Command deps writes docs/dependencies.md: each module that a program compiles when it imports this SDK, with its
// licence, its reason and its weight. Without -write it compares the document with the modules, and fails for one
// that is not listed, is gone, has another licence, or has no reason.
//
//	go -C tools run ./deps -root .. -write   # make deps
//	go -C tools run ./deps -root ..          # CI
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/google/licensecheck"
)

const document = "docs/dependencies.md"

// platforms are those whose modules are listed. The lines are counted on the first one.
var platforms = []string{"linux/amd64", "darwin/arm64", "windows/amd64"}

func main() {
	log.SetFlags(0)
	log.SetPrefix("deps: ")
	root := flag.String("root", ".", "the root of the repository")
	write := flag.Bool("write", false, "write "+document+" instead of comparing with it")
	flag.Parse()
	if err := run(*root, *write); err != nil {
		log.Fatal(err)
	}
}

func run(root string, write bool) error {
	path := filepath.Join(root, document)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	found, err := scan(root)
	if err != nil {
		return err
	}
	if write {
		text, err = rewrite(text, found)
		if err != nil {
			return err
		}
		return os.WriteFile(path, text, 0o644)
	}
	if problems := compare(text, found); len(problems) > 0 {
		return fmt.Errorf("%s is not true any more; run make deps, and give each direct dependency its reason:\n%s", document, strings.Join(problems, "\n"))
	}
	return nil
}

// goPackage is what go list prints of a package.
type goPackage struct {
	ImportPath, Dir string
	Standard        bool
	Module          *struct {
		Path, Dir string
		Main      bool
	}
	GoFiles, CgoFiles, CFiles, HFiles, SFiles []string
	Imports, Deps                             []string
}

// module is a row of the document.
type module struct {
	path     string
	direct   bool
	licences []string
	lines    int
	users    []string // our packages that compile it
	through  []string // the modules whose packages import it
}

// scanned is what the packages of the SDK compile.
type scanned struct {
	modules  []module // sorted by path
	packages []cost   // in the order of the module's packages
	testOnly []string // direct requirements that no package compiles
}

// cost is what one of our packages brings.
type cost struct {
	name    string
	modules int
	lines   int
}

func scan(root string) (*scanned, error) {
	var ours []string
	modules := map[string]*module{}
	lines := map[string]map[string]int{} // by module, by package
	weight := map[string]int{}           // by package
	result := &scanned{}
	for i, platform := range platforms {
		pkgs, err := listPackages(root, platform, "./...")
		if err != nil {
			return nil, err
		}
		byPath := map[string]*goPackage{}
		for _, pkg := range pkgs {
			byPath[pkg.ImportPath] = pkg
			if pkg.Standard || pkg.Module == nil || pkg.Module.Main {
				continue
			}
			if i == 0 {
				n, err := countLines(pkg)
				if err != nil {
					return nil, err
				}
				weight[pkg.ImportPath] = n
			}
		}
		for _, pkg := range pkgs {
			name, ok := public(pkg)
			if !ok {
				continue
			}
			if i == 0 {
				ours = append(ours, name)
			}
			brought := map[string]bool{}
			total := 0
			for _, path := range pkg.Deps {
				dep := byPath[path]
				if dep == nil || dep.Standard || dep.Module == nil || dep.Module.Main {
					continue
				}
				m := modules[dep.Module.Path]
				if m == nil {
					m = &module{path: dep.Module.Path}
					modules[m.path] = m
					lines[m.path] = map[string]int{}
				}
				if !slices.Contains(m.users, name) {
					m.users = append(m.users, name)
				}
				licences, err := licencesOf(dep)
				if err != nil {
					return nil, err
				}
				for _, licence := range licences {
					if !slices.Contains(m.licences, licence) {
						m.licences = append(m.licences, licence)
					}
				}
				if i == 0 {
					lines[m.path][path] = weight[path]
				}
				brought[m.path] = true
				total += weight[path]
			}
			if i == 0 {
				result.packages = append(result.packages, cost{name, len(brought), total})
			}
		}
		for _, pkg := range pkgs {
			if pkg.Standard || pkg.Module == nil || pkg.Module.Main {
				continue
			}
			for _, path := range pkg.Imports {
				dep := byPath[path]
				if dep == nil || dep.Module == nil || dep.Module.Path == pkg.Module.Path {
					continue
				}
				if m := modules[dep.Module.Path]; m != nil && !slices.Contains(m.through, pkg.Module.Path) && modules[pkg.Module.Path] != nil {
					m.through = append(m.through, pkg.Module.Path)
				}
			}
		}
	}
	direct, err := directRequirements(root)
	if err != nil {
		return nil, err
	}
	for _, path := range direct {
		if m := modules[path]; m != nil {
			m.direct = true
		} else {
			result.testOnly = append(result.testOnly, path)
		}
	}
	for _, m := range modules {
		for _, n := range lines[m.path] {
			m.lines += n
		}
		sort.Strings(m.licences)
		sort.Strings(m.through)
		sort.Strings(m.users)
		result.modules = append(result.modules, *m)
	}
	sort.Slice(result.modules, func(i, j int) bool { return result.modules[i].path < result.modules[j].path })
	sort.Strings(result.testOnly)
	return result, nil
}

// public returns the path of a package in our module, if users can import it.
func public(pkg *goPackage) (string, bool) {
	if pkg.Module == nil || !pkg.Module.Main {
		return "", false
	}
	name, ok := strings.CutPrefix(pkg.ImportPath, pkg.Module.Path+"/")
	if !ok || strings.HasPrefix(name, "examples/") || strings.Contains("/"+name+"/", "/internal/") {
		return "", false
	}
	return name, true
}

func listPackages(root, platform string, patterns ...string) ([]*goPackage, error) {
	goos, goarch, _ := strings.Cut(platform, "/")
	args := append([]string{"list", "-deps", "-json=ImportPath,Dir,Standard,Module,GoFiles,CgoFiles,CFiles,HFiles,SFiles,Imports,Deps"}, patterns...)
	cmd := exec.Command("go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=1", "GOWORK=off")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s for %s: %w", strings.Join(args[:2], " "), platform, err)
	}
	var pkgs []*goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		pkg := new(goPackage)
		if err := decoder.Decode(pkg); errors.Is(err, io.EOF) {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs = append(pkgs, pkg)
	}
}

// directRequirements returns the requirements of go.mod that are not marked as indirect.
func directRequirements(root string) ([]string, error) {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go mod edit: %w", err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return nil, err
	}
	var paths []string
	for _, r := range mod.Require {
		if !r.Indirect {
			paths = append(paths, r.Path)
		}
	}
	return paths, nil
}

// countLines returns the lines of the files that are compiled, comments and blank lines included.
func countLines(pkg *goPackage) (int, error) {
	n := 0
	for _, name := range slices.Concat(pkg.GoFiles, pkg.CgoFiles, pkg.CFiles, pkg.HFiles, pkg.SFiles) {
		text, err := os.ReadFile(filepath.Join(pkg.Dir, name))
		if err != nil {
			return 0, err
		}
		n += bytes.Count(text, []byte("\n"))
	}
	return n, nil
}

var licenceFile = regexp.MustCompile(`(?i)^(licen[sc]e|copying|unlicense)`)

// stated are licences that the source states without their text.
var stated = map[string]string{
	"github.com/holiman/bloomfilter/v2": "MIT", // bloomfilter.go: "MIT license"
}

// licencesOf returns the licences of a package: those in the nearest directory, from its own up to the root of its
// module, that has any.
func licencesOf(pkg *goPackage) ([]string, error) {
	for dir := pkg.Dir; ; dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		texts := map[string][]byte{}
		for _, entry := range entries {
			if entry.IsDir() || !licenceFile.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), ".docs") {
				continue // Source and the licence of a module's documents say nothing of its code.
			}
			text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			if err != nil {
				return nil, err
			}
			texts[entry.Name()] = text
		}
		// COPYING.LESSER adds to the GPL in COPYING what makes it the LGPL. go-ethereum's programs stay under the GPL.
		if _, ok := texts["COPYING.LESSER"]; ok && !strings.Contains(pkg.ImportPath+"/", "/cmd/") {
			delete(texts, "COPYING")
		}
		if found := identify(texts); len(found) > 0 {
			return found, nil
		}
		if len(texts) > 0 || dir == pkg.Module.Dir || len(dir) <= len(pkg.Module.Dir) {
			if licence, ok := stated[pkg.Module.Path]; ok {
				return []string{licence}, nil
			}
			return []string{"unknown"}, nil
		}
	}
}

func identify(texts map[string][]byte) []string {
	var found []string
	for _, text := range texts {
		coverage := licensecheck.Scan(text)
		if coverage.Percent < 50 {
			continue
		}
		for _, match := range coverage.Match {
			if !match.IsURL && !slices.Contains(found, match.ID) {
				found = append(found, match.ID)
			}
		}
	}
	return found
}
