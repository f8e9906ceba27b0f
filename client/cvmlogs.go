package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/loopback"
	"github.com/phala-go/phala/openapi"
)

// LogSource names one log of a CVM.
type LogSource string

// The logs that every CVM has; [ContainerLog] returns those of its containers.
const (
	LogSerial LogSource = "serial" // the serial console, from the start of the boot
	LogStdout LogSource = "stdout" // the standard output of the VM's process
	LogStderr LogSource = "stderr" // the standard error of the VM's process
)

const containerPrefix = "container:"

// ContainerLog returns the source of a container's log, by the container's name or id.
func ContainerLog(nameOrID string) LogSource { return LogSource(containerPrefix + nameOrID) }

// ErrNoLog is returned if a CVM has no such log: it does not run, does not publish its logs, or has no such
// container.
var ErrNoLog = errors.New("no such log is offered")

// LogOptions sets how a log is read. The API does not document the query of a log URL. Tail, Follow, Since, Until and
// Timestamps are sent as the official command line sends them; Query is for other parameters.
type LogOptions struct {
	// Tail is the number of last lines to begin with; 0 means all lines that the server has.
	Tail int
	// Follow keeps the log open for new lines.
	Follow bool
	// Since and Until limit the time of the lines: RFC 3339 or another format of the server, such as "10m".
	Since, Until string
	// Timestamps adds the time before each line.
	Timestamps bool
	// Query is added to the URL unchanged.
	Query url.Values
	// MaxBytes limits the log; Read returns a [*BodyTooLargeError] beyond it. 0 means 32 MiB, and no limit when
	// following.
	MaxBytes int64
	// IdleTimeout is how long Read waits for the next byte. 0 means the timeout of the call, and no timeout when
	// following, because an app may be silent for long: end the context then.
	IdleTimeout time.Duration
}

func (o LogOptions) check() error {
	switch {
	case o.Tail < 0:
		return fmt.Errorf("tail of %d lines, want 0 or more", o.Tail)
	case o.MaxBytes < 0:
		return fmt.Errorf("at most %d bytes, want 0 or more", o.MaxBytes)
	case o.IdleTimeout < 0:
		return fmt.Errorf("idle timeout %s, want 0 or more", o.IdleTimeout)
	}
	return nil
}

// query adds the options to the query of a log URL. Flags have no value, as the log servers expect them.
func (o LogOptions) query(before string, flags ...string) string {
	var parts []string
	add := func(key, value string) {
		if value != "" {
			parts = append(parts, key+"="+url.QueryEscape(value))
		}
	}
	if before != "" {
		parts = append(parts, before)
	}
	add("since", o.Since)
	add("until", o.Until)
	if o.Follow {
		flags = append([]string{"follow"}, flags...)
	}
	parts = append(parts, flags...)
	if o.Tail > 0 {
		add("tail", strconv.Itoa(o.Tail))
		add("lines", strconv.Itoa(o.Tail)) // the older name of tail
	}
	if o.Timestamps {
		parts = append(parts, "timestamps")
	}
	if extra := o.Query.Encode(); extra != "" {
		parts = append(parts, extra)
	}
	return strings.Join(parts, "&")
}

// Logs opens a log of a CVM. It requests the log's URL from the API and fetches the log from there. The URL is on
// another host: the client sends it neither the API key nor any other setting of its own. The caller closes the log.
//
// Only https is accepted (and http if the cloud itself is on a loopback address), and a redirect is an error. An
// error response of the log's host is an [*APIError]. The log is requested once.
func (s *CVMsService) Logs(ctx context.Context, cvmID string, source LogSource, o LogOptions, opts ...CallOption) (io.ReadCloser, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", logOperation, err)
	}
	where, err := s.logURL(ctx, cvmID, source, opts)
	if err != nil {
		return nil, err
	}
	if where == "" {
		return nil, fmt.Errorf("%s: %s of cvm %s: %w", logOperation, source, cvmID, ErrNoLog)
	}
	u, err := parseLogURL(where)
	if err == nil && u.Scheme == "http" && s.client.base.Scheme != "http" {
		err = errors.New("the API returned an http URL for a log, want https")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s of cvm %s: %w", logOperation, source, cvmID, err)
	}
	if strings.HasPrefix(string(source), containerPrefix) {
		// Without these flags the log of a container is JSON with each message in base64.
		u.RawQuery = o.query(u.RawQuery, "text", "bare")
	} else {
		u.RawQuery = o.query(u.RawQuery)
	}
	return s.client.openLog(ctx, u, o, opts)
}

// OpenLog opens a log as [CVMsService.Logs] does, from a known log URL, such as one of an [openapi.CVMLogURLs] or the
// log_endpoint of a container.
func (s *CVMsService) OpenLog(ctx context.Context, logURL string, o LogOptions, opts ...CallOption) (io.ReadCloser, error) {
	err := o.check()
	if err == nil {
		var u *url.URL
		if u, err = parseLogURL(logURL); err == nil {
			u.RawQuery = o.query(u.RawQuery)
			return s.client.openLog(ctx, u, o, opts)
		}
	}
	return nil, fmt.Errorf("%s: %w", logOperation, err)
}

const logOperation = "CVMs.Logs"

