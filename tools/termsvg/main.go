// Command termsvg draws the output of a terminal program as an SVG. The same input gives the same bytes.
//
//	go run ./examples/quickstart | go -C tools run ./termsvg -command "go run ./examples/quickstart" > quickstart.svg
//	go run ./examples/quickstart | go -C tools run ./termsvg -check ../docs/pictures/quickstart.svg
//
// With -check it draws nothing, and compares a picture with the output.
//
// It understands what mpb writes: carriage returns, "cursor up" and "erase below". What differs between two runs (ports, dates,
// temporary folders, ids of CVMs) is replaced.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"html"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	lineHeight = 18
	charWidth  = 7.85 // of 13px monospace, with room to spare
	margin     = 16
	titleBar   = 34
)

func main() {
	command := flag.String("command", "", "`text` of the command, for the first line")
	columns := flag.Int("columns", 100, "longest line; longer ones are cut")
	lines := flag.Int("lines", 60, "most lines; the rest is cut")
	check := flag.String("check", "", "compare this `picture` with the output")
	flag.Parse()
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "termsvg:", err)
		os.Exit(1)
	}
	rows := screen(stable(input))
	if *check == "" {
		_, _ = os.Stdout.Write(draw(*command, rows, *columns, *lines))
		return
	}
	picture, err := os.ReadFile(*check)
	if err == nil {
		err = compare(picture, rows, *columns)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "termsvg: %s: %v\n", *check, err)
		os.Exit(1)
	}
}

// unstable is what differs between two runs, and what stands for it.
var unstable = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "127.0.0.1:43210"},
	{regexp.MustCompile(`/tmp/[\w-]+-\d+/`), "/tmp/"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ`), "2036-01-01 00:00:00Z"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`), "5c0ffee5-1e55-4a11-8bad-c0de5eedf00d"},
	{regexp.MustCompile(`(instance-id +)[0-9a-f]{40}`), "${1}ccf677d14f276886afba8af92f29a3a2cff045f8"},
	{regexp.MustCompile(`version 4, \d+ bytes`), "version 4, 4181 bytes"},
}

func stable(text []byte) []byte {
	for _, u := range unstable {
		text = u.pattern.ReplaceAll(text, []byte(u.by))
	}
	return text
}

var control = regexp.MustCompile(`^\x1b\[(\d*)([A-Za-z])`)

// screen returns the lines that a terminal shows at the end.
func screen(text []byte) []string {
	rows, row := []string{""}, 0
	for len(text) > 0 {
		if m := control.FindSubmatch(text); m != nil {
			n, err := strconv.Atoi(string(m[1]))
			if err != nil {
				n = 1
			}
			switch m[2][0] {
			case 'A':
				row = max(0, row-n)
			case 'J':
				rows = rows[:row+1]
				rows[row] = ""
			}
			text = text[len(m[0]):]
			continue
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		switch r {
		case '\n':
			if row++; row == len(rows) {
				rows = append(rows, "")
			} else {
				rows[row] = ""
			}
		case '\r':
		default:
			rows[row] += string(r)
		}
	}
	for len(rows) > 0 && strings.TrimSpace(rows[len(rows)-1]) == "" {
		rows = rows[:len(rows)-1]
	}
	for len(rows) > 0 && strings.TrimSpace(rows[0]) == "" {
		rows = rows[1:]
	}
	return rows
}

func cut(row string, columns int) string {
	if r := []rune(row); len(r) > columns {
		return string(r[:columns-1]) + "…"
	}
	return row
}

// colors are those of a mark at the beginning of a line.
var colors = map[rune]string{'✓': "#57c98a", '=': "#e8c267", '✗': "#ff8a80", '!': "#e8c267", '–': "#93a0ad", '?': "#ff8a80", '→': "#7fb4ff"}

func draw(command string, rows []string, columns, most int) []byte {
	if len(rows) > most {
		rows = append(rows[:most:most], "…")
	}
	width, height := int(float64(columns)*charWidth)+2*margin, titleBar+margin+lineHeight*(len(rows)+2)
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString("The output of "+command))
	fmt.Fprintf(&out, `<rect width="%d" height="%d" rx="10" fill="#10151b"/>`+"\n", width, height)
	for i, color := range []string{"#ff5f57", "#febc2e", "#28c840"} {
		fmt.Fprintf(&out, `<circle cx="%d" cy="17" r="5.5" fill="%s"/>`, 20+i*18, color)
	}
	fmt.Fprintf(&out, "\n"+`<g font-family="ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="13" fill="#d5dde5">`+"\n")
	y := titleBar + lineHeight
	text := func(line, attributes string) { // with spaces that no reader of SVG folds
		fmt.Fprintf(&out, `<text x="%d" y="%d"%s>%s</text>`+"\n", margin, y, attributes, line)
		y += lineHeight
	}
	text(`<tspan fill="#57c98a">$</tspan> `+html.EscapeString(command), ` font-weight="700" fill="#ffffff"`)
	for _, row := range rows {
		row = cut(row, columns)
		title := !strings.HasPrefix(row, " ") && !strings.Contains(row, "│")
		row = strings.ReplaceAll(row, " ", "\u00a0")
		mark, _ := utf8.DecodeRuneInString(strings.TrimLeft(row, "\u00a0"))
		switch color := colors[mark]; {
		case row == "":
			y += lineHeight
		case color != "":
			before, after, _ := strings.Cut(row, string(mark))
			text(html.EscapeString(before)+`<tspan fill="`+color+`">`+string(mark)+`</tspan>`+html.EscapeString(after), "")
		case title:
			text(html.EscapeString(row), ` font-weight="700" fill="#ffffff"`)
		default:
			line := html.EscapeString(row)
			line = strings.Replace(line, "│", `<tspan fill="#57c98a">│`, 1)
			if strings.Contains(line, "<tspan") {
				line += "</tspan>"
			}
			text(line, "")
		}
	}
	out.WriteString("</g>\n</svg>\n")
	return out.Bytes()
}
