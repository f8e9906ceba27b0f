package client

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/openapi"
)

// hostileServer answers each connection with a function, and counts what it could send.
type hostileServer struct {
	net.Listener
	url    string
	sent   atomic.Int64
	opened atomic.Int64
	mu     sync.Mutex
	conns  []net.Conn
	done   sync.WaitGroup
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.sent.Add(int64(n))
	return n, err
}

// serveHostile listens on a loopback address. With a certificate it speaks TLS and agrees on HTTP/2.
func serveHostile(t *testing.T, certificate *tls.Certificate, answer func(net.Conn)) *hostileServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &hostileServer{Listener: listener, url: "http://" + listener.Addr().String()}
	if certificate != nil {
		s.url = "https://" + listener.Addr().String()
	}
	s.done.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.opened.Add(1)
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			s.done.Go(func() {
				defer conn.Close()
				if certificate == nil {
					answer(countedConn{conn, &s.sent})
					return
				}
				secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate}, NextProtos: []string{"h2"}})
				if secure.Handshake() == nil {
					answer(countedConn{secure, &s.sent})
				}
			})
		}
	})
	return s
}

// stop ends all connections and waits for their functions.
func (s *hostileServer) stop() {
	_ = s.Close()
	s.mu.Lock()
	for _, conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

// readRequest reads the head of a request.
func readRequest(conn net.Conn) bool {
	_, err := http.ReadRequest(bufio.NewReader(conn))
	return err == nil
}

// sends answers each request with a text and closes the connection.
func sends(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if readRequest(conn) {
			_, _ = io.WriteString(conn, text)
		}
	}
}

// repeats sends a text and then another one for ever.
func repeats(first, then string) func(net.Conn) {
	block := []byte(strings.Repeat(then, max(1, 16<<10/len(then))))
	return func(conn net.Conn) {
		if !readRequest(conn) {
			return
		}
		_, err := io.WriteString(conn, first)
		for err == nil {
			_, err = conn.Write(block)
		}
	}
}

// hangs sends a text and waits for the client to give up.
func hangs(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if readRequest(conn) {
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// trickles sends a text, and then one more byte of another one, over and over, in each tenth of a short timeout.
func trickles(text, then string) func(net.Conn) {
	return func(conn net.Conn) {
		if !readRequest(conn) {
			return
		}
		_, err := io.WriteString(conn, text)
		for i := 0; err == nil; i++ {
			time.Sleep(short / 10)
			_, err = conn.Write([]byte{then[i%len(then)]})
		}
	}
}

// resets sends a text and resets the connection.
func resets(text string) func(net.Conn) {
	return func(conn net.Conn) {
		if readRequest(conn) {
			_, _ = io.WriteString(conn, text)
			_ = conn.(countedConn).Conn.(*net.TCPConn).SetLinger(0)
		}
	}
}

// replies sends a complete answer.
func replies(status int, media, body string) func(net.Conn) {
	return sends(fmt.Sprintf("HTTP/1.1 %d x\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", status, media, len(body), body))
}

// short is the timeout of an attempt where the timeout is what ends it.
const short = 200 * time.Millisecond

const (
	jsonHead    = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
	chunkedHead = jsonHead + "Transfer-Encoding: chunked\r\n\r\n"
	eventsHead  = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
)

// hostile is a server and what becomes of a call to it.
type hostile struct {
	name    string
	answer  func(net.Conn)
	h2      bool
	call    func(context.Context, *Client) error // CVMs.Get if it is nil
	timeout time.Duration                        // of the attempt, or of a watch; a minute if it is 0
	is      error                                // the error is this one, unless it is nil
	as      any                                  // a pointer to a type of error
	text    string                               // of the error
	works   bool                                 // there is no error
	sent    int64                                // bytes that the server may get rid of; buffers of sockets take some MiB
}

func listCVMs(ctx context.Context, c *Client) error { _, err := c.CVMs.List(ctx, nil); return err }

func deleteCVM(ctx context.Context, c *Client) error { return c.CVMs.Delete(ctx, "web-1") }

// watchFor returns a function that watches for a time, or for a longer one until the error has a text.
func watchFor(text string) func(context.Context, *Client) error {
	return func(ctx context.Context, c *Client) (err error) {
		for patience := short; ; patience *= 5 {
			ctx, cancel := context.WithTimeout(ctx, patience)
			err = errors.New("the watch ended without an error")
			for _, failure := range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running"}) {
				err = cmp.Or(failure, err)
			}
			cancel()
			if strings.Contains(err.Error(), text) || patience > 100*short {
				return err
			}
		}
	}
}

func gzipped(size int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(make([]byte, size))
	_ = w.Close()
	return b.String()
}

// frame is a frame of HTTP/2.
func frame(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags, byte(stream >> 24), byte(stream >> 16), byte(stream >> 8), byte(stream)}) + payload
}

