package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/phala-go/phala/openapi"
)

const (
	// maxBatch is how many states one request asks for. The API publishes no bound of its own.
	maxBatch = 100
	// maxQuestions is how many requests of one wait are under way at a time.
	maxQuestions = 4
)

// WaitAll returns when every one of many CVMs has the status and no operation runs on it any more. It asks
// for the states of up to 100 CVMs in one request and uses no streams, so it is made for thousands. While
// nothing changes it asks up to five times slower.
//
// A CVM that goes another way or that the API does not know does not end the wait for the others: once those
// have settled, a [*WaitAllError] lists the ones that failed. Where the context ends it lists, too, the ones
// that had not settled, each with its last state. Waiting for "deleted" ends when all are gone.
//
// Every form of identifier is accepted. UUIDs are cheapest: any other costs one request to find its UUID.
// One that cannot be an identifier is refused before anything is sent; one that is given twice counts once.
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
	refusal error // of the API, whichever CVM is asked for
}

// member is one CVM of a group.
type member struct {
	id      string // as the caller gave it
	uuid    string // as the API is asked for it; empty until it is known
	last    *openapi.CVMState
	failure error // of the last question, until an answer
	settled bool
	err     error // why it failed
}

// sighting is what one question told of a member.
type sighting struct {
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
		if isUUID(id) {
			m.uuid, key = id, bareUUID(id)
		}
		if !seen[key] {
			seen[key] = true
			g.members = append(g.members, m)
		}
	}
	return nil
}

// isUUID reports what can only be a UUID: any with dashes, and one of version 4 without. A name may look like
// the others.
func isUUID(id string) bool {
	return isUUID4(id) || len(id) == 36 && isHex(strings.ReplaceAll(id, "-", ""), 32)
}

// bareUUID is the form in which UUIDs are compared.
func bareUUID(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }

func (g *group) wait(ctx context.Context) error {
	pace := newPace(g.interval)
	for ctx.Err() == nil {
		changed := g.ask(ctx)
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
		if sleep(ctx, pace.pause(changed)) != nil {
			<-ctx.Done()
		}
	}
	for _, m := range g.pending() {
		m.err = endOf(ctx, m.failure)
	}
	return g.result()
}

func (g *group) pending() []*member {
	return slices.DeleteFunc(slices.Clone(g.members), func(m *member) bool { return m.settled || m.err != nil })
}

// ask asks once for every CVM that has not settled, and says whether anything was new.
func (g *group) ask(ctx context.Context) (changed bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for s := range answers(ctx, g.questions()) {
		switch {
		case s.err != nil && ctx.Err() != nil && !isAnswer(s.err):
			// The end of the context tells nothing of the CVM.
		case s.err != nil && isMisconfigured(s.err):
			g.refusal = s.err
			cancel()
		case g.refusal == nil && g.take(s):
			changed = true
		}
	}
	return changed
}

// question asks the API once or a few times.
type question func(context.Context) []sighting

// questions are one for each hundred CVMs whose UUID is known, and one for each other CVM.
func (g *group) questions() []question {
	var all []question
	var known []*member
	for _, m := range g.pending() {
		if m.uuid != "" {
			known = append(known, m)
			continue
		}
		all = append(all, func(ctx context.Context) []sighting { return []sighting{g.look(ctx, m)} })
	}
	for batch := range slices.Chunk(known, maxBatch) {
		all = append(all, func(ctx context.Context) []sighting { return g.lookAtAll(ctx, batch) })
	}
	return all
}

// answers asks a few questions at a time and gives what they told, in no order, until all are answered or
// the context ends.
func answers(ctx context.Context, questions []question) <-chan sighting {
	open := make(chan question)
	told := make(chan sighting)
	go func() {
		defer close(open)
		for _, q := range questions {
			select {
			case open <- q:
			case <-ctx.Done():
				return
			}
		}
	}()
	var asking sync.WaitGroup
	for range min(maxQuestions, len(questions)) {
		asking.Go(func() {
			for q := range open {
				for _, s := range q(ctx) {
					told <- s
				}
			}
		})
	}
	go func() {
		asking.Wait()
		close(told)
	}()
	return told
}

// lookAtAll asks for the states of a batch. A CVM that the answer leaves out is asked for alone, and so are
// all where the API refuses the batch: one identifier that it does not take must not fail the others.
func (g *group) lookAtAll(ctx context.Context, batch []*member) []sighting {
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
		byUUID[bareUUID(key)] = status
	}
	seen := make([]sighting, len(batch))
	for i, m := range batch {
		if status, ok := byUUID[bareUUID(m.uuid)]; ok && status.Status != "" {
			seen[i] = sighting{member: m, state: stateOf(status), busy: isStatusBusy(status)}
		} else {
			seen[i] = g.look(ctx, m)
		}
	}
	return seen
}

func failures(batch []*member, err error) []sighting {
	seen := make([]sighting, len(batch))
	for i, m := range batch {
		seen[i] = sighting{member: m, err: err}
	}
	return seen
}

// isRefusedBatch reports answers that may be due to one of the identifiers of a batch.
func isRefusedBatch(err error) bool {
	var api *APIError
	return errors.As(err, &api) &&
		slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusUnprocessableEntity}, api.StatusCode)
}

// look asks for one CVM by the identifier that was given.
func (g *group) look(ctx context.Context, m *member) sighting {
	cvm, err := g.cvms.Get(ctx, m.id)
	if err != nil {
		return sighting{member: m, err: err}
	}
	return sighting{member: m, busy: isBusy(cvm), state: openapi.CVMState{
		Status: cvm.Status, ID: cvm.ID, Name: cvm.Name, VMUUID: cvm.VMUUID, InstanceID: cvm.InstanceID, InProgress: cvm.InProgress,
	}}
}

// take notes what a question told, and says whether it was new.
func (g *group) take(s sighting) (changed bool) {
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
		m.failure = s.err // the context bounds how often
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

// sameState compares what a wait shows of a state. Uptime, which always changes, is no news.
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

// isStatusBusy reports whether an operation runs on a CVM: newer servers name it in one object, older ones in
// flat fields. Where neither a flag nor an operation is there, the status tells.
func isStatusBusy(s openapi.CVMStatusReport) bool {
	if s.InProgress != nil {
		return *s.InProgress
	}
	return s.Operation != nil || s.OperationType != "" || transient(s.Status)
}

// result is nil where all CVMs have settled.
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
