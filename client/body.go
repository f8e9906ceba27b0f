package client

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

const (
	// maxBody limits a response. The longest ones, attestations with their event logs, have a few MiB.
	maxBody = 32 << 20
	// maxErrorBody limits the part of an error response that is kept.
	maxErrorBody = 1 << 20
)

// bodyLimit returns the limit of an operation's response; rt may be nil.
func (rt *route) bodyLimit() int64 {
	if rt == nil || rt.limit == 0 {
		return maxBody
	}
	return rt.limit
}

// BodyTooLargeError is returned if a response is longer than the client reads.
type BodyTooLargeError struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// Limit is the limit in bytes.
	Limit int64
}

func (e *BodyTooLargeError) Error() string {
	return fmt.Sprintf("%s: the response is longer than %d bytes", e.Operation, e.Limit)
}

// buffered is the body of a response that has been read already.
type buffered struct {
	bytes.Reader
	data []byte
}

func (*buffered) Close() error { return nil }

func newBuffered(data []byte) *buffered {
	b := &buffered{data: data}
	b.Reset(data)
	return b
}

// readAll reads a body of at most limit bytes. more reports whether the body is longer.
func readAll(resp *http.Response, limit int64) (data []byte, more bool, err error) {
	if n := resp.ContentLength; n >= 0 && n <= limit {
		// One byte more than announced, so that the end is seen without growing.
		data = make([]byte, 0, n+1)
	} else {
		data = make([]byte, 0, 4096)
	}
	for {
		if int64(len(data)) > limit {
			return data[:limit], true, nil
		}
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		room := data[len(data):min(int64(cap(data)), limit+1)]
		n, err := resp.Body.Read(room)
		data = data[:len(data)+n]
		if err == io.EOF {
			if int64(len(data)) > limit {
				return data[:limit], true, nil
			}
			return data, false, nil
		}
		if err != nil {
			return data, false, err
		}
	}
}
