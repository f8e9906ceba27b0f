package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/interleave"
	"github.com/phala-go/phala/internal/sse"
)

func read(r io.Reader, limit int) (events []string, err error) {
	reader := sse.NewReader(r, limit)
	for {
		e, err := reader.Next()
		if err == io.EOF {
			return events, nil
		}
		if err != nil {
			return events, err
		}
		events = append(events, fmt.Sprintf("%s|%s|%s", e.Name, e.Data, e.ID))
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		stream string
		want   []string
	}{
		"nothing":           {"", nil},
		"one":               {"event: state\ndata: {}\n\n", []string{"state|{}|"}},
		"no name":           {"data: a\n\n", []string{"message|a|"}},
		"byte order mark":   {"\xEF\xBB\xBFdata: a\n\n", []string{"message|a|"}},
		"carriage returns":  {"data: a\r\rdata: b\r\r", []string{"message|a|", "message|b|"}},
		"both":              {"data: a\r\n\r\ndata: b\r\n\r\n", []string{"message|a|", "message|b|"}},
		"many lines":        {"data: a\ndata:\ndata:  b\n\n", []string{"message|a\n\n b|"}},
		"comment":           {": keep-alive\n\n:\ndata: a\n\n", []string{"message|a|"}},
		"no data":           {"event: x\nid: 1\n\ndata: a\n\n", []string{"message|a|1"}},
		"empty data":        {"data\n\n", []string{"message||"}},
		"id stays":          {"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []string{"message|a|1", "message|b|1", "message|c|"}},
		"id with NUL":       {"id: 1\x002\ndata: a\n\n", []string{"message|a|"}},
		"unknown field":     {"foo: bar\ndata: a\n\n", []string{"message|a|"}},
		"colons":            {"data: a: b\n\n", []string{"message|a: b|"}},
		"torn event":        {"data: a\n\ndata: b\n", []string{"message|a|"}},
		"torn line":         {"data: a\n\ndata: b", []string{"message|a|"}},
		"last name counts":  {"event: a\nevent: b\ndata: c\n\n", []string{"b|c|"}},
		"mark only at once": {"data: a\n\n\xEF\xBB\xBFdata: b\n\n", []string{"message|a|"}},
	} {
		for reader, r := range map[string]io.Reader{
			"whole": strings.NewReader(tt.stream), "bytes": iotest.OneByteReader(strings.NewReader(tt.stream)),
		} {
			got, err := read(r, 0)
			require.NoError(t, err, name)
			assert.Equal(t, tt.want, got, "%s, %s", name, reader)
		}
	}
}

func TestReader_BoundsAnEvent(t *testing.T) {
	t.Parallel()
	long := "data: " + strings.Repeat("x", 200<<10) + "\n\n"
	got, err := read(strings.NewReader(long+long), 0)
	require.NoError(t, err, "longer than a bufio.Scanner takes")
	assert.Len(t, got, 2)

	var large *sse.TooLargeError
	_, err = read(strings.NewReader(long), 100<<10)
	require.ErrorAs(t, err, &large)
	assert.Equal(t, 100<<10, large.Limit)
	_, err = read(strings.NewReader(strings.Repeat("data: xxxxxxxxxx\n", 100)), 1000)
	require.ErrorAs(t, err, &large, "many short lines are one event")
	_, err = read(strings.NewReader(strings.Repeat(": keep-alive\n\n", 1000)), 1000)
	require.NoError(t, err, "comments do not add up")
}

func TestReaderPassesErrorsOn(t *testing.T) {
	t.Parallel()
	torn := errors.New("connection reset")
	got, err := read(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(torn)), 0)
	require.ErrorIs(t, err, torn)
	assert.Equal(t, []string{"message|a|"}, got)
}

