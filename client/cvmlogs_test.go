package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/loopback"
)

const (
	loggedCVM = `{"id":"cvm_1","name":"web-1","status":"running","resource":{},"gateway":{},"logs":{
		"serial":"https://logs.example/ser?token=t0p&ch=serial","stdout":"https://logs.example/out?token=t0p","stderr":null}}`
	loggedContainers = `{"is_online":true,"containers":[
		{"id":"c1","names":["/db"],"image":"","image_id":"","created":1,"state":"","status":"","log_endpoint":null},
		{"id":"c2","names":["/other","/web"],"image":"","image_id":"","created":1,"state":"","status":"","log_endpoint":"https://logs.example/logs/web"}]}`
)

// logCloud is a client whose cloud knows one CVM, and whose log host is a function.
func logCloud(t *testing.T, host roundTripper, opts ...Option) *Client {
	t.Helper()
	return newTest(t, func(r *http.Request) (*http.Response, error) {
		switch {
		case r.URL.Host != "cloud-api.phala.com":
			return host(r)
		case strings.HasSuffix(r.URL.Path, "/composition"):
			return reply(200, loggedContainers), nil
		}
		return reply(200, loggedCVM), nil
	}, opts...)
}

func TestLogs_AreFetchedWithoutAnythingOfTheClient(t *testing.T) {
	t.Parallel()
	var got *http.Request
	c := logCloud(t, func(r *http.Request) (*http.Response, error) {
		got = r
		return reply(200, "one\ntwo\n", "Content-Type", "text/plain"), nil
	}, WithHeader("X-Team", "secret"), WithMiddleware(func(_ string, r *http.Request, next RoundTrip) (*http.Response, error) {
		r.Header.Set("Authorization", "Bearer secret")
		return next(r)
	}))
	all := LogOptions{
		Tail: 10, Follow: true, Since: "10m", Until: "2026-01-21T10:00:00+01:00", Timestamps: true,
		Query: url.Values{"ansi": {"1"}},
	}
	for _, tt := range []struct {
		source LogSource
		o      LogOptions
		want   string
	}{
		{LogSerial, LogOptions{}, "https://logs.example/ser?token=t0p&ch=serial"},
		{LogSerial, LogOptions{Tail: 5}, "https://logs.example/ser?token=t0p&ch=serial&tail=5&lines=5"},
		{LogStdout, LogOptions{Follow: true}, "https://logs.example/out?token=t0p&follow"},
		{ContainerLog("web"), LogOptions{}, "https://logs.example/logs/web?text&bare"},
		{ContainerLog("/other"), LogOptions{Timestamps: true}, "https://logs.example/logs/web?text&bare&timestamps"},
		{ContainerLog("c2"), all, "https://logs.example/logs/web?since=10m&until=2026-01-21T10%3A00%3A00%2B01%3A00&follow&text&bare&tail=10&lines=10&timestamps&ansi=1"},
	} {
		log, err := c.CVMs.Logs(t.Context(), "web-1", tt.source, tt.o)
		require.NoError(t, err, tt.source)
		data, err := io.ReadAll(log)
		require.NoError(t, err)
		require.NoError(t, log.Close())
		assert.Equal(t, "one\ntwo\n", string(data))
		assert.Equal(t, tt.want, got.URL.String())
		assert.Equal(t, "logs.example", got.Host)
		assert.Equal(t, http.Header{"User-Agent": {userAgent}, "Accept": {"text/plain, */*;q=0.5"}}, got.Header)
	}
}

func TestLogs_Missing(t *testing.T) {
	t.Parallel()
	c := logCloud(t, func(*http.Request) (*http.Response, error) { return nil, errors.New("sent") })
	for _, source := range []LogSource{LogStderr, ContainerLog("db"), ContainerLog("we"), ContainerLog(""), ContainerLog("c")} {
		_, err := c.CVMs.Logs(t.Context(), "web-1", source, LogOptions{})
		require.ErrorIs(t, err, ErrNoLog, source)
		require.ErrorContains(t, err, "CVMs.Logs: "+string(source)+" of cvm web-1")
	}
	_, err := c.CVMs.Logs(t.Context(), "web-1", "syslog", LogOptions{})
	require.ErrorContains(t, err, `source "syslog": want serial, stdout, stderr or a ContainerLog`)

	c = newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, cvmJSON), nil })
	_, err = c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{})
	require.ErrorIs(t, err, ErrNoLog)
	c = newTest(t, func(*http.Request) (*http.Response, error) { return reply(404, `{"error_code":"ERR-03-001"}`), nil })
	for _, source := range []LogSource{LogSerial, ContainerLog("web")} {
		_, err = c.CVMs.Logs(t.Context(), "web-1", source, LogOptions{})
		require.ErrorIs(t, err, ErrNotFound)
	}
}

