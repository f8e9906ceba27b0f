package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/openapi"
)

const (
	// maxBatch is the number of states in one request. The API documents no limit.
	maxBatch = 100
	// maxRequests is the number of concurrent requests of one wait.
	maxRequests = 4
)

// WaitAll returns when every given CVM has the target status and no operation runs on it any more. It requests the
// states of up to 100 CVMs at a time and uses no streams, so it is suited for thousands. While nothing changes, the
// interval of polling grows up to five times.
//
// A CVM that does not exist, or whose status does not lead to the target, does not end the wait for the others. When those have settled, WaitAll returns a [*WaitAllError] that lists the failed ones. If the context ends,
// the error also lists the CVMs that have not settled, each with its last state. Waiting for "deleted" ends when all
// are gone.
//
// Every form of identifier is accepted. UUIDs are cheapest: any other form costs one request to find the UUID.
// Invalid identifiers are refused before anything is sent; duplicates count once.
func (c *Client) WaitAll(ctx context.Context, cvmIDs []string, target openapi.CVMStatus, opts ...WaitOption) error {
	if err := checkTarget(target); err != nil {
		return fmt.Errorf("wait: %w", err)
	}
	cfg, err := newWaitConfig(opts)
	if err != nil {
		return err
	}
	g := &group{waitConfig: cfg, cvms: c.CVMs, target: target}
	if err := g.add(cvmIDs); err != nil {
		return err
	}
	return g.wait(ctx)
}

// group is the CVMs of one WaitAll.
type group struct {
	*waitConfig
	cvms    *CVMsService
	target  openapi.CVMStatus
	members []*member
	refusal error // of the API, for any CVM
}

// member is one CVM of a group.
type member struct {
	id      string // as the caller passed it
	uuid    string // as the API expects it; empty until it is known
	last    *openapi.CVMState
	failure error // of the last request, until one succeeds
	settled bool
	err     error // why it failed
}

// observation is the result of one request for one member.
type observation struct {
	member *member
	state  openapi.CVMState
	busy   bool
	err    error
}

func (g *group) add(ids []string) error {
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		if err := cvmPath(id).Check(); err != nil {
			return fmt.Errorf("wait: cvm %d of %d: %w", i+1, len(ids), err)
		}
		m := &member{id: id}
		key := id
		if uuid.Is(id) {
			m.uuid, key = id, uuid.Bare(id)
		}
		if !seen[key] {
			seen[key] = true
			g.members = append(g.members, m)
		}
	}
	return nil
}

func (g *group) wait(ctx context.Context) error {
	pace := newPace(g.interval)
	for ctx.Err() == nil {
		changed := g.poll(ctx)
		pending := g.pending()
		if len(pending) == 0 {
			return g.result()
		}
		if g.refusal != nil {
			for _, m := range pending {
				m.err = g.refusal
			}
			return g.result()
		}
		_ = pause.For(ctx, pace.next(changed))
	}
	for _, m := range g.pending() {
		m.err = endOf(ctx, m.failure)
	}
	return g.result()
}

func (g *group) pending() []*member {
	return slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return m.settled || m.err != nil })
}

// poll requests the state of every CVM that has not settled, and reports whether any has changed.
func (g *group) poll(ctx context.Context) (changed bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for s := range run(ctx, g.requests()) {
		switch {
		case s.err != nil && ctx.Err() != nil && !isAPIError(s.err):
			// The end of the context is not a result for the CVM.
		case s.err != nil && isMisconfigured(s.err):
			g.refusal = s.err
			cancel()
		case g.refusal == nil && g.record(s):
			changed = true
		}
	}
	return changed
}

// request requests the state of one CVM or of a batch.
type request func(context.Context) []observation

// requests returns one request for each hundred CVMs whose UUID is known, and one for each other CVM.
func (g *group) requests() []request {
	var all []request
	var known []*member
	for _, m := range g.pending() {
		if m.uuid != "" {
			known = append(known, m)
			continue
		}
		all = append(all, func(ctx context.Context) []observation { return []observation{g.get(ctx, m)} })
	}
	for batch := range slices.Chunk(known, maxBatch) {
		all = append(all, func(ctx context.Context) []observation { return g.getBatch(ctx, batch) })
	}
	return all
}

