// Package sse reads server-sent events as the HTML standard defines them (WHATWG HTML, section 9.2).
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// DefaultMaxSize bounds one event, in bytes.
const DefaultMaxSize = 1 << 20

// Event is one event of a stream.
type Event struct {
	// Name is the type of the event; "message" where the stream gives none.
	Name string
	// Data are the data lines, joined by line feeds.
	Data []byte
	// ID is the last id that the stream has given, in this event or before.
	ID string
}

// TooLargeError is returned for an event that is longer than the reader takes.
type TooLargeError struct {
	// Limit in bytes.
	Limit int
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("an event of more than %d bytes", e.Limit)
}

// Reader reads the events of a stream, one after the other.
type Reader struct {
	in    *bufio.Reader
	limit int
	begun bool
	skip  bool // the line feed that belongs to the carriage return before
	line  []byte
	data  []byte
	name  string
	named string // the name that was read last
	id    string // as the last field gave it
	last  string // as the last whole event left it
	retry time.Duration
}

// bufferSize is small, because a stream mostly waits, and thousands may.
const bufferSize = 1 << 10

// NewReader reads from r. limit bounds an event in bytes; 0 means [DefaultMaxSize].
func NewReader(r io.Reader, limit int) *Reader {
	if limit <= 0 {
		limit = DefaultMaxSize
	}
	return &Reader{in: bufio.NewReaderSize(r, bufferSize), limit: limit}
}

// Retry is the pause before connecting anew that the stream asks for; 0 where it does not.
func (r *Reader) Retry() time.Duration { return r.retry }

// LastID is the last id that the stream has given, to be sent when connecting anew. The id of an event that
// the stream broke off does not count: it would make the server skip that event.
func (r *Reader) LastID() string { return r.last }

// Resume makes the reader begin with what an earlier connection of the same watch has left.
func (r *Reader) Resume(lastID string, retry time.Duration) {
	r.id, r.last, r.retry = lastID, lastID, retry
}

// Next returns the next event. At the end of the stream it returns io.EOF; what stands there without the
// blank line that ends an event is no event. Data is good until the next call.
func (r *Reader) Next() (Event, error) {
	r.data, r.name = r.data[:0], ""
	size := 0
	for {
		line, err := r.readLine(r.limit - size)
		if err != nil {
			return Event{}, err
		}
		if len(line) > 0 {
			// Comments are not kept, so they do not add up.
			if line[0] != ':' {
				size += len(line)
				r.field(line)
			}
			continue
		}
		size, r.last = 0, r.id
		if len(r.data) == 0 {
			r.name = ""
			continue
		}
		event := Event{Name: r.name, Data: r.data[:len(r.data)-1], ID: r.id}
		if event.Name == "" {
			event.Name = "message"
		}
		return event, nil
	}
}

// field takes one line that is not blank.
func (r *Reader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte{':'})
	value = bytes.TrimPrefix(value, []byte{' '})
	switch string(name) {
	case "event":
		if r.name = r.named; string(value) != r.name { // mostly the name of the event before
			r.name = string(value)
			r.named = r.name
		}
	case "data":
		r.data = append(append(r.data, value...), '\n')
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			r.id = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			r.retry = time.Duration(ms) * time.Millisecond
		}
	}
}

const byteOrderMark = "\xEF\xBB\xBF" // ignored at the very beginning

// readLine returns a line without its end: LF, CR or both. A line that the stream breaks off is io.EOF.
func (r *Reader) readLine(limit int) ([]byte, error) {
	if !r.begun {
		r.begun = true
		if head, err := r.in.Peek(len(byteOrderMark)); err == nil && string(head) == byteOrderMark {
			_, _ = r.in.Discard(len(byteOrderMark))
		}
	}
	r.line = r.line[:0]
	for {
		chunk, err := r.chunk()
		if errors.Is(err, io.EOF) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		if r.skip {
			r.skip = false
			if chunk[0] == '\n' {
				_, _ = r.in.Discard(1)
				continue
			}
		}
		take := chunk
		end := bytes.IndexByte(chunk, '\n')
		if end >= 0 {
			take = chunk[:end]
		}
		if cr := bytes.IndexByte(take, '\r'); cr >= 0 {
			take, end = chunk[:cr], cr
		}
		if len(r.line)+len(take) > limit {
			return nil, &TooLargeError{Limit: r.limit}
		}
		r.line = append(r.line, take...)
		if end < 0 {
			_, _ = r.in.Discard(len(chunk))
			continue
		}
		r.skip = chunk[end] == '\r'
		_, _ = r.in.Discard(end + 1)
		return r.line, nil
	}
}

// chunk returns what is there to read, at least a byte.
func (r *Reader) chunk() ([]byte, error) {
	if _, err := r.in.Peek(1); err != nil {
		return nil, err
	}
	return r.in.Peek(r.in.Buffered())
}
