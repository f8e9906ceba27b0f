package phalatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/openapi"
)

// A running CVM serves its own logs, from a host that is not the API's. Their URLs contain a token and need no key.
const (
	logPath      = "/logs/" // followed by the instance id and the source
	logOperation = "CVMs.Logs"
	vmSource     = "vm" // the query contains the channel
)

type logLine struct {
	at      time.Time
	channel string
	text    string
}

// logURL returns the URL of a CVM's log. A cloud on a port serves it there; otherwise it has a host of its own, which
// [Server.Transport] serves too.
func (vm *cvm) logURL(c *call, source, channel string) string {
	if vm.instance == "" || !deref(vm.doc.app.PublicLogs) {
		return ""
	}
	u := url.URL{Scheme: "https", Host: vm.instance + "-8090." + gatewayDomain, Path: path.Join(logPath, vm.instance, source)}
	if onPort := c.URL.Host == ""; onPort {
		u.Host = c.Host
		if c.TLS == nil {
			u.Scheme = "http"
		}
	}
	query := url.Values{"token": {vm.logToken}}
	if channel != "" {
		query.Set("ch", channel)
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// logURLs returns the logs of the CVM itself.
func (vm *cvm) logURLs(c *call) openapi.CVMLogURLs {
	return openapi.CVMLogURLs{
		Serial: vm.logURL(c, vmSource, "serial"), Stdout: vm.logURL(c, vmSource, "stdout"), Stderr: vm.logURL(c, vmSource, "stderr"),
		ContainerLogBase: vm.logURL(c, "", ""),
	}
}

// logLines returns the present lines of a log. It reports false if there is no such log.
func (vm *cvm) logLines(source, channel string) ([]logLine, bool) {
	if source != vmSource {
		return vm.containerLines(source)
	}
	if channel != "serial" && channel != "stdout" && channel != "stderr" {
		return nil, false
	}
	var all []logLine
	for _, op := range vm.operations() {
		for _, e := range op.events {
			switch {
			case channel == "serial" && (e.kind == "operation.started" || e.kind == "state.changed"):
				all = append(all, logLine{e.at, channel, fmt.Sprintf("%s: %s is %s", op.kind, op.name, e.state)})
			case channel == "stdout" && e.kind == "state.changed" && e.state == "running":
				all = append(all, logLine{e.at, channel, "the app with compose hash " + op.hash + " is up"})
			}
		}
		if channel == "stderr" && op.failure != "" {
			all = append(all, logLine{op.ended, channel, op.failure})
		}
	}
	return all, true
}

// containerLines returns a line for each start of a container.
func (vm *cvm) containerLines(name string) ([]logLine, bool) {
	s := first(vm.services(), func(s service) bool { return s.container() == name })
	if s.name == "" {
		return nil, false
	}
	return mapped(vm.spans(), func(run span) logLine { return logLine{run.from, "stdout", s.image + " has started"} }), true
}

// logQuery selects and formats the lines of a log.
type logQuery struct {
	since, until                   time.Time
	tail                           int // -1 for all
	follow, timestamps, text, bare bool
}

func readLogQuery(query url.Values, now time.Time) (q logQuery, err error) {
	q = logQuery{
		tail: -1, follow: query.Has("follow"), timestamps: query.Has("timestamps"), text: query.Has("text"), bare: query.Has("bare"),
	}
	if text := query.Get("tail"); text != "" {
		if q.tail, err = strconv.Atoi(text); err != nil || q.tail < 0 {
			return q, fmt.Errorf("tail %q: want a number of lines", text)
		}
	}
	if q.since, err = logTime(query.Get("since"), now); err == nil {
		q.until, err = logTime(query.Get("until"), now)
	}
	return q, err
}

// logTime reads a time in RFC 3339, or how long ago it was, such as 10m.
func logTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, fmt.Errorf("time %q: want RFC 3339 or a duration such as 10m", text)
	}
	return at, nil
}

func (q logQuery) filter(all []logLine) []logLine {
	lines := slices.DeleteFunc(slices.Clone(all), func(l logLine) bool {
		return l.at.Before(q.since) || !q.until.IsZero() && l.at.After(q.until)
	})
	if q.tail >= 0 && len(lines) > q.tail {
		lines = lines[len(lines)-q.tail:]
	}
	return lines
}

// format returns a line as it is sent. A container's line is JSON with the message in base64, or text after its channel,
// or bare text.
func (q logQuery) format(l logLine, container bool) string {
	text := l.text + "\n"
	if q.timestamps {
		text = l.at.Format(time.RFC3339Nano) + " " + text
	}
	switch {
	case container && !q.text:
		line, err := json.Marshal(struct {
			Channel string `json:"channel"`
			Message []byte `json:"message"`
		}{l.channel, []byte(text)})
		if err != nil {
			return ""
		}
		return string(line) + "\n"
	case container && !q.bare:
		return l.channel + ": " + text
	}
	return text
}

// serveLog handles a request to the host of the logs.
func (s *Server) serveLog(w http.ResponseWriter, r *http.Request, path string) {
	c := &call{Request: r, server: s, route: &route{operation: logOperation}}
	if r.Header.Get("X-API-Key") != "" {
		s.failTest("%s: the API key was sent to the host of a log", logOperation)
	}
	instance, source, _ := strings.Cut(path, "/")
	query := r.URL.Query()
	q, err := readLogQuery(query, time.Now())
	lines, status := s.logLines(instance, source, query)
	if err != nil {
		status = http.StatusBadRequest
	}
	s.record(c, status)
	if status != http.StatusOK {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	next := q.filter(lines)
	for {
		for _, l := range next {
			if _, err := fmt.Fprint(w, q.format(l, source != vmSource)); err != nil {
				return
			}
		}
		flush(w)
		if !q.follow || !q.until.IsZero() && time.Now().After(q.until) {
			return
		}
		s.clock.wait(r.Context(), time.Second)
		if r.Context().Err() != nil {
			return
		}
		sent := len(lines)
		if lines, status = s.logLines(instance, source, query); status != http.StatusOK || len(lines) < sent {
			return // the CVM or its container does not exist any more
		}
		next = lines[sent:]
	}
}

// logLines returns the present lines of a log, with the status of the response.
func (s *Server) logLines(instance, source string, query url.Values) ([]logLine, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.advance()
	found := s.index["instance_"+instance]
	switch {
	case len(found) == 0:
		return nil, http.StatusNotFound
	case query.Get("token") != found[0].logToken, !deref(found[0].doc.app.PublicLogs):
		return nil, http.StatusForbidden
	}
	lines, exists := found[0].logLines(source, query.Get("ch"))
	if !exists {
		return nil, http.StatusNotFound
	}
	return lines, http.StatusOK
}
