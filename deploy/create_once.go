package deploy

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/creations"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/openapi"
)

// lostAnswerWait is how long a CVM is looked for whose answer was lost. The server may still be at work: an answer
// was seen to take 70 seconds.
const lostAnswerWait = 3 * time.Minute

// lostAnswerPause lies between two looks.
const lostAnswerPause = 10 * time.Second

// finishCreation is the whole of one more CVM.
func (f *flow) finishCreation(ctx context.Context, p *Pending) (*App, error) {
	what := fmt.Sprintf("%s of %s", p.Kind, p.Approval.Name)
	if !p.Committed && !p.Prepared() {
		if err := f.ask(ctx, p); err != nil {
			return nil, fmt.Errorf("%s: %w", what, explain(err))
		}
	}
	if !p.Committed {
		if err := f.approved(ctx, p); err != nil {
			return nil, err
		}
		if err := f.commit(ctx, p); err != nil {
			return nil, err
		}
	}
	made := CVM{ID: p.Created, ComposeHash: p.Approval.ComposeHash}
	if err := f.waitFor(ctx, made, openapi.CVMRunning); err != nil {
		return nil, err
	}
	cvm, err := f.c.CVMs.Get(ctx, p.Created)
	if err != nil {
		return nil, fmt.Errorf("%s: cvm %s runs, but: %w", what, p.Created, err)
	}
	made.Name = cloudtext.Clean(cvm.Name)
	if err := f.compareCVM(made, cvm); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return f.conclude(ctx, p, cvm)
}

// ask makes the CVM, or learns that the chain must allow it first.
func (f *flow) ask(ctx context.Context, p *Pending) error {
	if p.Kind == PendingReplica {
		return f.createOnce(ctx, p, func() error { return f.makeReplica(ctx, p) })
	}
	return f.createOnce(ctx, p, func() error { return f.makeInstance(ctx, p) })
}

// createOnce has the API make a CVM, of which it makes a new one at each call, when no other flow of this client does so
// for the app. That it is asked is saved before. If the answer is lost, now or in an earlier run, the CVM of the app
// that was not there before is taken for it.
func (f *flow) createOnce(ctx context.Context, p *Pending, send func() error) error {
	turn, err := f.c.Creations().Wait(ctx, p.App.ID.String())
	if err != nil {
		return fmt.Errorf("waiting for another flow that makes a CVM of app %s: %w", p.App.ID, err)
	}
	defer turn.Done()
	if p.Asked {
		if err := f.lookFor(ctx, p, turn); err != nil || p.Committed {
			return err
		}
	}
	// What another flow asked for, and has not found, must be there before it can be told from what this one makes.
	if err := pause.For(ctx, time.Until(turn.Open(p.ID).Add(lostAnswerWait))); err != nil {
		return fmt.Errorf("waiting for what another flow asked for of app %s: %w", p.App.ID, err)
	}
	before, err := f.siblings(ctx, p)
	if err != nil {
		return err
	}
	if p.ID == "" {
		p.ID = rand.Text()
	}
	p.Siblings, p.Asked = before, true
	if err := f.cfg.keep(p); err != nil {
		p.Asked = false
		return err
	}
	turn.Asked(p.ID, before)
	err = send()
	var mismatch *MismatchError
	switch {
	case p.Committed:
		turn.Made(p.ID, p.Created)
		return err
	case errors.As(err, &mismatch): // a CVM was made, and the answer names another one
		return err
	case !p.Asked || isRefusal(err):
		turn.Made(p.ID, "")
		p.Asked = false
		return errors.Join(err, f.cfg.keep(p))
	case ctx.Err() != nil:
		return err
	}
	if lookErr := f.lookFor(ctx, p, turn); lookErr != nil {
		return errors.Join(err, lookErr)
	}
	if p.Committed {
		return nil
	}
	return err
}

// isRefusal reports whether the API refused, as opposed to a failure after which nobody knows whether the work was
// done.
func isRefusal(err error) bool {
	var api *client.APIError
	return errors.Is(err, ErrDeviceNotAccepted) ||
		errors.As(err, &api) && api.StatusCode < http.StatusInternalServerError && api.StatusCode != http.StatusRequestTimeout
}

// siblings are the CVMs of the app; nil if this client may not list them.
func (f *flow) siblings(ctx context.Context, p *Pending) ([]string, error) {
	cvms, err := f.list(ctx, p)
	if errors.Is(err, client.ErrNoAPIKey) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	uuids := []string{}
	for _, cvm := range cvms {
		uuids = append(uuids, listedID(cvm))
	}
	return uuids, nil
}

func (f *flow) list(ctx context.Context, p *Pending) ([]openapi.CVM, error) {
	cvms, err := f.c.Apps.ListCVMs(ctx, p.App.ID.String())
	if err != nil {
		return nil, fmt.Errorf("the CVMs of app %s: %w", p.App.ID, err)
	}
	return cvms, nil
}

// listedID identifies a CVM of a list: its vm_uuid, or its id if it has none.
func listedID(cvm openapi.CVM) string {
	if cvm.VMUUID != "" {
		return cloudtext.Clean(cvm.VMUUID)
	}
	return cloudtext.Clean(string(cvm.ID))
}

