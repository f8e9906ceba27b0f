package onchain

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
)

const (
	// readAttempts with their pauses take about 25 poll intervals.
	readAttempts = 8
	// firstBatch is more than any read here needs.
	firstBatch = 64
	// maxRetryAfter is the longest pause that an endpoint can request.
	maxRetryAfter = 30 * time.Second
)

// reader repeats requests until the endpoint responds. They change nothing, so they can be sent twice.
type reader struct {
	rpc  RPC
	poll time.Duration
	// size is the maximum number of requests in a batch. It is halved each time that the endpoint refuses as many.
	size atomic.Int64
}

func newReader(client RPC, poll time.Duration) *reader {
	r := &reader{rpc: client, poll: poll}
	r.size.Store(firstBatch)
	return r
}

// batch sends requests until each has its response. A final error of a contract or a node is the error of the
// element; any other is an [*EndpointError], or the error of the context.
func (r *reader) batch(ctx context.Context, elems []rpc.BatchElem) error {
	todo := make([]int, len(elems))
	for i := range elems {
		todo[i] = i
	}
	for try := 1; ; try++ {
		r.round(ctx, elems, todo, try)
		var after time.Duration
		left := todo[:0]
		for _, i := range todo {
			if err := elems[i].Error; err != nil && classify(err).transient() {
				after = max(after, requestedPause(err))
				left = append(left, i)
			}
		}
		todo = left
		if len(todo) == 0 {
			return nil
		}
		failed := elems[todo[0]]
		if try == readAttempts || after > maxRetryAfter || ctx.Err() != nil {
			return &EndpointError{Method: failed.Method, Attempts: try, Err: errors.Join(ctx.Err(), failed.Error)}
		}
		if err := pause.For(ctx, max(after, backoff(r.poll, try))); err != nil {
			return &EndpointError{Method: failed.Method, Attempts: try, Err: errors.Join(err, failed.Error)}
		}
	}
}

// round sends each request once, in batches that the endpoint accepts.
func (r *reader) round(ctx context.Context, elems []rpc.BatchElem, todo []int, try int) {
	for len(todo) > 0 {
		n := min(len(todo), int(r.size.Load()))
		chunk := todo[:n]
		if n == 1 {
			e := &elems[chunk[0]]
			e.Error = r.rpc.CallContext(ctx, e.Result, e.Method, e.Args...)
			todo = todo[1:]
			continue
		}
		sent := make([]rpc.BatchElem, n)
		for i, at := range chunk {
			sent[i] = elems[at]
			sent[i].Error = nil
		}
		err := r.rpc.BatchCallContext(ctx, sent)
		if r.tooManyRequests(err, sent, try) {
			r.size.Store(min(r.size.Load(), int64(max(n/2, 1))))
			continue
		}
		for i, at := range chunk {
			elems[at].Error = sent[i].Error
			if err != nil {
				elems[at].Error = err
			}
		}
		todo = todo[n:]
	}
}

// tooManyRequests reports whether the endpoint refuses that many requests in one batch. Repeated failures without a
// reason count as a refusal.
func (r *reader) tooManyRequests(err error, sent []rpc.BatchElem, try int) bool {
	if err != nil {
		kind := classify(err)
		return kind == batchTooLarge || kind == final && !errors.Is(err, context.Canceled) || kind == outage && try > 2
	}
	for _, e := range sent {
		if e.Error == nil {
			return false
		}
		if !errors.Is(e.Error, rpc.ErrMissingBatchResponse) && classify(e.Error) != batchTooLarge {
			return false
		}
	}
	return true
}

// call sends one request until it has its response.
func (r *reader) call(ctx context.Context, result any, method string, args ...any) error {
	return r.all(ctx, []rpc.BatchElem{request(result, method, args...)})
}

// all is batch for requests that must all succeed.
func (r *reader) all(ctx context.Context, elems []rpc.BatchElem) error {
	if err := r.batch(ctx, elems); err != nil {
		return err
	}
	return firstError(elems)
}

// allOrRevert is batch for requests that must succeed or revert.
func (r *reader) allOrRevert(ctx context.Context, elems []rpc.BatchElem) error {
	if err := r.batch(ctx, elems); err != nil {
		return err
	}
	return notReverts(elems)
}

// backoff is the pause after an attempt: a quarter of the poll interval, doubled each time, up to eight of them,
// half of it at random.
func backoff(poll time.Duration, try int) time.Duration {
	d := min(poll/4<<min(try-1, 6), 8*poll)
	return d/2 + rand.N(d/2+1)
}

// requestedPause returns the pause that the endpoint requested with Retry-After.
func requestedPause(err error) time.Duration {
	var busy *busyError
	if errors.As(err, &busy) {
		return busy.After
	}
	return 0
}

// firstError returns the first error among the elements.
func firstError(elems []rpc.BatchElem) error {
	for _, e := range elems {
		if e.Error != nil {
			return &EndpointError{Method: e.Method, Attempts: 1, Err: e.Error}
		}
	}
	return nil
}

// notReverts returns the first error that is not a contract's refusal.
func notReverts(elems []rpc.BatchElem) error {
	for _, e := range elems {
		if e.Error == nil {
			continue
		}
		if _, reverted := revertData(e.Error); !reverted {
			return &EndpointError{Method: e.Method, Attempts: 1, Err: e.Error}
		}
	}
	return nil
}

// failure is a kind of failed request. It determines the reaction.
type failure int

const (
	// final: a repetition fails, too.
	final failure = iota
	// outage: the endpoint or the connection to it does not work now.
	outage
	// throttled: the endpoint limits the rate.
	throttled
	// behind: the node does not have the block yet.
	behind
	// batchTooLarge: the same requests in smaller batches may succeed.
	batchTooLarge
	// rangeTooLong: eth_getLogs over fewer blocks may succeed.
	rangeTooLong
	// tooManyResults: fewer blocks, because there are too many logs in these.
	tooManyResults
	// noHistory: the node no longer has the state of the block.
	noHistory
	// noMethod: the endpoint does not have the method.
	noMethod
)

