package language

import (
	"fmt"
	"go/ast"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// personified are subjects that report, return or require something. They have no opinion and no knowledge.
var personified = struct{ phrase, instead string }{
	`(cloud|platform|server|api|sdk|client|service|program|package|flow|contract|chain|endpoint|hardware|kms|gateway|guest|host|report|quote|policy|option|page)s? (wants?|knows?|says?|tells?|told|believes?|lies|vouch(es)?)\b`,
	"reports, returns, requires, has",
}

var (
	refused         = append(slices.Clone(wordings), personified)
	refusedPatterns = compilePatterns()
)

func compilePatterns() []*regexp.Regexp {
	var list []*regexp.Regexp
	for _, w := range refused {
		list = append(list, regexp.MustCompile(`(?i)\b(`+w.phrase+`)`))
	}
	return list
}

// maxWords is the longest sentence of a document, in words. Inline code and a link count as one word.
const maxWords = 32

// prose is a paragraph, a list item or a cell of a table.
type prose struct {
	line int
	text string
}

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	markup     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)|<[^>]*>|[*_]{1,2}`)
	listItem   = regexp.MustCompile(`^(\d+\.|[-*]) `)
	// sentenceEnd also splits at a colon and a semicolon: what they separate is read like two sentences.
	sentenceEnd = regexp.MustCompile(`[.:;?!]\)?\s+`)
)

// parseProse returns the text of a Markdown document outside of its code.
func parseProse(text string) []prose {
	var all []prose
	var open *prose
	fenced := false
	end := func() {
		if open != nil {
			all, open = append(all, *open), nil
		}
	}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "```"):
			fenced = !fenced
			end()
		case fenced:
		case line == "" || strings.HasPrefix(line, "<!--"):
			end()
		case strings.HasPrefix(line, "|"):
			end()
			for cell := range strings.SplitSeq(inlineCode.ReplaceAllString(line, "code"), "|") {
				all = append(all, prose{i + 1, cell})
			}
		case strings.HasPrefix(line, "#") || listItem.MatchString(line):
			end()
			open = &prose{i + 1, listItem.ReplaceAllString(line, "")}
			if strings.HasPrefix(line, "#") {
				end()
			}
		case open == nil:
			open = &prose{i + 1, line}
		default:
			open.text += " " + line
		}
	}
	end()
	for i := range all {
		all[i].text = markup.ReplaceAllString(inlineCode.ReplaceAllString(all[i].text, "code"), "$1")
	}
	return all
}

// phrases returns the phrases of a text that it should not use, each with what to write instead.
func phrases(text string) []string {
	var found []string
	text = strings.Join(strings.Fields(text), " ")
	for i, w := range refused {
		if m := refusedPatterns[i].FindString(text); m != "" {
			found = append(found, fmt.Sprintf("%q: write %s", m, w.instead))
		}
	}
	return found
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	var offences []string
	documents := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "node_modules" || name == "testdata" || name == ".git") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".md" || filepath.Base(path) == "errors.md" { // which is generated from doc comments
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents++
		for _, p := range parseProse(string(text)) {
			for _, found := range phrases(p.text) {
				offences = append(offences, fmt.Sprintf("%s:%d: %s", path, p.line, found))
			}
			for _, sentence := range sentenceEnd.Split(p.text, -1) {
				if n := len(strings.Fields(sentence)); n > maxWords {
					offences = append(offences, fmt.Sprintf("%s:%d: a sentence of %d words: %s", path, p.line, n, sentence))
				}
			}
		}
		return nil
	}))
	require.Greater(t, documents, 30)
	if len(offences) > 0 {
		t.Fatalf("%d places:\n%s", len(offences), strings.Join(offences, "\n"))
	}
}

// TestPrograms checks what programs print, and the help of their flags.
func TestPrograms(t *testing.T) {
	t.Parallel()
	set, sources := parsed(t)
	found := offences{set: set}
	for _, s := range sources {
		if s.test || !s.command() {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			for _, phrase := range phrases(text) {
				found.add(literal, "%s", phrase)
			}
			return true
		})
	}
	found.check(t)
}

func TestParseProse(t *testing.T) {
	t.Parallel()
	texts := []string{}
	for _, p := range parseProse("# Title\n\nOne `a|b`\n[two](x.md).\n\n- three\n  more\n- four\n\n```go\ncode\n```\n\n| a | **b** |\n") {
		if text := strings.TrimSpace(p.text); text != "" {
			texts = append(texts, text)
		}
	}
	require.Equal(t, []string{"# Title", "One code two.", "three more", "four", "a", "b"}, texts)
	require.NotEmpty(t, phrases("What the cloud\nknows of it."))
	require.NotEmpty(t, phrases("The flow holds the values against the list."))
	require.Empty(t, phrases("The cloud reports it."))
}