func TestLogURLs_ThatAreRefused(t *testing.T) {
	t.Parallel()
	sent := 0
	c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(200, ""), nil })
	for logURL, want := range map[string]string{
		"":                               "not a URL with a host",
		"/logs?token=t0p":                "not a URL with a host",
		"https:///logs?token=t0p":        "not a URL with a host",
		"https:logs.example?token=t0p":   "not a URL with a host",
		"https://a b/?token=t0p":         "not a URL with a host",
		"http://logs.example/?token=t0p": "logs.example: http is for loopback addresses only, want https",
		"ftp://logs.example/?token=t0p":  `has the scheme "ftp", want https`,
		"file://etc/passwd?token=t0p":    `has the scheme "file", want https`,
		"https://u:t0p@logs.example/":    "contains a user",
	} {
		_, err := c.CVMs.OpenLog(t.Context(), logURL, LogOptions{})
		require.ErrorContains(t, err, want, logURL)
		require.ErrorContains(t, err, "CVMs.Logs: ")
		require.NotContains(t, err.Error(), "t0p")
	}
	for want, o := range map[string]LogOptions{
		"tail of -1 lines": {Tail: -1}, "at most -1 bytes": {MaxBytes: -1}, "idle timeout -1ns": {IdleTimeout: -1},
	} {
		_, err := c.CVMs.OpenLog(t.Context(), "https://logs.example", o)
		require.ErrorContains(t, err, want)
		_, err = c.CVMs.Logs(t.Context(), "web-1", LogSerial, o)
		require.ErrorContains(t, err, want)
	}
	_, err := c.CVMs.OpenLog(t.Context(), "https://logs.example", LogOptions{}, WithTimeout(0))
	require.ErrorContains(t, err, "timeout 0s")
	assert.Zero(t, sent)

	// The cloud cannot point a client at what listens on its own machine.
	c = newTest(t, func(r *http.Request) (*http.Response, error) {
		require.Equal(t, "cloud-api.phala.com", r.URL.Host)
		return reply(200, strings.ReplaceAll(loggedCVM, "https://logs.example", "http://127.0.0.1:8080")), nil
	})
	_, err = c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{})
	require.ErrorContains(t, err, "the API returned an http URL for a log, want https")
}

func TestLogs_HostRefuses(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]error{403: ErrForbidden, 404: ErrNotFound, 503: ErrServer, 302: ErrRedirect, 307: ErrRedirect} {
		sent := 0
		c := logCloud(t, func(*http.Request) (*http.Response, error) {
			sent++
			return reply(status, "no logs here", "Content-Type", "text/plain", "Location", "https://evil.example"), nil
		})
		_, err := c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{})
		require.ErrorIs(t, err, want)
		var api *APIError
		require.ErrorAs(t, err, &api)
		assert.Equal(t, "CVMs.Logs", api.Operation)
		assert.Equal(t, "no logs here", string(api.Raw))
		assert.Equal(t, 1, sent)
	}
	c := logCloud(t, func(r *http.Request) (*http.Response, error) {
		return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: io.ErrUnexpectedEOF}
	})
	_, err := c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.EqualError(t, err, "CVMs.Logs: from logs.example: unexpected EOF", "the token in the URL is not repeated")
}

func TestLogs_AreBounded(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("x", 1000)
	c := logCloud(t, func(*http.Request) (*http.Response, error) { return reply(200, text), nil })
	for _, tt := range []struct {
		limit int64
		want  int
	}{{1000, 1000}, {1001, 1000}, {999, 999}, {1, 1}} {
		log, err := c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{MaxBytes: tt.limit})
		require.NoError(t, err)
		data, err := io.ReadAll(log)
		require.NoError(t, log.Close())
		assert.Len(t, data, tt.want)
		if tt.limit >= 1000 {
			require.NoError(t, err)
			continue
		}
		var large *BodyTooLargeError
		require.ErrorAs(t, err, &large)
		assert.Equal(t, tt.limit, large.Limit)
	}

	endless := func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(zeros{}), ContentLength: -1}, nil
	}
	log, err := logCloud(t, endless).CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{})
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, log)
	require.ErrorAs(t, err, new(*BodyTooLargeError))
	assert.EqualValues(t, maxBody, n)
	require.NoError(t, log.Close())
	log, err = logCloud(t, endless).CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{Follow: true})
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, log, 2*maxBody)
	require.NoError(t, err, "a followed log has no bound of its own")
	require.NoError(t, log.Close())
}

// pipeBody is a log whose lines come when the test writes them, as a transport hands it out.
func pipeBody(r *http.Request) (*http.Response, *io.PipeWriter) {
	reader, writer := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = writer.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: reader, ContentLength: -1}, writer
}

