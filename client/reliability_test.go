package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/retryafter"
)

// site is a server that counts how often it did the work of a call.
type site struct{ work int }

// do does the work and answers it. A second deletion finds nothing.
func (s *site) do(req *http.Request) *http.Response {
	s.work++
	switch {
	case req.Method == http.MethodDelete && s.work > 1:
		return reply(404, `{"detail":"not found"}`)
	case req.Method == http.MethodDelete:
		return reply(204, "")
	case req.Method == http.MethodGet:
		return reply(200, cvmJSON)
	}
	return reply(200, vmJSON)
}

// matrixFault is a way in which a request fails. It is given the server, which may do the work before.
type matrixFault struct {
	name string
	fail func(*site, *http.Request) (*http.Response, error)
	// deadline bounds the call; 0 does not. cancelled ends its context at once, or during the first pause.
	deadline   time.Duration
	cancelled  bool
	cancelling bool
	// promised reports that the server said by Retry-After that it did nothing, and did it all the same.
	promised bool
	opts     []CallOption
}

// matrixCall is a call of one retry class.
type matrixCall struct {
	name string
	call func(context.Context, *Client, ...CallOption) error
}

func matrixCalls() []matrixCall {
	get := func(ctx context.Context, c *Client, opts ...CallOption) error {
		_, err := c.CVMs.Get(ctx, "web-1", opts...)
		return err
	}
	return []matrixCall{
		{"safe", get},
		{"idempotent", func(ctx context.Context, c *Client, opts ...CallOption) error {
			_, err := c.CVMs.Start(ctx, "web-1", opts...)
			return err
		}},
		{"idempotent DELETE", func(ctx context.Context, c *Client, opts ...CallOption) error {
			return c.CVMs.Delete(ctx, "web-1", opts...)
		}},
		{"unsafe", func(ctx context.Context, c *Client, opts ...CallOption) error {
			_, err := c.CVMs.Restart(ctx, "web-1", nil, opts...)
			return err
		}},
		{"WithoutRetry", func(ctx context.Context, c *Client, opts ...CallOption) error {
			return get(ctx, c, append(opts, WithoutRetry())...)
		}},
	}
}

