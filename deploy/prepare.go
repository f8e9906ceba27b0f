package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Prepare prepares a change of a CVM whose KMS is on a chain, and leaves the CVM as it is. The result says
// what the owner of the app's contract must allow; hand it to [Approve], or to the multisig that owns the
// contract, and at last to [Commit]. The secrets of the change are encrypted here and bound to it.
//
// A newer preparation for the same CVM supersedes the older one.
func Prepare(ctx context.Context, c *client.Client, change Change, opts ...Option) (*Pending, error) {
	cfg, err := configure(opts)
	if err != nil {
		return nil, err
	}
	u, err := planUpdate(ctx, c, change, cfg)
	if err != nil {
		return nil, err
	}
	p, err := prepareUpdate(ctx, c, u.cvm.Name, handle(u.cvm), u.request)
	if err != nil {
		return nil, err
	}
	if err := u.accept(p, cfg); err != nil {
		return nil, err
	}
	return p, cfg.keep(p)
}

// prepareUpdate asks for a preparation, which the cloud answers as a refusal that carries all that is needed.
func prepareUpdate(ctx context.Context, c *client.Client, name, cvm string, request openapi.UpdateCVMRequest) (*Pending, error) {
	accepted, err := c.CVMs.Update(ctx, cvm, request, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)},
		client.WithConflictWait(conflictWait))
	if err == nil {
		return nil, fmt.Errorf("prepare the change of %s: the cloud took it at once (%s); its KMS is on no chain", name, accepted.Status)
	}
	p, err := pendingOf(err, PendingUpdate, request)
	if err != nil {
		return nil, fmt.Errorf("prepare the change of %s: %w", name, err)
	}
	p.CVM, p.Name = cvm, name
	return p, nil
}

// pendingOf reads what a 465 asks for; any other error stays.
func pendingOf(err error, kind PendingKind, request any) (*Pending, error) {
	var required *client.HashRegistrationRequired
	if !errors.As(err, &required) {
		return nil, err
	}
	p := &Pending{Kind: kind, Token: required.CommitToken, Expires: time.Now().Add(tokenLife).UTC().Truncate(time.Second)}
	var parseErr error
	if p.ComposeHash, parseErr = compose.ParseHash(required.ComposeHash); parseErr != nil {
		return nil, fmt.Errorf("%w; %w", parseErr, err)
	}
	if p.AppID, parseErr = kms.ParseAppID(required.AppID); parseErr != nil {
		return nil, fmt.Errorf("%w; %w", parseErr, err)
	}
	if p.DeviceID, parseErr = bareDevice(required.DeviceID); parseErr != nil {
		return nil, fmt.Errorf("%w; %w", parseErr, err)
	}
	p.ChainID, p.KMSContract = chainOf(required.KMSInfo)
	data, parseErr := json.Marshal(request)
	if parseErr != nil {
		return nil, parseErr
	}
	p.Request = openapi.Secret(data)
	return p, nil
}

// renew prepares an expired change anew. The compose hash must come out the same, so that what was allowed
// on chain stays allowed. Where the cloud chooses another device, that is yet to be allowed.
func renew(ctx context.Context, c *client.Client, p *Pending) error {
	var fresh *Pending
	var err error
	switch p.Kind {
	case PendingUpdate:
		var request openapi.UpdateCVMRequest
		if err = json.Unmarshal([]byte(p.Request), &request); err == nil {
			fresh, err = prepareUpdate(ctx, c, p.Name, p.CVM, request)
		}
	case PendingReplica:
		var request openapi.ReplicateRequest
		if err = json.Unmarshal([]byte(p.Request), &request); err == nil {
			fresh, err = prepareReplica(ctx, c, p.CVM, request)
		}
	default:
		err = errors.New("an instance is prepared by asking for it again")
	}
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrExpired, p.Expires.Format(time.RFC3339), err)
	}
	if _, err := compare(CheckComposeHash, p.ComposeHash.String(), fresh.ComposeHash.String()); err != nil {
		return err
	}
	if _, err := compare(CheckAppID, p.AppID.String(), fresh.AppID.String()); err != nil {
		return err
	}
	p.Token, p.Expires = fresh.Token, fresh.Expires
	if fresh.DeviceID != p.DeviceID {
		p.DeviceID, p.Transaction, p.Intents = fresh.DeviceID, "", nil
	}
	return nil
}