// failureTexts are the messages of nodes and providers, in lower case, in the order of the search. Codes exist for few
// of them only, and providers use one code for several failures.
var failureTexts = [...]struct {
	kind  failure
	words []string
}{
	{batchTooLarge, []string{"batch size", "batch limit", "batch too large", "batch of", "too many requests in batch", "batch requests", "batched requests", "calls in a batch", "in one batch"}},
	{tooManyResults, []string{"more than 10000 results", "query returned more than", "too many results", "response size", "result set too large", "logs matched by query exceeds", "max results", "exceeds the limit of", "response is too big", "too many logs"}},
	{behind, []string{"beyond current head", "header not found", "unknown block", "block not found", "header for hash not found", "could not find block", "after last accepted block", "block is not available", "future block", "block number is in the future", "invalid block range params"}},
	{rangeTooLong, []string{"block range", "range too large", "range is too large", "range is too wide", "range limit", "too many blocks", "blocks range", "range exceeds", "exceed maximum block range", "maximum range", "range of blocks", "max block range", "up to a", "ranges over"}},
	{noHistory, []string{"missing trie node", "historical state", "state is not available", "state not available", "state already pruned", "pruned", "archive", "exceeds maximum proof window", "no state available", "old data not available"}},
	{throttled, []string{"rate limit", "rate-limit", "ratelimit", "too many requests", "request limit", "requests per second", "compute units", "exceeded its", "quota", "throttle", "capacity exceeded", "limit exceeded"}},
	{noMethod, []string{"method not found", "does not exist/is not available", "unsupported method", "method not supported", "not supported", "unknown method", "method is not available", "not whitelisted", "method not available"}},
	{outage, []string{"timeout", "timed out", "temporarily", "try again", "overloaded", "internal error", "internal server error", "execution aborted", "no available", "unavailable", "upstream", "transaction indexing is in progress"}},
}

// Codes of JSON-RPC, of EIP-1474, and of HTTP as some providers put it into the JSON.
const (
	codeNoMethod      = -32601
	codeInternal      = -32603
	codeUnavailable   = -32002
	codeNoSupport     = -32004
	codeLimitExceeded = -32005
	codeTooManyHTTP   = 429
)

// classify returns the kind of an endpoint's error.
func classify(err error) failure {
	var answered rpc.Error
	var status rpc.HTTPError
	var busy *busyError
	var certificate *tls.CertificateVerificationError
	var notArray *json.UnmarshalTypeError
	switch {
	case errors.As(err, &busy):
		return statusFailure(busy.Status)
	case errors.As(err, &status):
		if kind := textFailure(string(status.Body)); kind != final {
			return kind
		}
		return statusFailure(status.StatusCode)
	case errors.As(err, &answered):
		return answeredFailure(answered)
	case errors.As(err, &certificate), errors.Is(err, errTooLong), errors.Is(err, context.Canceled):
		return final
	case errors.As(err, &notArray):
		// One error object instead of an array of answers.
		return batchTooLarge
	}
	return outage
}

func answeredFailure(err rpc.Error) failure {
	if _, reverted := revertData(err); reverted {
		return final
	}
	if kind := textFailure(err.Error()); kind != final {
		return kind
	}
	switch err.ErrorCode() {
	case codeLimitExceeded, codeTooManyHTTP:
		return throttled
	case codeInternal, codeUnavailable:
		return outage
	case codeNoMethod, codeNoSupport:
		return noMethod
	}
	return final
}

func textFailure(text string) failure {
	text = strings.ToLower(text[:min(len(text), 4096)])
	for _, f := range failureTexts {
		for _, words := range f.words {
			if strings.Contains(text, words) {
				return f.kind
			}
		}
	}
	return final
}

// statusFailure classifies an HTTP status. 520 to 530 are of proxies in front of a node, and transient.
func statusFailure(status int) failure {
	switch {
	case status == 429:
		return throttled
	case status == 413:
		return batchTooLarge
	case status == 408 || status == 425 || status >= 500:
		return outage
	}
	return final
}

// transient reports whether the same request may succeed later.
func (f failure) transient() bool { return f == outage || f == throttled || f == behind }

// EndpointError is returned when a request fails after all repetitions, or with an error that is not a contract's. It
// is never a statement about a contract.
type EndpointError struct {
	// Method is the JSON-RPC method, such as "eth_call".
	Method string
	// Attempts is the number of requests.
	Attempts int
	// Err is the last error.
	Err error
}

func (e *EndpointError) Error() string {
	text := e.Method + ": " + brief(e.Err)
	if e.Attempts > 1 {
		text += fmt.Sprintf(" (%d attempts)", e.Attempts)
	}
	return text
}

// Unwrap returns the last error.
func (e *EndpointError) Unwrap() error { return e.Err }

// maxBrief limits the text of an endpoint in an error.
const maxBrief = 300

// brief returns an error of the endpoint without its address; text of the endpoint is quoted and limited.
func brief(err error) string {
	var answered rpc.Error
	var status rpc.HTTPError
	switch {
	case err == nil:
		return "no answer"
	case errors.As(err, &status):
		return fmt.Sprintf("HTTP %d %.*q", status.StatusCode, maxBrief, status.Body)
	case errors.As(err, &answered):
		return fmt.Sprintf("error %d %.*q", answered.ErrorCode(), maxBrief, answered.Error())
	}
	text := withoutAddress(err).Error()
	return text[:min(len(text), maxBrief)]
}
