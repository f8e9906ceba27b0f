package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// printable replaces the characters that could control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// lines writes a line for each change.
type lines struct {
	out  io.Writer
	last map[string]string
}

func (l *lines) show(rows []row) {
	for _, r := range rows {
		if text := printable(r.text()); l.last[r.id] != text {
			fmt.Fprintf(l.out, "%-20s %s\n", printable(r.name), text)
			l.last[r.id] = text
		}
	}
}

func (*lines) close() {}

// table is a live table on a terminal.
type table struct {
	progress *mpb.Progress
	bars     map[string]*mpb.Bar

	mu   sync.Mutex // mpb draws from a goroutine of its own
	text map[string]string
}

func newTable(out io.Writer, opts ...mpb.ContainerOption) *table {
	opts = append([]mpb.ContainerOption{mpb.WithOutput(out), mpb.WithWidth(76)}, opts...)
	return &table{progress: mpb.New(opts...), bars: map[string]*mpb.Bar{}, text: map[string]string{}}
}

func (t *table) show(rows []row) {
	there := map[string]bool{}
	for _, r := range rows {
		there[r.id] = true
		t.mu.Lock()
		t.text[r.id] = printable(r.text())
		t.mu.Unlock()
		if t.bars[r.id] == nil {
			t.bars[r.id] = t.newBar(r)
		}
		t.bars[r.id].SetCurrent(r.stage())
	}
	for id, bar := range t.bars {
		if !there[id] {
			bar.Abort(true)
			delete(t.bars, id)
		}
	}
}

func (t *table) newBar(r row) *mpb.Bar {
	// A bar whose total is set later does not end when it is full: what runs may stop again.
	bar := t.progress.New(0, mpb.BarStyle().Lbound("│").Filler("█").Tip("█").Padding("░").Rbound("│"),
		mpb.PrependDecorators(
			decor.Name(printable(r.name), decor.WC{C: decor.DindentRight | decor.DextraSpace | decor.DSyncWidth}),
			decor.Any(func(decor.Statistics) string {
				t.mu.Lock()
				defer t.mu.Unlock()
				return t.text[r.id]
			}, decor.WC{C: decor.DindentRight | decor.DextraSpace, W: 24}),
		))
	bar.SetTotal(stages, false)
	return bar
}

// close leaves the table as it is.
func (t *table) close() {
	for _, bar := range t.bars {
		bar.Abort(false)
	}
	t.progress.Wait()
}