func TestCVMLogs_SilentLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var writer *io.PipeWriter
		c := logCloud(t, func(r *http.Request) (*http.Response, error) {
			var resp *http.Response
			resp, writer = pipeBody(r)
			return resp, nil
		})
		read := func(o LogOptions, pauses ...time.Duration) (int, time.Duration, error) {
			log, err := c.CVMs.Logs(t.Context(), "web-1", LogSerial, o)
			require.NoError(t, err)
			writer := writer
			go func() {
				for _, pause := range pauses {
					time.Sleep(pause)
					if _, err := writer.Write([]byte("line\n")); err != nil {
						return
					}
				}
			}()
			began := time.Now()
			data, err := io.ReadAll(log)
			took := time.Since(began)
			require.NoError(t, log.Close())
			synctest.Wait()
			return len(data), took, err
		}
		n, took, err := read(LogOptions{}, 50*time.Second, 50*time.Second, time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "CVMs.Logs: from logs.example: the log was silent for too long")
		assert.Equal(t, 10, n)
		assert.Equal(t, 100*time.Second+DefaultTimeout, took)

		n, took, err = read(LogOptions{Follow: true, IdleTimeout: time.Second}, time.Hour)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, n)
		assert.Equal(t, time.Second, took)
		time.Sleep(time.Hour)

		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		log, err := c.CVMs.Logs(ctx, "web-1", LogSerial, LogOptions{Follow: true})
		require.NoError(t, err)
		began := time.Now()
		_, err = io.ReadAll(log)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 24*time.Hour, time.Since(began), "a quiet app may be followed for long")
		require.NoError(t, log.Close())

		log, err = c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{Follow: true})
		require.NoError(t, err)
		time.AfterFunc(time.Minute, func() { assert.NoError(t, log.Close()) })
		_, err = io.ReadAll(log)
		require.Error(t, err, "closing ends a read")
	})
}

func TestLogs_NoResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := logCloud(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		began := time.Now()
		_, err := c.CVMs.Logs(t.Context(), "web-1", LogSerial, LogOptions{Follow: true}, WithTimeout(5*time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no response in time (5s)")
		assert.Equal(t, 5*time.Second, time.Since(began))

		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the user left")
		time.AfterFunc(time.Second, func() { cancel(why) })
		_, err = c.CVMs.Logs(ctx, "web-1", LogSerial, LogOptions{})
		require.ErrorIs(t, err, why)
	})
}

// Over a real connection: lines come one by one, and a redirect goes nowhere.
func TestFollowing_ALogOverHTTP(t *testing.T) {
	t.Parallel()
	turn := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/log" {
			http.Redirect(w, r, "/log", http.StatusFound)
			return
		}
		for _, line := range []string{"one\n", "two\n"} {
			_, _ = io.WriteString(w, line)
			w.(http.Flusher).Flush()
			<-turn
		}
	}))
	defer server.Close()
	c, err := New(WithAPIKey(testKey), WithHTTPClient(server.Client()))
	require.NoError(t, err)
	log, err := c.CVMs.OpenLog(t.Context(), server.URL+"/log", LogOptions{Follow: true})
	require.NoError(t, err)
	line := make([]byte, 4)
	for _, want := range []string{"one\n", "two\n"} {
		_, err = io.ReadFull(log, line)
		require.NoError(t, err)
		assert.Equal(t, want, string(line))
		turn <- struct{}{}
	}
	_, err = log.Read(line)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, log.Close())

	_, err = c.CVMs.OpenLog(t.Context(), server.URL+"/elsewhere", LogOptions{})
	require.ErrorIs(t, err, ErrRedirect)
}

// What is accepted is https or loopback; what is refused is never repeated whole.
func FuzzParseLogURL(f *testing.F) {
	for _, seed := range []string{"https://logs.example/x?token=t0p#f", "http://localhost:1/", "http://127.0.0.1.evil.example/", "https://u@h", "//h", "https://[::1]:1/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := parseLogURL(text)
		if err != nil {
			// The error names the host, which may read like the query.
			before, query, ok := strings.Cut(text, "?")
			if ok && len(query) > 8 && strings.Contains(err.Error(), query) && !strings.Contains(before, query) {
				t.Fatalf("%q repeats the query", err)
			}
			return
		}
		if u.Hostname() == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback.Is(u.Hostname())) {
			t.Fatalf("%q was accepted", text)
		}
		u.RawQuery = LogOptions{Tail: 1, Query: oddQuery}.query(u.RawQuery)
		if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host {
			t.Fatalf("%q became %q", text, u)
		}
	})
}

var oddQuery = url.Values{"a b": {"c&d"}}
