package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Prepare prepares an update of a CVM whose KMS is on a chain, and does not change the CVM. The owner of the app's
// contract must allow the Approval of the result: pass it to [Approve], or to the multisig that owns the contract,
// and finally pass the whole [Pending] to [Commit]. The secrets of the change are encrypted locally and bound to it.
//
// A prepared update can change only what the API can prepare: the docker-compose file, the pre-launch script,
// allowed_envs, and what is public. A newer preparation for the same CVM supersedes the older one.
func Prepare(ctx context.Context, c *client.Client, app *App, spec UpdateSpec, opts ...Option) (*Pending, error) {
	f, err := begin(inPrepare, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, doc, err := f.planUpdate(ctx, spec)
	if err != nil {
		return nil, err
	}
	if !p.changesDocument() {
		return nil, &InputError{Field: "prepare " + p.Approval.Name, Rule: "the document does not change, so that there is nothing to approve; use Update"}
	}
	request, err := f.preparable(p, doc)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", p.Approval.Name, err)
	}
	prepared, err := f.prepareUpdate(ctx, p, request)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", p.Approval.Name, err)
	}
	if err := f.takePreparation(ctx, p, prepared); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", p.Approval.Name, err)
	}
	return p, f.cfg.keep(p)
}

// preparable is the change as one request, with the settings; an error if the API cannot express it so.
func (f *flow) preparable(p *Pending, doc document) (openapi.UpdateCVMRequest, error) {
	var request openapi.UpdateCVMRequest
	if p.Settings != nil {
		request, p.Settings = *p.Settings, nil
	}
	base, err := parseDocument(p.Approval.Before)
	if err != nil {
		return request, fmt.Errorf("the document before: %w", err)
	}
	rest := *base.app
	if after := doc.app.DockerComposeFile; !equal(base.app.DockerComposeFile, after) {
		request.DockerComposeFile, rest.DockerComposeFile = after, after
	}
	if after := doc.app.PreLaunchScript; !equal(base.app.PreLaunchScript, after) {
		request.PreLaunchScript, rest.PreLaunchScript = after, after
	}
	if after := doc.app.PublicLogs; !equal(base.app.PublicLogs, after) {
		request.PublicLogs, rest.PublicLogs = after, after
	}
	if after := doc.app.PublicSysInfo; !equal(base.app.PublicSysInfo, after) {
		request.PublicSysInfo, rest.PublicSysInfo = after, after
	}
	if after := doc.app.PublicTCBInfo; !equal(base.app.PublicTCBInfo, after) {
		request.PublicTCBInfo, rest.PublicTCBInfo = after, after
	}
	if fmt.Sprint(base.app.AllowedEnvs) != fmt.Sprint(doc.app.AllowedEnvs) {
		rest.AllowedEnvs = append([]string{}, doc.app.AllowedEnvs...)
		request.AllowedEnvs = rest.AllowedEnvs
	}
	reached, err := newDocument(&rest)
	if err != nil {
		return request, err
	}
	if !reached.hash.Equal(doc.hash) {
		return request, &InputError{Field: "UpdateSpec", Rule: "the API can prepare only another docker-compose file, pre-launch script, allowed_envs and what is public; the document changes more than that, so use Update"}
	}
	if p.Secrets != nil {
		request.EncryptedEnv = &p.EncryptedEnv
	}
	return request, nil
}

// preparation is what the cloud holds under a token until it is committed.
type preparation struct {
	hash    compose.Hash
	app     kms.AppID
	device  kms.DeviceID
	chain   uint64
	kms     common.Address
	token   openapi.Secret
	expires time.Time
	request openapi.Secret
}

// prepareUpdate asks for a preparation, which the cloud answers as a refusal that carries all that is needed.
func (f *flow) prepareUpdate(ctx context.Context, p *Pending, request openapi.UpdateCVMRequest) (*preparation, error) {
	accepted, err := f.c.CVMs.Update(ctx, p.CVM.ID, request, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)},
		client.WithConflictWait(conflictWait))
	if err == nil {
		return nil, mismatch(ComparedChain, "a change that waits for the chain", "taken at once: "+string(accepted.Status))
	}
	return preparationOf(err, request)
}

