package phalatest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Transport serves requests without a network: each runs the server in a goroutine of its own, which ends
// with the answer, with the context of the request, or when the body of the answer is closed. Within
// testing/synctest it needs no real time.
func (s *Server) Transport() http.RoundTripper { return memoryTransport{s.ServeHTTP, &s.memory} }

// memoryTransport serves requests in goroutines that it counts.
type memoryTransport struct {
	serve   http.HandlerFunc
	running *sync.WaitGroup
}

var errConnectionReset = errors.New("connection reset by the fake cloud")

func (t memoryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in := req.Clone(ctx)
	in.RequestURI = req.URL.RequestURI()
	reader, writer := io.Pipe()
	w := &memoryWriter{header: http.Header{}, pipe: writer, ready: make(chan struct{})}
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		defer cancel()
		if req.Body != nil {
			defer req.Body.Close()
		}
		w.run(t.serve, in)
	}()
	// Not ctx, which the server ends as soon as it has answered.
	select {
	case <-w.ready:
	case <-req.Context().Done():
	}
	if err := req.Context().Err(); err != nil {
		_ = reader.CloseWithError(err)
		return nil, err
	}
	if w.failed != nil {
		return nil, w.failed
	}
	stop := context.AfterFunc(ctx, func() {
		if req.Context().Err() != nil {
			_ = reader.CloseWithError(req.Context().Err())
		}
	})
	return &http.Response{
		Status: strconv.Itoa(w.status) + " " + http.StatusText(w.status), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, ContentLength: -1, Request: req,
		Body: &memoryBody{PipeReader: reader, cancel: cancel, stop: stop},
	}, nil
}

// memoryBody ends the server's goroutine when it is closed.
type memoryBody struct {
	*io.PipeReader
	cancel context.CancelFunc
	stop   func() bool
}

func (b *memoryBody) Close() error {
	b.stop()
	b.cancel()
	return b.PipeReader.Close()
}

// memoryWriter hands the headers over once, and then the body through a pipe.
type memoryWriter struct {
	header http.Header
	pipe   *io.PipeWriter
	once   sync.Once
	ready  chan struct{}
	status int
	sent   http.Header
	failed error
}

// run serves the request. A handler that aborts cuts the connection.
func (w *memoryWriter) run(serve http.HandlerFunc, r *http.Request) {
	defer func() {
		err := error(nil)
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			err = errConnectionReset
			w.once.Do(func() { w.failed = err; close(w.ready) })
		}
		w.WriteHeader(http.StatusOK)
		_ = w.pipe.CloseWithError(err)
	}()
	buffered := &bufferedWriter{memoryWriter: w, Writer: bufio.NewWriterSize(w.pipe, 4096)}
	serve(buffered, r)
	_ = buffered.Writer.Flush()
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

// bufferedWriter collects small writes until they are flushed.
type bufferedWriter struct {
	*memoryWriter
	*bufio.Writer
}

func (w *bufferedWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.Writer.Write(p)
}

// Flush sends what has been written.
func (w *bufferedWriter) Flush() {
	w.WriteHeader(http.StatusOK)
	_ = w.Writer.Flush()
}