func TestReaderRetry(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"1500": 1500 * time.Millisecond, "x": 0, "": 0, "-1": 0, "+1": 0, "99999999999999": 0} {
		r := sse.NewReader(strings.NewReader("retry: "+text+"\nid: 7\ndata: a\n\n"), 0)
		_, err := r.Next()
		require.NoError(t, err)
		assert.Equal(t, want, r.Retry(), text)
		assert.Equal(t, "7", r.LastID())
	}
}

// A connection that breaks within an event has not delivered it: sending its id when connecting anew would
// skip it.
func TestReader_KeepsTheIDOfTheLastWholeEvent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ stream, want string }{
		"torn event":    {"id: 1\ndata: a\n\nid: 2\ndata: b\n", "1"},
		"without data":  {"id: 1\ndata: a\n\nid: 2\n\n", "2"},
		"taken back":    {"id: 1\ndata: a\n\nid\ndata: b\n\n", ""},
		"before resume": {"data: a\n\n", "0"},
		"only torn":     {"id: 2", "0"},
	} {
		r := sse.NewReader(strings.NewReader(tt.stream), 0)
		r.Resume("0", time.Second)
		for {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		assert.Equal(t, tt.want, r.LastID(), name)
		assert.Equal(t, time.Second, r.Retry(), name)
	}
}

func TestReader_DoesNotCountCommentsWithinAnEvent(t *testing.T) {
	t.Parallel()
	_, err := read(strings.NewReader("data: a\n"+strings.Repeat(": keep-alive\n", 1000)+"\n"), 1000)
	require.NoError(t, err)
	var large *sse.TooLargeError
	_, err = read(strings.NewReader(":"+strings.Repeat("x", 2000)+"\n"), 1000)
	require.ErrorAs(t, err, &large, "one comment is bounded still")
}

// reference reads a whole stream in the plainest way the standard allows.
func reference(stream string) []string {
	stream = strings.TrimPrefix(stream, "\xEF\xBB\xBF")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	var events []string
	var data []string
	name, id := "", ""
	for _, line := range lines[:len(lines)-1] {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != nil {
				if name == "" {
					name = "message"
				}
				events = append(events, fmt.Sprintf("%s|%s|%s", name, strings.Join(data, "\n"), id))
			}
			data, name = nil, ""
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return events
}

func FuzzReader(f *testing.F) {
	for _, s := range []string{"data: a\n\n", "event: x\r\ndata: a\rdata\n\n", "\xEF\xBB\xBFid: 1\n\ndata: b\n\n", ":\r\n\r\r\n", "retry: 10\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, stream string) {
		if len(stream) > 1<<16 {
			return
		}
		want := reference(stream)
		for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
			got, err := read(r, 0)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("%q: got %q, want %q (%v)", stream, got, want, err)
			}
		}
	})
}

// BenchmarkReader reads 1,000 events against finding the ends of the lines.
func BenchmarkReader(b *testing.B) {
	stream := strings.Repeat("event: state\ndata: {\"status\":\"starting\",\"boot_progress\":\"pulling images\"}\n\n", 1000)
	interleave.Compare(b, func() error {
		r, events := sse.NewReader(strings.NewReader(stream), 0), 0
		for ; ; events++ {
			if _, err := r.Next(); err != nil {
				break
			}
		}
		if events != 1000 {
			return fmt.Errorf("%d events", events)
		}
		return nil
	}, interleave.Baseline{Name: "lines", Do: func() error {
		for rest := []byte(stream); len(rest) > 0; {
			_, rest, _ = bytes.Cut(rest, []byte{'\n'})
		}
		return nil
	}})
	b.ReportMetric(float64(len(stream)), "stream-bytes")
}

func ExampleReader() {
	stream := ": keep-alive\n\nevent: state\ndata: {\"status\":\ndata:  \"running\"}\n\n"
	r := sse.NewReader(strings.NewReader(stream), 0)
	for {
		event, err := r.Next()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", event.Name, event.Data)
	}
	// Output:
	// state "{\"status\":\n \"running\"}"
	// EOF
}