// preparationOf reads what a 465 asks for; any other error stays.
func preparationOf(err error, request any) (*preparation, error) {
	var required *client.HashRegistrationRequired
	if !errors.As(err, &required) {
		return nil, err
	}
	p := &preparation{token: required.CommitToken, expires: time.Now().Add(preparedFor).UTC().Truncate(time.Second)}
	var parseErr error
	if p.hash, parseErr = compose.ParseHash(required.ComposeHash); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedComposeHash, "that of the change", required.ComposeHash), err)
	}
	if p.app, parseErr = kms.ParseAppID(required.AppID); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedAppID, "that of the change", required.AppID), err)
	}
	if p.device, parseErr = parseDevice(required.DeviceID); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedDevice, "64 hexadecimal digits", required.DeviceID), err)
	}
	p.chain, p.kms = chainOf(required.KMSInfo)
	data, parseErr := openapi.Marshal(request)
	if parseErr != nil {
		return nil, parseErr
	}
	p.request = openapi.Secret(data)
	return p, nil
}

// takePreparation compares what the cloud prepared with what was asked for, and keeps the token.
func (f *flow) takePreparation(ctx context.Context, p *Pending, prepared *preparation) error {
	if _, err := compare(ComparedAppID, p.App.ID.String(), prepared.app.String()); err != nil {
		return err
	}
	if err := p.App.compareKMS(prepared.chain, prepared.kms); err != nil {
		return err
	}
	if err := f.compareApproved(p, prepared.hash); err != nil {
		return err
	}
	if p.Device.IsZero() || p.Device != prepared.device {
		if err := f.acceptPending(ctx, p, prepared.device); err != nil {
			return err
		}
	}
	p.NeedsApproval, p.Device = true, prepared.device
	p.Token, p.Approval.Expires, p.Request = prepared.token, prepared.expires, prepared.request
	return nil
}

// compareApproved compares the hash that the cloud wants allowed with the one computed here.
func (f *flow) compareApproved(p *Pending, remote compose.Hash) error {
	if !p.Approval.Unpredicted {
		comparison, err := compare(ComparedComposeHash, p.Approval.ComposeHash.String(), remote.String())
		if err != nil {
			return err
		}
		f.report(&p.Comparisons, comparison)
		return nil
	}
	comparison := Comparison{Name: ComparedComposeHash, Outcome: Undecided, Remote: remote.String(), Reason: "the platform completes the document; what boots is compared afterwards"}
	if p.App.onChain() {
		if !f.cfg.hashFromCloud {
			return fmt.Errorf("%w: give the document a pre-launch script of its own", ErrUnpredictable)
		}
		comparison.Outcome, comparison.Reason = Waived, "TrustComposeHashFromCloud"
	}
	p.Approval.ComposeHash = remote
	f.report(&p.Comparisons, comparison)
	return nil
}

// acceptPending keeps the machine that the contract must allow, if the caller accepts it. A machine that the contract
// allows already, by name or because it allows any, is not to be allowed again.
func (f *flow) acceptPending(ctx context.Context, p *Pending, device kms.DeviceID) error {
	p.Approval.Device = kms.DeviceID{}
	allowed := p.App.AnyDevice || device.IsZero()
	if f.cfg.chain != nil && !allowed {
		a, err := f.cfg.chain.Allowance(ctx, p.App.ID, p.Approval.ComposeHash, device)
		if err != nil {
			return onChainError("contract of app "+p.App.ID.String(), err)
		}
		allowed = a.Device || a.AnyDevice
	}
	if allowed {
		f.report(&p.Comparisons, Comparison{Name: ComparedDevice, Outcome: NotNeeded, Remote: device.String(), Reason: "the contract allows the machine already"})
		return nil
	}
	comparison, err := f.cfg.acceptDevice(device, slices.Concat(p.App.Devices, p.Devices))
	if err != nil {
		return err
	}
	p.Approval.Device = device
	f.report(&p.Comparisons, comparison)
	return nil
}

// compareKMS compares the chain and the contract that the cloud names for the KMS with those of the anchor.
func (a *App) compareKMS(id uint64, contract common.Address) error {
	if _, err := compare(ComparedChain, strconv.FormatUint(a.ChainID, 10), strconv.FormatUint(id, 10)); err != nil {
		return err
	}
	_, err := compare(ComparedKMSContract, a.KMSContract.Hex(), contract.Hex())
	return err
}