// lookFor looks for the CVM of the app that was not there when p was asked for, for as long as the server may be at
// work. Without one p stays as it is.
func (f *flow) lookFor(ctx context.Context, p *Pending, turn *creations.Turn) error {
	if cvm := turn.CVM(p.ID); cvm != "" { // p is an older copy
		return f.found(p, turn, cvm)
	}
	for began := time.Now(); ; {
		over := time.Since(began) >= lostAnswerWait
		now, err := f.list(ctx, p)
		switch {
		case err != nil && (over || isFinal(err) || ctx.Err() != nil):
			return fmt.Errorf("%s of %s was asked for and its answer is lost: %w", p.Kind, p.Approval.Name, err)
		case err == nil:
			sure, unsure, err := p.candidates(now, turn)
			switch {
			case err != nil:
				return err
			case len(sure) == 1 && p.Siblings != nil:
				return f.found(p, turn, sure[0])
			case len(sure) > 1 || over && len(sure)+len(unsure) > 0:
				return &AmbiguousError{App: p.App.ID, Kind: p.Kind, CVMs: append(sure, unsure...)}
			case over:
				turn.Made(p.ID, "")
				return nil
			}
		}
		if err := pause.For(ctx, lostAnswerPause); err != nil {
			return fmt.Errorf("looking for the new CVM of app %s: %w", p.App.ID, err)
		}
	}
}

// found keeps which CVM was made although its answer was lost.
func (f *flow) found(p *Pending, turn *creations.Turn, cvm string) error {
	turn.Made(p.ID, cvm)
	p.Created, p.Committed = cvm, true
	f.cfg.progress(CreatedEvent{CVM: cvm, Adopted: true})
	return f.cfg.keep(p)
}

// candidates are the CVMs that are new since p was asked for and can be what it made: those that fit all that the
// caller chose, and those with another name, which older servers choose themselves.
func (p *Pending) candidates(now []openapi.CVM, turn *creations.Turn) (sure, unsure []string, err error) {
	var request openapi.CreateInstanceRequest // of which that of a replica is a part
	if err := json.Unmarshal([]byte(p.Request), &request); err != nil {
		return nil, nil, fmt.Errorf("the request of the %s: %w", p.Kind, err)
	}
	for _, cvm := range now {
		id := listedID(cvm)
		owner := turn.Owner(p.ID, id)
		if p.existed(id) || owner == creations.Other {
			continue
		}
		hash, err := compose.ParseHash(cvm.ComposeHash)
		if err == nil && !hash.Equal(p.Approval.ComposeHash) {
			continue
		}
		if node := nodeOf(cvm); request.NodeID != nil && node != "" && node != strconv.Itoa(*request.NodeID) {
			continue
		}
		if owner == creations.Unclear || request.Name != nil && cvm.Name != *request.Name {
			unsure = append(unsure, id)
			continue
		}
		sure = append(sure, id)
	}
	return sure, unsure, nil
}

// nodeOf is the number of the node of a CVM; empty if the cloud does not report one.
func nodeOf(cvm openapi.CVM) string {
	if cvm.NodeInfo == nil {
		return ""
	}
	id := string(cvm.NodeInfo.NodeID)
	if id == "" {
		id = string(cvm.NodeInfo.ID)
	}
	if _, err := strconv.Atoi(id); err != nil {
		return "" // of a later version of the API, whose ids are no numbers
	}
	return id
}

// isFinal reports failures of the API that asking again does not mend.
func isFinal(err error) bool {
	var api *client.APIError
	if errors.As(err, &api) {
		return isRefusal(err) && !errors.Is(err, client.ErrRateLimited) && api.StatusCode != http.StatusTooEarly
	}
	return errors.Is(err, client.ErrNoAPIKey) || errors.Is(err, client.ErrDecode)
}

// answer is what came of a call that makes a CVM, and the request it was sent with.
type answer struct {
	err     error
	request any
}

// made takes the answer to a call that makes a CVM, or that wants the chain first.
func (f *flow) made(ctx context.Context, p *Pending, vm *openapi.VM, a answer) error {
	if errors.Is(a.err, client.ErrHashRegistrationRequired) {
		p.Asked = false // it answered, and made nothing
		prepared, err := preparationOf(a.err, a.request)
		if err != nil {
			return err
		}
		return f.takePreparation(ctx, p, prepared)
	}
	if a.err != nil {
		return a.err
	}
	return f.createdAs(p, vm)
}

// createdAs keeps which CVM was made. One that was there before is not it, whatever the cloud answers.
func (f *flow) createdAs(p *Pending, vm *openapi.VM) error {
	id, err := created(vm, p.App.ID)
	if err != nil {
		return err
	}
	if p.existed(id) {
		return &MismatchError{What: ComparedCVM, Local: "a new one", Remote: id}
	}
	p.Created, p.Committed = id, true
	f.cfg.progress(CreatedEvent{CVM: id})
	return f.cfg.keep(p)
}