func matrixFaults() []matrixFault {
	var all []matrixFault
	status := func(name string, status int, body string, header ...string) {
		all = append(all, matrixFault{name: name, fail: func(*site, *http.Request) (*http.Response, error) { return reply(status, body, header...), nil }})
	}
	failure := func(name string, err error) {
		all = append(all, matrixFault{name: name, fail: func(*site, *http.Request) (*http.Response, error) { return nil, err }})
	}
	after := func(name string, spoil func(*http.Response) (*http.Response, error)) {
		all = append(all, matrixFault{name: name, fail: func(s *site, r *http.Request) (*http.Response, error) { return spoil(s.do(r)) }})
	}
	date := func(in time.Duration) func(*site, *http.Request) (*http.Response, error) {
		return func(*site, *http.Request) (*http.Response, error) {
			return reply(503, "{}", "Retry-After", time.Now().Add(in).UTC().Format(http.TimeFormat)), nil
		}
	}
	for _, code := range []int{400, 401, 402, 403, 404, 405, 406, 410, 413, 422, 465, 466, 467, 468} {
		status(strconv.Itoa(code), code, `{"detail":"no"}`)
	}
	status("409 with error_code", 409, `{"error_code":"ERR-01-004","message":"taken"}`)
	status("409 without error_code", 409, `{"detail":"busy"}`)
	all = append(all, matrixFault{
		name: "409 without error_code, WithConflictWait(10 min)", opts: []CallOption{WithConflictWait(10 * time.Minute)},
		fail: func(*site, *http.Request) (*http.Response, error) { return reply(409, `{"detail":"busy"}`), nil },
	})
	for _, code := range []int{408, 425, 429, 500, 501, 502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 528, 530} {
		status(strconv.Itoa(code), code, "{}")
	}
	status("429 with Retry-After: 5", 429, "{}", "Retry-After", "5")
	status("503 with Retry-After: 5", 503, "{}", "Retry-After", "5")
	all = append(all, matrixFault{name: "503 with Retry-After: a date in 5 s", fail: date(5 * time.Second)})
	status("429 with Retry-After: 120", 429, "{}", "Retry-After", "120")
	status("503 with Retry-After: 120", 503, "{}", "Retry-After", "120")
	all = append(all, matrixFault{name: "503 with Retry-After: a date in 1 h", fail: date(time.Hour)})
	all = append(all, matrixFault{
		name: "503 with Retry-After: 5, deadline in 8 s", deadline: 8 * time.Second,
		fail: func(*site, *http.Request) (*http.Response, error) { return reply(503, "{}", "Retry-After", "5"), nil },
	})
	status("503 with Retry-After that is no time", 503, "{}", "Retry-After", "soon")
	status("502 of a proxy, HTML", 502, "<html><title>502</title></html>", "Content-Type", "text/html")
	for _, code := range []int{301, 302, 303, 307, 308} {
		status(strconv.Itoa(code), code, "", "Location", "https://elsewhere.example/")
	}
	failure("name not found", &net.DNSError{Err: "no such host", Name: "cloud"})
	failure("connection refused", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED})
	failure("TLS: certificate refused", &tls.CertificateVerificationError{Err: errors.New("expired")})
	failure("TLS: alert of the server", &net.OpError{Op: "remote error", Err: tls.AlertError(40)})
	failure("reset before the work", &net.OpError{Op: "read", Err: syscall.ECONNRESET})
	after("reset after the work", func(*http.Response) (*http.Response, error) {
		return nil, &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	})
	after("502 after the work", func(*http.Response) (*http.Response, error) { return reply(502, "{}"), nil })
	all = append(all, matrixFault{name: "503 with Retry-After: 5, after the work", promised: true, fail: func(s *site, r *http.Request) (*http.Response, error) {
		s.do(r)
		return reply(503, "{}", "Retry-After", "5"), nil
	}})
	after("body cut, connection broken", func(r *http.Response) (*http.Response, error) {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"id"`), errReader{io.ErrUnexpectedEOF}))
		return r, nil
	})
	after("body cut, ends as if complete", func(r *http.Response) (*http.Response, error) { return reply(200, `{"id"`), nil })
	after("200 with HTML", func(r *http.Response) (*http.Response, error) {
		return reply(200, "<html></html>", "Content-Type", "text/html"), nil
	})
	after("200 with a stream of events", func(r *http.Response) (*http.Response, error) {
		return reply(200, "", "Content-Type", eventStream), nil
	})
	after("200, longer than the limit", func(*http.Response) (*http.Response, error) {
		r := reply(200, "")
		r.Body = io.NopCloser(io.LimitReader(spaces{}, maxBody+1))
		return r, nil
	})
	silence := func(s *site, r *http.Request) (*http.Response, error) {
		s.do(r)
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	all = append(all,
		matrixFault{name: "no answer, longer than the timeout of an attempt", fail: silence},
		matrixFault{name: "no answer, longer than the deadline of the call (10 s)", fail: silence, deadline: 10 * time.Second},
		matrixFault{name: "context cancelled before the call", fail: silence, cancelled: true},
		matrixFault{name: "context cancelled in the first pause", cancelling: true, fail: func(*site, *http.Request) (*http.Response, error) {
			return reply(503, "{}", "Retry-After", "5"), nil
		}},
	)
	return all
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// outcome is what came of a call.
type outcome struct {
	attempts int
	pauses   string // between the attempts, all together
	err      string
	work     int
}

// suffer makes a call that fails the given number of times, and then would succeed.
func suffer(t *testing.T, f matrixFault, call matrixCall, times int) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if f.deadline > 0 {
			ctx, cancel = context.WithTimeout(ctx, f.deadline)
			defer cancel()
		}
		var (
			s      site
			ended  time.Time
			paused time.Duration
			asked  bool // the server named the pause
		)
		c := newTest(t, func(r *http.Request) (resp *http.Response, err error) {
			if o.attempts++; o.attempts > 1 {
				paused += time.Since(ended)
			}
			defer func() { ended = time.Now() }()
			if o.attempts > times {
				return s.do(r), nil
			}
			if f.cancelling {
				time.AfterFunc(time.Second, cancel)
			}
			if resp, err = f.fail(&s, r); resp != nil {
				_, asked = retryafter.Parse(resp.Header, time.Now())
			}
			return resp, err
		})
		if f.cancelled {
			cancel()
		}
		err := call.call(ctx, c, f.opts...)
		o.work, o.err = s.work, errorKind(err)
		o.pauses = pauseText(t, o.attempts, paused, asked, f)
	})
	return o
}

// pauseText is the sum of the pauses if it follows from the fault, or else its bound, which it must keep.
func pauseText(t *testing.T, attempts int, paused time.Duration, asked bool, f matrixFault) string {
	switch {
	case attempts <= 1:
		return "–"
	case len(f.opts) > 0:
		assert.LessOrEqual(t, paused, 10*time.Minute)
		return "up to 10 min"
	case asked:
		return paused.String()
	}
	bound := time.Duration(0)
	for n := 1; n < attempts; n++ {
		bound += DefaultRetryPolicy().bound(n)
	}
	assert.LessOrEqual(t, paused, bound)
	return "up to " + bound.String()
}

// errorKind is how a caller recognises an error: its type, and what errors.Is finds in it.
func errorKind(err error) string {
	if err == nil {
		return "success"
	}
	var kinds []string
	var (
		api    *APIError
		decode *DecodeError
		large  *BodyTooLargeError
		broken *TransportError
	)
	switch {
	case errors.As(err, &api):
		kinds = append(kinds, "`*APIError`")
	case errors.As(err, &decode):
		kinds = append(kinds, "`*DecodeError`")
	case errors.As(err, &large):
		kinds = append(kinds, "`*BodyTooLargeError`")
	case errors.As(err, &broken):
		kinds = append(kinds, "`*TransportError`")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		kinds = append(kinds, "an error without a type")
	}
	for _, s := range []struct {
		name string
		err  error
	}{
		{"ErrBadRequest", ErrBadRequest}, {"ErrUnauthorized", ErrUnauthorized}, {"ErrForbidden", ErrForbidden}, {"ErrNotFound", ErrNotFound},
		{"ErrConflict", ErrConflict}, {"ErrBusy", ErrBusy}, {"ErrValidation", ErrValidation}, {"ErrRateLimited", ErrRateLimited}, {"ErrServer", ErrServer},
		{"ErrRedirect", ErrRedirect}, {"ErrHashRegistrationRequired", ErrHashRegistrationRequired}, {"ErrHashInvalidOrExpired", ErrHashInvalidOrExpired},
		{"ErrTxVerificationFailed", ErrTxVerificationFailed}, {"ErrHashNotAllowed", ErrHashNotAllowed}, {"ErrDecode", ErrDecode},
		{"context.Canceled", context.Canceled}, {"context.DeadlineExceeded", context.DeadlineExceeded},
	} {
		if errors.Is(err, s.err) {
			kinds = append(kinds, "`"+s.name+"`")
		}
	}
	return strings.Join(kinds, ", ")
}

// streamFaults are how a connection of a watch fails after its first event, or instead of it.
func streamFaults() map[string]func(*http.Request) (*http.Response, error) {
	broken := func(body io.Reader) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return sseReply(body), nil }
	}
	answer := func(status int, header ...string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return reply(status, "{}", header...), nil }
	}
	return map[string]func(*http.Request) (*http.Response, error){
		"1 connection refused": func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		},
		"2 connection broken": func(*http.Request) (*http.Response, error) {
			return sseReply(io.MultiReader(strings.NewReader(state("starting")), errReader{io.ErrUnexpectedEOF})), nil
		},
		"3 stream ended before the target": func(*http.Request) (*http.Response, error) {
			return sseReply(strings.NewReader(state("starting"))), nil
		},
		"4 silence": func(r *http.Request) (*http.Response, error) {
			reader, writer := io.Pipe()
			context.AfterFunc(r.Context(), func() { writer.CloseWithError(r.Context().Err()) })
			return sseReply(reader), nil
		},
		"5 event that is not JSON": func(*http.Request) (*http.Response, error) {
			return sseReply(strings.NewReader("event: state\ndata: {\n\n")), nil
		},
		"6 event without end":        broken(io.LimitReader(spaces{}, 1<<30)),
		"7 401":                      answer(401),
		"8 404":                      answer(404),
		"9 503":                      answer(503),
		"A 503 with Retry-After: 5":  answer(503, "Retry-After", "5"),
		"B 200 with JSON, no stream": answer(200),
		"C TLS: certificate refused": func(*http.Request) (*http.Response, error) {
			return nil, &tls.CertificateVerificationError{Err: errors.New("expired")}
		},
	}
}

// watched is what comes of a watch whose connections fail the given number of times; the next one reaches the target.
func watched(t *testing.T, fail func(*http.Request) (*http.Response, error), times int) (text string) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		connections := 0
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			if connections++; connections > times {
				return sseReply(strings.NewReader(complete)), nil
			}
			return fail(r)
		}, WithoutRetry())
		var err error
		for _, err = range c.CVMs.Watch(ctx, "web-1", WatchOptions{Target: "running"}) {
			if err != nil {
				break
			}
		}
		count := strconv.Itoa(connections)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			count = "until the context ends"
		}
		text = count + " | " + errorKind(err)
	})
	return text
}

func streamTable(t *testing.T) string {
	var table strings.Builder
	table.WriteString("\n| fault of `CVMs.Watch` | connections | error | if the fault occurs once | result |\n| --- | --- | --- | --- | --- |\n")
	faults := streamFaults()
	for _, name := range slices.Sorted(maps.Keys(faults)) {
		fmt.Fprintf(&table, "| %s | %s | %s |\n", name[2:], watched(t, faults[name], 1<<30), watched(t, faults[name], 1))
	}
	return table.String()
}

const reliabilityDocument = "../docs/reliability.md"

// The table of docs/reliability.md is what the client does. -update writes it.
func TestReliability(t *testing.T) {
	var table strings.Builder
	table.WriteString("| fault | class | attempts | pauses | error | work done | if the fault occurs once | work done |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	type row struct {
		classes []string
		text    string
	}
	var names []string
	var before []row
	flush := func() {
		for i, r := range before {
			name, classes := strings.Join(names, ", "), strings.Join(r.classes, ", ")
			if i > 0 {
				name = ""
			}
			if len(r.classes) == len(matrixCalls()) {
				classes = "all"
			}
			fmt.Fprintf(&table, "| %s | %s | %s\n", name, classes, r.text)
		}
		names, before = nil, nil
	}
	for _, f := range matrixFaults() {
		var rows []row
		for _, call := range matrixCalls() {
			always, once := suffer(t, f, call, 1<<30), suffer(t, f, call, 1)
			if call.name == "unsafe" && !f.promised {
				assert.LessOrEqual(t, always.work, 1, f.name)
				assert.LessOrEqual(t, once.work, 1, f.name)
			}
			attempts := strconv.Itoa(always.attempts)
			if len(f.opts) > 0 {
				attempts = "until then"
			}
			text := fmt.Sprintf("%s | %s | %s | %d | %s | %d |", attempts, always.pauses, always.err, always.work, once.err, once.work)
			if i := slices.IndexFunc(rows, func(r row) bool { return r.text == text }); i >= 0 {
				rows[i].classes = append(rows[i].classes, call.name)
				continue
			}
			rows = append(rows, row{[]string{call.name}, text})
		}
		if !reflect.DeepEqual(rows, before) {
			flush()
		}
		names, before = append(names, f.name), rows
	}
	flush()
	table.WriteString(streamTable(t))
	const begin, end = "<!-- matrix: go test ./client -run TestReliability -update -->\n", "<!-- end of the matrix -->"
	document, err := os.ReadFile(reliabilityDocument)
	require.NoError(t, err)
	document = bytes.ReplaceAll(document, []byte("\r\n"), []byte("\n"))
	head, rest, found := bytes.Cut(document, []byte(begin))
	require.True(t, found, "no place for the table")
	held, after, found := bytes.Cut(rest, []byte(end))
	require.True(t, found, "no end of the table")
	if *update {
		require.NoError(t, os.WriteFile(reliabilityDocument, slices.Concat(head, []byte(begin), []byte(table.String()), []byte(end), after), 0o644))
		return
	}
	assert.Equal(t, table.String(), string(held), "run: go test ./client -run TestReliability -update")
}