// logURL returns the URL of a log, or "" if the API sends none.
func (s *CVMsService) logURL(ctx context.Context, cvmID string, source LogSource, opts []CallOption) (string, error) {
	if container, ok := strings.CutPrefix(string(source), containerPrefix); ok {
		composition, err := s.GetComposition(ctx, cvmID, opts...)
		if err != nil {
			return "", err
		}
		return containerLogURL(composition.Containers, container), nil
	}
	switch source {
	case LogSerial, LogStdout, LogStderr:
	default:
		return "", fmt.Errorf("%s: source %q: want %s, %s, %s or a ContainerLog", logOperation, string(source), LogSerial, LogStdout, LogStderr)
	}
	cvm, err := s.Get(ctx, cvmID, opts...)
	if err != nil || cvm.Logs == nil {
		return "", err
	}
	return map[LogSource]string{LogSerial: cvm.Logs.Serial, LogStdout: cvm.Logs.Stdout, LogStderr: cvm.Logs.Stderr}[source], nil
}

// containerLogURL compares names in Docker's form, with a leading slash, and in the usual one, without.
func containerLogURL(containers []openapi.CVMContainer, nameOrID string) string {
	for _, c := range containers {
		if nameOrID != "" && c.ID == nameOrID {
			return c.LogEndpoint
		}
		for _, name := range c.Names {
			if strings.TrimPrefix(name, "/") == strings.TrimPrefix(nameOrID, "/") {
				return c.LogEndpoint
			}
		}
	}
	return ""
}

// parseLogURL accepts https, and http of loopback addresses. Its errors do not repeat the URL, whose query may
// contain a token.
func parseLogURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("the log's address is not a URL with a host")
	case u.User != nil:
		return nil, fmt.Errorf("the log's URL at %s contains a user, want none", u.Host)
	case u.Scheme == "http" && !loopback.Is(u.Hostname()):
		return nil, fmt.Errorf("the log's URL at %s: http is for loopback addresses only, want https", u.Host)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the log's URL at %s has the scheme %q, want https", u.Host, u.Scheme)
	}
	u.Fragment = ""
	return u, nil
}

func (c *Client) openLog(ctx context.Context, u *url.URL, o LogOptions, opts []CallOption) (io.ReadCloser, error) {
	cfg, err := c.configured(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", logOperation, err)
	}
	if o.IdleTimeout == 0 && !o.Follow {
		o.IdleTimeout = cfg.timeout
	}
	if o.MaxBytes == 0 && !o.Follow {
		o.MaxBytes = maxBody
	}
	ctx, cancel := context.WithCancelCause(ctx)
	// Only the agent is sent, and no other header of the client: the host is not the API's.
	req := (&http.Request{
		Method: http.MethodGet, URL: u, Host: u.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"User-Agent": c.agent, "Accept": {"text/plain, */*;q=0.5"}},
	}).WithContext(ctx)
	began := time.Now()
	timer := time.AfterFunc(cfg.timeout, func() { cancel(errAttemptTimeout) })
	resp, err := c.http.Do(req)
	if err == nil && (resp.StatusCode < 200 || resp.StatusCode > 299) {
		data, _, _ := readAll(resp, maxErrorBody)
		_ = resp.Body.Close()
		api := decodeError(resp, data, began)
		api.Operation, api.Method = logOperation, req.Method
		err = api
	}
	if !timer.Stop() && err == nil {
		_ = resp.Body.Close()
		err = errAttemptTimeout
	}
	if err != nil {
		err = explainLog(ctx, err, u.Host, cfg.timeout)
		cancel(nil)
		return nil, err
	}
	return &logBody{ctx: ctx, cancel: cancel, body: resp.Body, host: u.Host, idle: o.IdleTimeout, limit: o.MaxBytes}, nil
}

// explainLog removes the URL from a transport error, and adds the cause of a context that has ended.
func explainLog(ctx context.Context, err error, host string, timeout time.Duration) error {
	var api *APIError
	if errors.As(err, &api) {
		return err
	}
	err = withoutURL(err)
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errAttemptTimeout):
		err = fmt.Errorf("%w (%s): %w", errAttemptTimeout, timeout, context.DeadlineExceeded)
	case cause != nil:
		err = cause
	}
	return &TransportError{Operation: logOperation, Err: fmt.Errorf("from %s: %w", host, err)}
}

// logBody limits a log in size, and the time of each read.
type logBody struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	body   io.ReadCloser
	host   string
	idle   time.Duration // 0 for no limit
	limit  int64         // 0 for no limit
	read   int64
}

func (b *logBody) Read(p []byte) (int, error) {
	if b.limit > 0 && int64(len(p)) > b.limit-b.read+1 {
		// One byte more than allowed, so that a log of exactly the limit reaches its end.
		p = p[:b.limit-b.read+1]
	}
	if b.idle > 0 {
		timer := time.AfterFunc(b.idle, func() { b.cancel(errLogIdle) })
		defer timer.Stop()
	}
	n, err := b.body.Read(p)
	b.read += int64(n)
	if b.limit > 0 && b.read > b.limit {
		n, b.read = n-1, b.limit
		return n, &BodyTooLargeError{Operation: logOperation, Limit: b.limit}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = explainLog(b.ctx, err, b.host, 0)
	}
	return n, err
}

func (b *logBody) Close() error {
	// First the context, so that a server that still sends cannot delay Close.
	b.cancel(context.Canceled)
	return b.body.Close()
}

var errLogIdle = fmt.Errorf("the log was silent for too long: %w", context.DeadlineExceeded)
