// Package inmemory serves HTTP requests within the process like a network, with streams, cut connections, and clients that
// disconnect. Within testing/synctest it needs no real time.
package inmemory

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Transport serves each request in a goroutine of its own, which ends with the response, with the context of the request,
// or when the body of the response is closed. A handler that panics with http.ErrAbortHandler cuts the connection.
type Transport struct {
	// Handler answers the requests.
	Handler http.Handler
	// Running counts the goroutines.
	Running *sync.WaitGroup
}

var errReset = errors.New("connection reset by the fake cloud")

// RoundTrip serves one request.
func (t Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(req.Context())
	in := req.Clone(ctx)
	in.RequestURI = req.URL.RequestURI()
	reader, pipe := io.Pipe()
	w := &writer{header: http.Header{}, pipe: pipe, ready: make(chan struct{})}
	t.Running.Add(1)
	go func() {
		defer t.Running.Done()
		defer cancel()
		if req.Body != nil {
			defer req.Body.Close()
		}
		w.run(req.Context(), t.Handler, in)
	}()
	// Not ctx, which ends as soon as the handler does.
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
		Body: &body{PipeReader: reader, cancel: cancel, stop: stop, ctx: req.Context()},
	}, nil
}

// body ends the server's goroutine when it is closed.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
	stop   func() bool
	ctx    context.Context // of the request
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.PipeReader.Read(p)
	if errors.Is(err, io.ErrClosedPipe) && b.ctx.Err() != nil {
		err = b.ctx.Err()
	}
	return n, err
}

func (b *body) Close() error {
	b.stop()
	b.cancel()
	return b.PipeReader.Close()
}

// writer passes on the headers once, and then the body through a pipe.
type writer struct {
	header http.Header
	pipe   *io.PipeWriter
	once   sync.Once
	ready  chan struct{}
	status int
	sent   http.Header
	failed error
}

// run serves the request of a client whose context is given. A handler that aborts cuts the connection.
func (w *writer) run(client context.Context, serve http.Handler, r *http.Request) {
	defer func() {
		err := error(nil)
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this
				panic(p)
			}
			err = errReset
			w.once.Do(func() { w.failed = err; close(w.ready) })
		}
		w.WriteHeader(http.StatusOK)
		if err == nil {
			err = client.Err() // a handler that ends because the client has disconnected has not sent all
		}
		_ = w.pipe.CloseWithError(err)
	}()
	buffered := &bufferedWriter{writer: w, Writer: bufio.NewWriterSize(w.pipe, 4096)}
	serve.ServeHTTP(buffered, r)
	_ = buffered.Writer.Flush()
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.ready)
	})
}

// bufferedWriter collects small writes until they are flushed.
type bufferedWriter struct {
	*writer
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
