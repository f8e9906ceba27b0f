package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/phala-go/phala/internal/pause"
)

// network is a transport that fails at random, before and after the operation of the server. It also delays operations:
// the server performs them long after the client got an error.
type network struct {
	inner http.RoundTripper
	tally *tally

	mu   sync.Mutex
	rng  *rand.Rand
	rate float64 // share of the requests that fail
	// instant selects only faults that need no pause, for flows in real time.
	instant bool
	// overtaken delays the next commit of a document by overtakenDelay.
	overtaken bool

	late sync.WaitGroup
}

// fault is the way in which one request fails.
type fault string

const (
	none            fault = ""
	killedAtSave    fault = "killed at a save"
	killedAnywhere  fault = "killed anywhere"
	chainBefore     fault = "chain fails before the transaction"
	chainAfter      fault = "chain fails after the transaction"
	chainSlow       fault = "transaction mined late"
	concurrentCalls fault = "concurrent callers"
)

// Faults before the operation.
const (
	refused      fault = "refused connection"
	resetBefore  fault = "reset before the operation"
	statusBefore fault = "status before the operation"
	waitBefore   fault = "status with Retry-After before the operation"
	htmlBefore   fault = "HTML before the operation"
	locked       fault = "409 lock"
	unauthorized fault = "401"
	silent       fault = "no response and no operation"
	slow         fault = "latency"
)

// Faults after the operation.
const (
	resetAfter    fault = "response lost after the operation"
	statusAfter   fault = "status after the operation"
	waitAfter     fault = "status with Retry-After after the operation"
	truncated     fault = "response truncated"
	notJSON       fault = "response is not JSON"
	droppedStream fault = "stream dropped"
)

// Faults whose operation is performed later.
const (
	lateReset  fault = "reset, operation later"
	lateStatus fault = "status, operation later"
	lateWait   fault = "status with Retry-After, operation later"
	lateSilent fault = "no response, operation later"
)

// weights are the relative frequencies of the faults. A 401 ends a flow, so it is rare.
var weights = []weighted{
	{refused, 6}, {resetBefore, 8}, {statusBefore, 12}, {waitBefore, 6}, {htmlBefore, 4}, {locked, 4}, {unauthorized, 1}, {silent, 3}, {slow, 8},
	{resetAfter, 10}, {statusAfter, 8}, {waitAfter, 6}, {truncated, 6}, {notJSON, 3},
	{lateReset, 5}, {lateStatus, 4}, {lateWait, 4}, {lateSilent, 3},
}

type weighted struct {
	fault  fault
	weight int
}

// instant are the faults after which no flow pauses for seconds.
var instant = []fault{refused, resetBefore, statusBefore, htmlBefore, unauthorized, resetAfter, statusAfter, truncated, notJSON}

// stopFaults ends the faults and waits for all delayed operations.
func (n *network) stopFaults() {
	n.mu.Lock()
	n.rate, n.overtaken = 0, false
	n.mu.Unlock()
	n.late.Wait()
}

func (n *network) setRate(rate float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rate = rate
}

// overtakenDelay is longer than an update takes.
const overtakenDelay = 5 * time.Minute

// next draws the fault of a request, a number for its details, and the delay of an operation that is performed later.
func (n *network) next(req *http.Request) (f fault, detail uint64, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	detail = n.rng.Uint64()
	delay = time.Duration(detail%150_000) * time.Millisecond
	if n.overtaken && req.Method == http.MethodPatch && strings.HasSuffix(req.URL.Path, "/compose_file") {
		n.overtaken = false
		return lateReset, detail, overtakenDelay
	}
	if n.rng.Float64() >= n.rate {
		return none, detail, 0
	}
	if isStream(req) && n.rng.IntN(2) == 0 {
		return droppedStream, detail, 0
	}
	total := 0
	possible := weights
	if n.instant {
		possible = slices.DeleteFunc(slices.Clone(weights), func(w weighted) bool { return !slices.Contains(instant, w.fault) })
	}
	for _, w := range possible {
		total += w.weight
	}
	at := n.rng.IntN(total)
	for _, w := range possible {
		if at -= w.weight; at < 0 {
			return w.fault, detail, delay
		}
	}
	return none, detail, 0
}

func isStream(req *http.Request) bool { return req.Header.Get("Accept") == "text/event-stream" }

// RoundTrip sends a request with the fault that is drawn for it.
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	f, detail, delay := n.next(req)
	n.tally.requests.Add(1)
	if f == none {
		return n.inner.RoundTrip(req)
	}
	n.tally.fault(f)
	switch f {
	case slow:
		if err := pause.For(req.Context(), time.Duration(detail%40_000)*time.Millisecond); err != nil {
			return nil, err
		}
		return n.inner.RoundTrip(req)
	case lateReset, lateStatus, lateWait, lateSilent:
		if err := n.later(req, delay); err != nil {
			return nil, err
		}
	case resetAfter, statusAfter, waitAfter, truncated, notJSON, droppedStream:
		resp, err := n.inner.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		if f == droppedStream {
			resp.Body = &cutBody{resp.Body, int64(detail % 800)}
			return resp, nil
		}
		if resp.Header.Get("Content-Type") == "text/event-stream" {
			_ = resp.Body.Close()
			return nil, reset
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		switch f {
		case truncated:
			resp.Body = &cutBody{io.NopCloser(bytes.NewReader(body)), int64(len(body) / 2)}
			return resp, nil
		case notJSON:
			resp.Body = io.NopCloser(bytes.NewReader(body[:len(body)/2]))
			resp.Header.Del("Content-Length")
			return resp, nil
		}
	}
	return fail(req, f, detail)
}

var reset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

// fail returns the response of a fault, or its error.
func fail(req *http.Request, f fault, detail uint64) (*http.Response, error) {
	// 425 and 429 mean that nothing was done, so they occur before the operation only.
	statuses, waitStatus := []int{500, 502, 503, 504, 520, 524, 408}, 503
	if f == statusBefore || f == waitBefore {
		statuses = append(statuses, 425, 429)
		waitStatus = []int{429, 503}[detail%2]
	}
	switch f {
	case refused:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case statusBefore, statusAfter, lateStatus:
		return respond(req, statuses[detail%uint64(len(statuses))], `{"detail":"fault"}`), nil
	case waitBefore, waitAfter, lateWait:
		seconds := strconv.Itoa(int(detail>>8%45) + 1) // some are more than the client waits
		return respond(req, waitStatus, `{"detail":"fault"}`, "Retry-After", seconds), nil
	case htmlBefore:
		return respond(req, 502, "<html><title>502</title></html>"), nil
	case locked:
		return respond(req, 409, `{"detail":"Another operation is in progress on this CVM"}`), nil
	case unauthorized:
		return respond(req, 401, `{"detail":"API key has expired"}`), nil
	case silent, lateSilent:
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	return nil, reset
}

// later sends a request after a delay, for a client that does not wait for the response.
func (n *network) later(req *http.Request, delay time.Duration) error {
	again := req.Clone(context.WithoutCancel(req.Context()))
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return err
		}
		again.Body = io.NopCloser(bytes.NewReader(body))
	}
	if isStream(req) {
		return nil
	}
	n.late.Go(func() {
		time.Sleep(delay)
		if resp, err := n.inner.RoundTrip(again); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	return nil
}

// cutBody ends with an error after some bytes.
type cutBody struct {
	io.ReadCloser
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func respond(req *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	if strings.HasPrefix(body, "<") {
		h.Set("Content-Type", "text/html")
	}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	if req.Body != nil {
		_ = req.Body.Close()
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", status, http.StatusText(status)), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: req,
	}
}