// The kinds of frames, and what a server begins with.
const (
	frameData, frameHeaders, frameReset, frameSettings, framePush, framePing, frameGoAway, frameWindow, frameMore = 0, 1, 3, 4, 5, 6, 7, 8, 9
	endStream, endHeaders                                                                                         = 1, 4
	status200                                                                                                     = "\x88" // in HPACK
)

// afterRequest reads the preface and frames up to the headers of the first request, sends a text, and then what follows
// over and over, if there is any; else it waits for the client to give up.
func afterRequest(text, then string) func(net.Conn) {
	return func(conn net.Conn) {
		preface := make([]byte, len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
		if _, err := io.ReadFull(conn, preface); err != nil {
			return
		}
		_, err := io.WriteString(conn, frame(frameSettings, 0, 0, ""))
		for err == nil {
			head := make([]byte, 9)
			if _, err = io.ReadFull(conn, head); err != nil {
				return
			}
			_, err = io.CopyN(io.Discard, conn, int64(head[0])<<16|int64(head[1])<<8|int64(head[2]))
			if head[3] == frameHeaders {
				break
			}
		}
		if err == nil {
			_, err = io.WriteString(conn, text)
		}
		var reader sync.WaitGroup
		defer reader.Wait()
		defer conn.Close()
		reader.Go(func() { _, _ = io.Copy(io.Discard, conn) }) // acknowledgements
		if then == "" {
			reader.Wait()
			return
		}
		block := []byte(strings.Repeat(then, max(1, 16<<10/len(then))))
		for err == nil {
			_, err = conn.Write(block)
		}
	}
}

func hostiles() []hostile {
	const mib = 1 << 20
	var api *APIError
	var decode *DecodeError
	var large *BodyTooLargeError
	deadline := context.DeadlineExceeded
	json := func(body string) func(net.Conn) { return replies(200, "application/json", body) }
	return []hostile{
		// Heads.
		{name: "endless headers", answer: repeats("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"), text: "exceeded", sent: 8 * mib},
		{name: "one endless header", answer: repeats("HTTP/1.1 200 OK\r\nX-A: ", "b"), text: "exceeded", sent: 8 * mib},
		{name: "an endless status line", answer: repeats("HTTP/1.1 200 ", "O"), text: "exceeded", sent: 8 * mib},
		{name: "early hints without end", answer: repeats("", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), text: "exceeded", sent: 8 * mib},
		{name: "continue without end", answer: repeats("", "HTTP/1.1 100 Continue\r\n\r\n"), text: "exceeded", sent: 8 * mib},
		{name: "a head in drops", answer: trickles("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"), timeout: short, is: deadline},
		{name: "silence", answer: hangs(""), timeout: short, is: deadline},
		{name: "no HTTP", answer: hangs("SSH-2.0-OpenSSH_9.9\r\n"), text: "malformed"},
		{name: "HTML without a head", answer: sends("<html>hello</html>"), text: "malformed"},
		{name: "TLS where there is none", answer: sends("\x15\x03\x01\x00\x02\x02\x28"), text: "malformed"},
		{name: "a later protocol", answer: sends("HTTP/7.0 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"), works: true},
		{name: "status 20x", answer: sends("HTTP/1.1 20x OK\r\n\r\n"), text: "malformed"},
		{name: "status 99", answer: sends("HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n"), timeout: short, text: ""},
		{name: "status 999", answer: replies(999, "application/json", "{}"), as: &api},
		{name: "NUL in a header", answer: sends(jsonHead + "X-A: b\x00c\r\n\r\n"), text: "malformed"},
		{name: "a header without a colon", answer: sends(jsonHead + "nonsense\r\n\r\n"), text: "malformed"},
		// Connections.
		{name: "reset at once", answer: func(conn net.Conn) { _ = conn.(countedConn).Conn.(*net.TCPConn).SetLinger(0) }, text: "CVMs.Get: "},
		{name: "closed without an answer", answer: sends(""), is: io.EOF},
		{name: "reset in the head", answer: resets("HTTP/1.1 200 OK\r\nX-A: "), text: "CVMs.Get: "},
		{name: "closed in the head", answer: sends("HTTP/1.1 200 OK\r\nX-A: "), is: io.ErrUnexpectedEOF},
		{name: "reset in the body", answer: resets(jsonHead + "Content-Length: 100\r\n\r\n{"), text: "CVMs.Get: "},
		// Lengths.
		{name: "a length too short", answer: sends(jsonHead + "Content-Length: 5\r\n\r\n" + cvmJSON), is: ErrDecode},
		{name: "a length too long", answer: sends(jsonHead + "Content-Length: 5000\r\n\r\n" + cvmJSON), is: io.ErrUnexpectedEOF},
		{name: "a length too long, and silence", answer: hangs(jsonHead + "Content-Length: 5000\r\n\r\n" + cvmJSON), timeout: short, is: deadline},
		{name: "a negative length", answer: sends(jsonHead + "Content-Length: -1\r\n\r\n" + cvmJSON), text: "Content-Length"},
		{name: "two lengths", answer: sends(jsonHead + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n" + cvmJSON), text: "Content-Length"},
		{name: "a length of no number", answer: sends(jsonHead + "Content-Length: 1e3\r\n\r\n" + cvmJSON), text: "Content-Length"},
		{name: "a length beyond all memory", answer: repeats(jsonHead+"Content-Length: 1152921504606846976\r\n\r\n[", " "), as: &large, sent: 48 * mib},
		{name: "a body without end", answer: repeats(jsonHead+"\r\n[", " "), as: &large, sent: 48 * mib},
		{name: "a body in drops", answer: trickles(jsonHead+"\r\n[", " "), timeout: short, is: deadline},
		{name: "a bomb of gzip", answer: sends(jsonHead + "Content-Encoding: gzip\r\n\r\n" + gzipped(64*mib)), as: &large},
		{name: "gzip that is none", answer: sends(jsonHead + "Content-Encoding: gzip\r\n\r\n" + cvmJSON), text: "gzip"},
		{name: "gzip that is torn", answer: sends(jsonHead + "Content-Encoding: gzip\r\n\r\n" + gzipped(mib)[:200]), is: io.ErrUnexpectedEOF},
		// Chunks.
		{name: "a chunk of no number", answer: sends(chunkedHead + "zz\r\n{}\r\n0\r\n\r\n"), text: "chunk"},
		{name: "a chunk beyond all memory", answer: repeats(chunkedHead+"7ffffffffffffff0\r\n[", " "), as: &large, sent: 48 * mib},
		{name: "a chunk larger than any number", answer: sends(chunkedHead + "fffffffffffffffff\r\n[]"), text: "chunk"},
		{name: "a chunk too short", answer: sends(chunkedHead + "2\r\n{}}}}\r\n0\r\n\r\n"), text: "chunk"},
		{name: "an endless extension of a chunk", answer: repeats(chunkedHead+"2;", "a"), text: "too long", sent: 8 * mib},
		{name: "chunks of one byte with long extensions", answer: repeats(chunkedHead, "1;"+strings.Repeat("a", 2000)+"\r\n \r\n"), text: "chunk", sent: 8 * mib},
		{name: "no last chunk", answer: sends(chunkedHead + "2\r\n{}\r\n"), is: io.ErrUnexpectedEOF},
		{name: "endless trailers", answer: repeats(chunkedHead+"2\r\n{}\r\n0\r\n", "X-A: b\r\n"), text: "trailer", sent: 8 * mib},
		{name: "chunks and a length", answer: sends(jsonHead + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(cvmJSON), cvmJSON)), works: true},
		// Statuses.
		{name: "a redirection to itself", answer: sends("HTTP/1.1 302 Found\r\nLocation: /api/v1/cvms/web-1\r\nContent-Length: 0\r\n\r\n"), as: &api},
		{name: "a redirection elsewhere", answer: sends("HTTP/1.1 307 x\r\nLocation: https://example.invalid/\r\nContent-Length: 0\r\n\r\n"), as: &api},
		{name: "not modified", answer: sends("HTTP/1.1 304 Not Modified\r\n\r\n" + cvmJSON), as: &api},
		{name: "another protocol", answer: sends("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n{}"), as: &api},
		{name: "no content, with a body", answer: sends("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" + cvmJSON), is: ErrDecode},
		{name: "no content, with a body, of a deletion", answer: sends("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" + cvmJSON), call: deleteCVM, works: true},
		{name: "a failure without end", answer: repeats("HTTP/1.1 500 x\r\n\r\n", "a"), as: &api, sent: 12 * mib},
		{name: "a failure of a million details", answer: replies(400, "application/json", `{"message":"m","details":[`+strings.Repeat("{},", 300_000)+"{}]}"), as: &api},
		{name: "a failure nested deeply", answer: replies(400, "application/json", strings.Repeat(`{"detail":`, 50_000)), as: &api},
		// Content.
		{name: "HTML", answer: replies(200, "text/html", "<html>captive portal</html>"), as: &decode},
		{name: "a stream of events", answer: repeats(eventsHead, "data: x\n\n"), text: "event stream", sent: 8 * mib},
		{name: "nothing", answer: json(""), is: ErrDecode},
		{name: "null", answer: json("null"), is: ErrDecode},
		{name: "a list", answer: json("[]"), is: ErrDecode},
		{name: "NUL bytes", answer: json(`{"id":"a` + "\x00" + `b"}`), is: ErrDecode},
		{name: "nothing but NUL bytes", answer: json(strings.Repeat("\x00", 1000)), is: ErrDecode},
		{name: "nested lists", answer: json(strings.Repeat("[", mib)), is: strictjson.ErrRules},
		{name: "nested objects in a member", answer: json(`{"id":"a","x":` + strings.Repeat(`{"a":`, 100_000) + "0" + strings.Repeat("}", 100_000) + "}"), is: strictjson.ErrRules},
		{name: "a number of a million digits", answer: json(`{"id":` + strings.Repeat("9", mib) + "}"), is: strictjson.ErrRules},
		{name: "a number of a million zeros", answer: json(`{"vcpu":0.` + strings.Repeat("0", mib) + "}"), is: strictjson.ErrRules},
		{name: "millions of members", answer: json(`{"a":{` + strings.Repeat(`"a":0,`, 3*mib) + `"b":0}}`), is: strictjson.ErrRules},
		{name: "millions of objects", answer: json("[" + strings.Repeat("{},", 8*mib) + "{}]"), call: listCVMs, is: strictjson.ErrRules},
		{name: "millions of lists in an item", answer: json(`{"items":[{"x":[` + strings.Repeat("[],", 8*mib) + "[]]}]}"), call: listCVMs, is: strictjson.ErrRules},
		{name: "members twice", answer: json(`{"id":"cvm_1","id":"cvm_2"}`), is: strictjson.ErrRules},
		{name: "members in two cases", answer: json(`{"id":"cvm_1","ID":"cvm_2"}`), is: strictjson.ErrRules},
		{name: "members by an escape", answer: json(`{"id":"cvm_1","\u0069d":"cvm_2"}`), is: strictjson.ErrRules},
		{name: "a page of too many", answer: json(`{"items":[` + strings.Repeat("{},", 2000) + "{}]}"), call: listCVMs, is: strictjson.ErrRules},
		// Streams.
		{name: "a stream: an endless line", call: watchFor("longer than"), answer: repeats(eventsHead+"data: ", "a"), as: &large, sent: 16 * mib},
		{name: "a stream: endless comments", call: watchFor("deadline"), answer: trickles(eventsHead, ": x\n"), is: deadline},
		{name: "a stream: an endless event", call: watchFor("longer than"), answer: repeats(eventsHead, "data: a\n"), as: &large, sent: 16 * mib},
		{name: "a stream: an endless id", call: watchFor("longer than"), answer: repeats(eventsHead+"id: ", "1"), as: &large, sent: 16 * mib},
		{name: "a stream: no end", call: watchFor("deadline"), answer: trickles(eventsHead, "event: state\ndata: {\"status\":\"starting\"}\n\n"), is: deadline},
		{name: "a stream: silence", call: watchFor("deadline"), answer: hangs(eventsHead), is: deadline},
		{name: "a stream: ambiguous events", call: watchFor("differ in case only"), answer: sends(eventsHead + "event: complete\ndata: {\"status\":\"running\",\"Status\":\"error\"}\n\n"), text: "differ in case only"},
		{name: "a stream: one value", call: watchFor("application/json"), answer: json(cvmJSON), text: "application/json"},
		// HTTP/2.
		{name: "2: silence", h2: true, answer: afterRequest("", ""), timeout: short, is: deadline},
		{name: "2: go away", h2: true, answer: afterRequest(frame(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x0benhance your calm"), ""), timeout: short, text: "CVMs.Get: "},
		{name: "2: go away and close", h2: true, answer: func(conn net.Conn) {
			conn = goneConn{conn}
			afterRequest(frame(frameGoAway, 0, 0, "\x00\x00\x00\x01\x00\x00\x00\x02"), "x")(conn)
		}, text: "CVMs.Get: "},
		{name: "2: stream reset", h2: true, answer: afterRequest(frame(frameReset, 0, 1, "\x00\x00\x00\x02"), ""), text: "INTERNAL_ERROR"},
		{name: "2: reset in the body", h2: true, answer: afterRequest(frame(frameHeaders, endHeaders, 1, status200)+frame(frameData, 0, 1, "{")+frame(frameReset, 0, 1, "\x00\x00\x00\x08"), ""), text: "CANCEL"},
		{name: "2: settings without end", h2: true, answer: afterRequest("", frame(frameSettings, 0, 0, "")), timeout: short, is: deadline, sent: 256 * mib},
		{name: "2: pings without end", h2: true, answer: afterRequest("", frame(framePing, 0, 0, "12345678")), timeout: short, is: deadline, sent: 256 * mib},
		{name: "2: endless headers", h2: true, answer: afterRequest(frame(frameHeaders, 0, 1, status200), frame(frameMore, 0, 1, "\x00\x03x-a\x7f\x81\x07"+strings.Repeat("b", 256))), text: "CVMs.Get: ", sent: 16 * mib},
		{name: "2: empty continuations", h2: true, answer: afterRequest(frame(frameHeaders, 0, 1, status200), frame(frameMore, 0, 1, "")), timeout: short, text: "CVMs.Get: ", sent: 256 * mib},
		{name: "2: early hints without end", h2: true, answer: afterRequest("", frame(frameHeaders, endHeaders, 1, "\x08\x03103")), timeout: short, text: "CVMs.Get: ", sent: 64 * mib},
		{name: "2: a body in drops", h2: true, answer: afterRequest(frame(frameHeaders, endHeaders, 1, status200)+frame(frameData, 0, 1, "["), ""), timeout: short, is: deadline},
		{name: "2: empty data without end", h2: true, answer: afterRequest(frame(frameHeaders, endHeaders, 1, status200), frame(frameData, 0, 1, "")), timeout: short, text: "CVMs.Get: ", sent: 256 * mib},
		{name: "2: more than the window", h2: true, answer: afterRequest(frame(frameHeaders, endHeaders, 1, status200), frame(frameData, 0, 1, strings.Repeat(" ", 16<<10))), text: "CVMs.Get: ", sent: 64 * mib},
		{name: "2: a frame too large", h2: true, answer: afterRequest("\xff\xff\xff\x00\x00\x00\x00\x00\x01", "x"), text: "CVMs.Get: ", sent: 64 * mib},
		{name: "2: data for nobody", h2: true, answer: afterRequest(frame(frameData, 0, 9, "x"), ""), text: "CVMs.Get: "},
		{name: "2: a push", h2: true, answer: afterRequest(frame(framePush, endHeaders, 1, "\x00\x00\x00\x02\x82"), ""), text: "CVMs.Get: "},
		{name: "2: a window too large", h2: true, answer: afterRequest(strings.Repeat(frame(frameWindow, 0, 0, "\x7f\xff\xff\xff"), 2), ""), text: "CVMs.Get: "},
		{name: "2: no HTTP/2", h2: true, answer: func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"+cvmJSON) }, text: "CVMs.Get: "},
	}
}

// goneConn fails when an endless answer begins.
type goneConn struct{ net.Conn }

func (c goneConn) Write(p []byte) (int, error) {
	if p[0] == 'x' {
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

// Whatever a server does, a call ends in time with an error that says what happened, and in bounded memory. The table
// is not parallel, because it measures what is allocated.
func TestHostileServers(t *testing.T) {
	table := hostiles()
	require.Greater(t, len(table), 80)
	log.SetOutput(io.Discard) // net/http logs what comes unasked
	defer log.SetOutput(os.Stderr)
	unused := httptest.NewTLSServer(nil) // for its certificate
	defer unused.Close()
	roots := unused.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	for _, tt := range table {
		t.Run(tt.name, func(t *testing.T) {
			var certificate *tls.Certificate
			if tt.h2 {
				certificate = &unused.TLS.Certificates[0]
			}
			s := serveHostile(t, certificate, tt.answer)
			defer s.stop()
			standard := newTransport().(*transport).own
			standard.TLSClientConfig = &tls.Config{RootCAs: roots}
			defer standard.CloseIdleConnections()
			timeout := tt.timeout
			if timeout == 0 {
				timeout = time.Minute
			}
			c, err := New(WithBaseURL(s.url), WithAPIKey(testKey), WithHTTPClient(&http.Client{Transport: standard}), WithoutRetry(), WithTimeout(timeout))
			require.NoError(t, err)
			call := tt.call
			if call == nil {
				call = func(ctx context.Context, c *Client) error { _, err := c.CVMs.Get(ctx, "web-1"); return err }
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err = call(t.Context(), c)
			runtime.ReadMemStats(&after)
			sent := s.sent.Load()
			if tt.works {
				require.NoError(t, err)
			} else {
				require.Error(t, err)
				require.ErrorContains(t, err, tt.text)
				assert.Less(t, len(err.Error()), 4<<10, "bytes of the error")
				assert.NotContains(t, err.Error(), testKey)
			}
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			if tt.as != nil {
				require.ErrorAs(t, err, tt.as)
			}
			if tt.sent == 0 {
				tt.sent = 64 << 20 // what is large here comes with its length
			}
			assert.LessOrEqual(t, sent, tt.sent, "bytes that the server could send")
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200<<20), "bytes allocated")
			assert.LessOrEqual(t, s.opened.Load(), int64(4), "connections") // net/http repeats what was never answered
		})
	}
	// A client goes on after all this.
	c, err := New(WithBaseURL("http://127.0.0.1:1"), WithoutRetry())
	require.NoError(t, err)
	_, err = c.CVMs.List(t.Context(), &openapi.CVMsListParams{})
	require.Error(t, err)
}
