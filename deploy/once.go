package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
)

// once has the API make a CVM, of which it makes a new one at each call. That it is asked is saved before. Where
// the answer is lost, now or in an earlier run, the CVM of the app that was not there before is taken for it.
func (p *Pending) once(ctx context.Context, c *client.Client, cfg *config, ask func() error) error {
	if p.Asked {
		if err := p.find(ctx, c, cfg); err != nil || p.Committed {
			return err
		}
	}
	before, err := siblings(ctx, c, p.AppID)
	if err != nil {
		return err
	}
	p.Siblings, p.Asked = before, true
	if err := cfg.keep(p); err != nil {
		return err
	}
	err = ask()
	switch {
	case p.Committed:
		return err
	case err == nil || answered(err):
		p.Asked = false
		return errors.Join(err, cfg.keep(p))
	case ctx.Err() != nil:
		return err
	}
	if findErr := p.find(ctx, c, cfg); findErr != nil {
		return errors.Join(err, findErr)
	}
	if p.Committed {
		return nil
	}
	return err
}

// answered tells a refusal from a failure after which nobody knows whether the work was done.
func answered(err error) bool {
	var mismatch *MismatchError
	var api *client.APIError
	return errors.As(err, &mismatch) ||
		errors.As(err, &api) && api.StatusCode < http.StatusInternalServerError && api.StatusCode != http.StatusRequestTimeout
}

// siblings are the vm_uuids of the app's CVMs; nil where that is not for this client to know.
func siblings(ctx context.Context, c *client.Client, app kms.AppID) ([]string, error) {
	cvms, err := c.Apps.ListCVMs(ctx, app.String())
	if errors.Is(err, client.ErrNoAPIKey) || errors.Is(err, client.ErrUnauthorized) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the CVMs of app %s: %w", app, err)
	}
	uuids := []string{}
	for _, cvm := range cvms {
		uuids = append(uuids, cvm.VMUUID)
	}
	return uuids, nil
}

// find takes over the CVM of the app that was not there when p was asked for. Without one p stays as it is.
func (p *Pending) find(ctx context.Context, c *client.Client, cfg *config) error {
	now, err := siblings(ctx, c, p.AppID)
	if err != nil {
		return err
	}
	if p.Siblings == nil || now == nil {
		return fmt.Errorf("%s of %s was asked for and the answer is lost: without an API key nobody can tell whether it was made", p.Kind, p.Name)
	}
	found := slices.DeleteFunc(now, func(uuid string) bool { return slices.Contains(p.Siblings, uuid) })
	switch len(found) {
	case 0:
		return nil
	case 1:
		p.Created, p.Committed = found[0], true
		cfg.progress(CreatedEvent{CVM: p.Created, Adopted: true})
		return cfg.keep(p)
	}
	return fmt.Errorf("app %s has several new CVMs (%v); one of them may be the %s that was asked for", p.AppID, found, p.Kind)
}