// run sends a few requests at a time and returns their results, in no order, until all are done or the context ends.
func run(ctx context.Context, requests []request) <-chan observation {
	open := make(chan request)
	results := make(chan observation)
	go func() {
		defer close(open)
		for _, q := range requests {
			select {
			case open <- q:
			case <-ctx.Done():
				return
			}
		}
	}()
	var workers sync.WaitGroup
	for range min(maxRequests, len(requests)) {
		workers.Go(func() {
			for q := range open {
				for _, s := range q(ctx) {
					results <- s
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()
	return results
}

// getBatch requests the states of a batch. A CVM that is missing in the response is requested alone, and so are all
// if the API refuses the batch: one invalid identifier must not fail the others.
func (g *group) getBatch(ctx context.Context, batch []*member) []observation {
	uuids := make([]string, len(batch))
	for i, m := range batch {
		uuids[i] = m.uuid
	}
	statuses, err := g.cvms.GetStatuses(ctx, openapi.GetStatusesRequest{VMUUIDs: uuids})
	if err != nil && !isRefusedBatch(err) {
		return failures(batch, err)
	}
	byUUID := make(map[string]openapi.CVMStatusReport, len(statuses))
	for key, status := range statuses {
		byUUID[uuid.Bare(key)] = status
	}
	seen := make([]observation, len(batch))
	for i, m := range batch {
		if status, ok := byUUID[uuid.Bare(m.uuid)]; ok && status.Status != "" {
			seen[i] = observation{member: m, state: stateOf(status), busy: isStatusBusy(status)}
		} else {
			seen[i] = g.get(ctx, m)
		}
	}
	return seen
}

func failures(batch []*member, err error) []observation {
	seen := make([]observation, len(batch))
	for i, m := range batch {
		seen[i] = observation{member: m, err: err}
	}
	return seen
}

// isRefusedBatch reports whether an error may be due to one of the identifiers of a batch.
func isRefusedBatch(err error) bool {
	var api *APIError
	return errors.As(err, &api) &&
		slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}, api.StatusCode)
}

// get requests one CVM by its given identifier.
func (g *group) get(ctx context.Context, m *member) observation {
	cvm, err := g.cvms.Get(ctx, m.id)
	if err != nil {
		return observation{member: m, err: err}
	}
	return observation{member: m, busy: isBusy(cvm), state: openapi.CVMState{
		Status: cvm.Status, ID: cvm.ID, Name: cvm.Name, VMUUID: cvm.VMUUID, InstanceID: cvm.InstanceID, InProgress: cvm.InProgress,
	}}
}

// record records the result of a request, and reports whether it is new.
func (g *group) record(s observation) (changed bool) {
	m := s.member
	switch {
	case s.err == nil:
	case g.target == openapi.CVMDeleted && errors.Is(s.err, ErrNotFound):
		m.settled = true
		return true
	case isPermanent(s.err):
		m.err = s.err
		return true
	default:
		m.failure = s.err // the context limits the number of repetitions
		return false
	}
	m.failure = nil
	if s.state.VMUUID != "" {
		m.uuid = s.state.VMUUID
	}
	if m.last == nil || !sameState(*m.last, s.state) {
		changed = true
		m.last = &s.state
		g.progress(StateEvent{CVM: m.id, Type: EventState, State: s.state})
	}
	switch {
	case s.busy:
	case s.state.Status == g.target:
		m.settled = true
	case failed(s.state.Status, g.target):
		m.err = ErrFailedState
	}
	return changed
}

// sameState reports whether two states are equal apart from the uptime, which always changes.
func sameState(a, b openapi.CVMState) bool {
	return a.Status == b.Status && a.BootProgress == b.BootProgress && a.BootError == b.BootError && a.ShutdownProgress == b.ShutdownProgress
}

func stateOf(s openapi.CVMStatusReport) openapi.CVMState {
	busy := isStatusBusy(s)
	return openapi.CVMState{
		Status: s.Status, VMUUID: s.VMUUID, Uptime: s.Uptime, InProgress: &busy,
		BootProgress: s.BootProgress, BootError: s.BootError, ShutdownProgress: s.ShutdownProgress,
	}
}

// isStatusBusy reports whether an operation runs on a CVM. Newer servers describe it in an object, older ones in flat
// fields. If neither is present, the status determines it.
func isStatusBusy(s openapi.CVMStatusReport) bool {
	if s.InProgress != nil {
		return *s.InProgress
	}
	return s.Operation != nil || s.OperationType != "" || transient(s.Status)
}

// result returns nil if all CVMs have settled.
func (g *group) result() error {
	e := &WaitAllError{Target: string(g.target), Total: len(g.members)}
	for _, m := range g.members {
		if m.err != nil {
			e.Failed = append(e.Failed, &WaitError{CVM: m.id, Target: string(g.target), State: m.last, Err: m.err})
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

// WaitAllError is returned by [Client.WaitAll] if some CVMs did not reach the target status.
type WaitAllError struct {
	// Target is the status that was waited for.
	Target string
	// Total is the number of CVMs that were waited for.
	Total int
	// Failed contains an error for each CVM that failed, or had not settled when the context ended, in the given
	// order.
	Failed []*WaitError
}

// maxListed is the number of CVMs in the text of a [WaitAllError].
const maxListed = 3

// Error returns the number of failed CVMs and the errors of the first ones.
func (e *WaitAllError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d cvms waiting for %s failed", len(e.Failed), e.Total, e.Target)
	for i, failed := range e.Failed {
		if i == maxListed {
			fmt.Fprintf(&b, "; and %d more", len(e.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "; %v", failed)
	}
	return b.String()
}

// Unwrap returns the errors of the CVMs.
func (e *WaitAllError) Unwrap() []error {
	all := make([]error, len(e.Failed))
	for i, failed := range e.Failed {
		all[i] = failed
	}
	return all
}
