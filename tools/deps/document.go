package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The document has generated tables between these marks. The reasons in them are written by hand and kept.
const (
	costMark     = "packages"
	programsMark = "programs"
	testsMark    = "tests"
	ownMark      = "own"
)

const noReason = "(reason missing)"

func section(mark string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- ` + mark + `: written by make deps -->\n).*?(<!-- end -->)`)
}

var tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (.*) \\|$")

// rows returns the other cells of each row by its first cell.
func rows(text []byte) map[string][]string {
	table := map[string][]string{}
	for _, match := range tableRow.FindAllSubmatch(text, -1) {
		table[string(match[1])] = strings.Split(string(match[2]), " | ")
	}
	return table
}

// forTests reports whether no package compiles the module but those for tests.
func (m module) forTests() bool {
	return !slices.ContainsFunc(m.users, func(name string) bool {
		return name != "phalatest" && !strings.HasPrefix(name, "phalatest/")
	})
}

// reason returns why a module is there: the text of the document for what this module requires itself, else the
// modules that import it.
func (m module) reason(table map[string][]string) string {
	if !m.direct {
		names := make([]string, len(m.through))
		for i, path := range m.through {
			names[i] = short(path)
		}
		if len(names) > 3 {
			names = append(names[:3], fmt.Sprintf("%d more", len(names)-3))
		}
		return "through " + strings.Join(names, ", ")
	}
	if cells := table[m.path]; len(cells) > 0 && !strings.HasPrefix(cells[len(cells)-1], "through ") {
		return cells[len(cells)-1]
	}
	return noReason
}

var major = regexp.MustCompile(`^v\d+$`)

// short returns the last element of a path, or the last two if that one is a major version.
func short(path string) string {
	parts := strings.Split(path, "/")
	from := len(parts) - 1
	if from > 0 && major.MatchString(parts[from]) {
		from--
	}
	return strings.Join(parts[from:], "/")
}

// programs returns the packages that compile the module, without those for tests and those below another of them.
func (m module) programs() []string {
	return slices.DeleteFunc(slices.Clone(m.users), func(name string) bool {
		return strings.HasPrefix(name, "phalatest") || slices.ContainsFunc(m.users, func(other string) bool {
			return strings.HasPrefix(name, other+"/")
		})
	})
}

func rewrite(text []byte, found *scanned) ([]byte, error) {
	table := rows(text)
	var costs, programs, tests, own strings.Builder
	costs.WriteString("| package | modules | lines |\n| --- | ---: | ---: |\n")
	packages := slices.Clone(found.packages)
	slices.SortFunc(packages, func(a, b cost) int { return cmp.Or(cmp.Compare(a.lines, b.lines), cmp.Compare(a.name, b.name)) })
	for _, c := range packages {
		fmt.Fprintf(&costs, "| `%s` | %d | %d |\n", c.name, c.modules, c.lines)
	}
	programs.WriteString("| module | licence | lines | compiled by | reason |\n| --- | --- | ---: | --- | --- |\n")
	tests.WriteString("| module | licence | lines | reason |\n| --- | --- | ---: | --- |\n")
	for _, m := range found.modules {
		licences := strings.Join(m.licences, ", ")
		if m.forTests() {
			fmt.Fprintf(&tests, "| `%s` | %s | %d | %s |\n", m.path, licences, m.lines, m.reason(table))
		} else {
			fmt.Fprintf(&programs, "| `%s` | %s | %d | %s | %s |\n", m.path, licences, m.lines, strings.Join(m.programs(), ", "), m.reason(table))
		}
	}
	own.WriteString("| module | reason |\n| --- | --- |\n")
	for _, path := range found.testOnly {
		fmt.Fprintf(&own, "| `%s` | %s |\n", path, module{path: path, direct: true}.reason(table))
	}
	for mark, body := range map[string]string{costMark: costs.String(), programsMark: programs.String(), testsMark: tests.String(), ownMark: own.String()} {
		pattern := section(mark)
		if !pattern.Match(text) {
			return nil, fmt.Errorf("%s has no section %q", document, mark)
		}
		text = pattern.ReplaceAll(text, []byte("${1}"+strings.ReplaceAll(body, "$", "$$")+"${2}"))
	}
	return text, nil
}

// compare returns what the document says that is not so. Lines are not compared: they change with each version.
func compare(text []byte, found *scanned) []string {
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	table := rows(section(programsMark).Find(text))
	for path, cells := range rows(section(testsMark).Find(text)) {
		table[path] = cells
	}
	own := rows(section(ownMark).Find(text))
	for _, m := range found.modules {
		cells, ok := table[m.path]
		delete(table, m.path)
		licences := strings.Join(m.licences, ", ")
		switch {
		case !ok:
			problem("%s (%s) is not listed", m.path, licences)
		case cells[0] != licences:
			problem("%s has the licence %s, and not %s", m.path, licences, cells[0])
		case slices.Contains(m.licences, "unknown"):
			problem("%s has an unknown licence", m.path)
		case m.direct && m.reason(map[string][]string{m.path: cells}) == noReason:
			problem("%s has no reason", m.path)
		}
	}
	for path := range table {
		problem("%s is listed, but nothing compiles it", path)
	}
	for _, path := range found.testOnly {
		cells, ok := own[path]
		delete(own, path)
		if !ok || cells[0] == noReason {
			problem("%s is required by the tests and has no reason", path)
		}
	}
	for path := range own {
		problem("%s is listed, but go.mod does not require it for tests", path)
	}
	slices.Sort(problems)
	return problems
}
