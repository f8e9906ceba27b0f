package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/phala-go/phala/client"
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
	if known := slices.ContainsFunc(p.App.CVMs, func(c CVM) bool { return bareUUID(c.ID) == bareUUID(made.ID) }); known {
		return nil, fmt.Errorf("%s: %w", what, &MismatchError{What: CheckCVM, Local: "a new one", Remote: made.ID})
	}
	if err := f.waitFor(ctx, made, openapi.CVMRunning); err != nil {
		return nil, err
	}
	cvm, err := f.c.CVMs.Get(ctx, p.Created)
	if err != nil {
		return nil, fmt.Errorf("%s: cvm %s runs, but: %w", what, p.Created, err)
	}
	made.Name = cvm.Name
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

// createOnce has the API make a CVM, of which it makes a new one at each call. That it is asked is saved before. If
// the answer is lost, now or in an earlier run, the CVM of the app that was not there before is taken for it.
func (f *flow) createOnce(ctx context.Context, p *Pending, send func() error) error {
	if p.Asked {
		if err := f.lookFor(ctx, p); err != nil || p.Committed {
			return err
		}
	}
	before, err := f.siblings(ctx, p)
	if err != nil {
		return err
	}
	p.Siblings, p.Asked = before, true
	if err := f.cfg.keep(p); err != nil {
		return err
	}
	err = send()
	var mismatch *MismatchError
	switch {
	case p.Committed:
		return err
	case errors.As(err, &mismatch): // a CVM was made, and what the answer named is not of this app
		return err
	case err == nil || !p.Asked || isRefusal(err):
		p.Asked = false
		return errors.Join(err, f.cfg.keep(p))
	case ctx.Err() != nil:
		return err
	}
	if lookErr := f.lookFor(ctx, p); lookErr != nil {
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

// siblings are the vm_uuids of the app's CVMs; nil if this client may not list them.
func (f *flow) siblings(ctx context.Context, p *Pending) ([]string, error) {
	cvms, err := f.c.Apps.ListCVMs(ctx, p.App.ID.String())
	if errors.Is(err, client.ErrNoAPIKey) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the CVMs of app %s: %w", p.App.ID, err)
	}
	uuids := []string{}
	for _, cvm := range cvms {
		uuids = append(uuids, cvm.VMUUID)
	}
	return uuids, nil
}

// lookFor looks for the CVM of the app that was not there when p was asked for, for as long as the server may be at
// work. Without one p stays as it is.
func (f *flow) lookFor(ctx context.Context, p *Pending) error {
	if p.Siblings == nil {
		return fmt.Errorf("%s of %s was asked for and the answer is lost: without an API key nobody can tell whether it was made", p.Kind, p.Approval.Name)
	}
	for began := time.Now(); ; {
		now, err := f.siblings(ctx, p)
		if err != nil {
			return err
		}
		found := slices.DeleteFunc(now, func(uuid string) bool { return slices.Contains(p.Siblings, uuid) })
		switch {
		case len(found) == 1:
			p.Created, p.Committed = found[0], true
			f.cfg.progress(CreatedEvent{CVM: p.Created, Adopted: true})
			return f.cfg.keep(p)
		case len(found) > 1:
			return fmt.Errorf("app %s has several new CVMs (%.200q); name the one that is the %s with Pending.Resolve", p.App.ID, found, p.Kind)
		case time.Since(began) >= lostAnswerWait:
			return nil
		}
		if err := pause(ctx, lostAnswerPause); err != nil {
			return fmt.Errorf("looking for the new CVM of app %s: %w", p.App.ID, err)
		}
	}
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

// createdAs keeps which CVM was made.
func (f *flow) createdAs(p *Pending, vm *openapi.VM) error {
	id, err := created(vm, p.App.ID)
	if err != nil {
		return err
	}
	p.Created, p.Committed = id, true
	f.cfg.progress(CreatedEvent{CVM: id})
	return f.cfg.keep(p)
}
