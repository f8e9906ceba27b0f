package onchain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// Allowance reads whether the contract of app allows a compose hash and a device, at one block. The error is a
// [*ContractError] with [ErrNoCode] or [ErrNotRegistered] if there is no such app, after several attempts in later
// blocks, an [*EndpointError] or a [*HeadError].
func (c *Chain) Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error) {
	var out kms.Allowance
	err := c.again(ctx, func(at *header) (missing bool, err error) {
		out, err = c.allowanceAt(ctx, app, allowanceOf{hash, device}, at.tag())
		return isMissing(err), err
	})
	return out, err
}

type allowanceOf struct {
	hash   [32]byte
	device kms.DeviceID
}

func (c *Chain) allowanceAt(ctx context.Context, app kms.AppID, of allowanceOf, at string) (kms.Allowance, error) {
	var code, registered, hashOK, deviceOK, anyOK, owner, tcb hexutil.Bytes
	a, address := dstackapp.NewApp(), app.Address()
	elems := []rpc.BatchElem{
		request(&code, "eth_getCode", address, at),
		ethCall(&registered, c.contract.Address, dstackkms.NewKms().PackRegisteredApps(address), at),
		ethCall(&hashOK, address, a.PackAllowedComposeHashes(of.hash), at),
		ethCall(&deviceOK, address, a.PackAllowedDeviceIds(of.device), at),
		ethCall(&anyOK, address, a.PackAllowAnyDevice(), at),
		ethCall(&owner, address, a.PackOwner(), at),
		ethCall(&tcb, address, a.PackRequireTcbUpToDate(), at),
	}
	if err := c.reader.batch(ctx, elems); err != nil {
		return kms.Allowance{}, err
	}
	last := len(elems) - 1
	if err := checkApp(elems[:last], address, code, registered); err != nil {
		return kms.Allowance{}, err
	}
	// Contracts before dstack 0.5.9 do not have the function, which is a revert or an empty answer.
	if err := notReverts(elems[last:]); err != nil {
		return kms.Allowance{}, err
	}
	var out kms.Allowance
	if required, err := a.UnpackRequireTcbUpToDate(tcb); elems[last].Error == nil && err == nil {
		out.RequireTCBUpToDate = &required
	}
	for _, read := range []func() error{
		func() (err error) { out.ComposeHash, err = a.UnpackAllowedComposeHashes(hashOK); return },
		func() (err error) { out.Device, err = a.UnpackAllowedDeviceIds(deviceOK); return },
		func() (err error) { out.AnyDevice, err = a.UnpackAllowAnyDevice(anyOK); return },
		func() (err error) { out.Owner, err = a.UnpackOwner(owner); return },
	} {
		if err := read(); err != nil {
			return kms.Allowance{}, &ContractError{address, fmt.Errorf("not a DstackApp contract: %w", err)}
		}
	}
	return out, nil
}

// isMissing reports whether an app was not found. A node that lags does not find a new one.
func isMissing(err error) bool {
	return errors.Is(err, ErrNoCode) || errors.Is(err, ErrNotRegistered)
}

// checkApp checks the responses of a batch about an app, of which the first two are its code and whether it is
// registered.
func checkApp(elems []rpc.BatchElem, app common.Address, code, registered hexutil.Bytes) error {
	if err := firstError(elems[:2]); err != nil {
		return err
	}
	if len(code) == 0 {
		return &ContractError{app, ErrNoCode}
	}
	known, err := dstackkms.NewKms().UnpackRegisteredApps(registered)
	if err != nil {
		return fmt.Errorf("registeredApps: %w", err)
	}
	if !known {
		return &ContractError{app, ErrNotRegistered}
	}
	if err := notReverts(elems[2:]); err != nil {
		return err
	}
	if err := firstError(elems[2:]); err != nil {
		return &ContractError{app, fmt.Errorf("not a DstackApp contract: %w", err)}
	}
	return nil
}

// AllowedHashes are the compose hashes that the contract of an app allows, up to a cursor. It serialises to JSON, so
// that a later call can continue from it.
type AllowedHashes struct {
	Hashes []common.Hash `json:"hashes"`
	Cursor Cursor        `json:"cursor"`
}

// AllowedDevices are the devices that were added to the contract of an app, up to a cursor. It serialises to JSON, so
// that a later call can continue from it.
type AllowedDevices struct {
	Devices []kms.DeviceID `json:"devices"`
	Cursor  Cursor         `json:"cursor"`
}

// AllowedHashes returns the compose hashes that app allows. A contract cannot list them, so the candidates are those
// of its events after since.Cursor and those in since; each is then read from the contract. Start with a cursor whose
// Block is that of the app's deployment: hashes that were allowed before are not found.
func (c *Chain) AllowedHashes(ctx context.Context, app kms.AppID, since AllowedHashes) (AllowedHashes, error) {
	added := func(event Event) (common.Hash, bool) {
		added, ok := event.Value.(*dstackapp.AppComposeHashAdded)
		if !ok {
			return common.Hash{}, false
		}
		return added.ComposeHash, true
	}
	hashes, cursor, err := allowedValues(ctx, c, app, since.Cursor, since.Hashes, added, dstackapp.NewApp().PackAllowedComposeHashes)
	if err != nil {
		return since, err
	}
	return AllowedHashes{Hashes: hashes, Cursor: cursor}, nil
}

// AllowedDevices returns the devices that were added to the contract of app, as [Chain.AllowedHashes] does for
// hashes. Others may run the app as well if every device is allowed.
func (c *Chain) AllowedDevices(ctx context.Context, app kms.AppID, since AllowedDevices) (AllowedDevices, error) {
	added := func(event Event) (kms.DeviceID, bool) {
		added, ok := event.Value.(*dstackapp.AppDeviceAdded)
		if !ok {
			return kms.DeviceID{}, false
		}
		return added.DeviceId, true
	}
	devices, cursor, err := allowedValues(ctx, c, app, since.Cursor, since.Devices, added, dstackapp.NewApp().PackAllowedDeviceIds)
	if err != nil {
		return since, err
	}
	return AllowedDevices{Devices: devices, Cursor: cursor}, nil
}

// allowedValues reads the events of an app up to the newest confirmed block, and then the flag of each value, those in
// known and those that the events added, at the newest block. pack encodes the call that reads a flag.
func allowedValues[T ~[32]byte](ctx context.Context, c *Chain, app kms.AppID, after Cursor, known []T, added func(Event) (T, bool), pack func([32]byte) []byte) ([]T, Cursor, error) {
	if _, err := c.Allowance(ctx, app, [32]byte{}, kms.DeviceID{}); err != nil {
		return nil, after, err
	}
	logs := newLogReader(c, []common.Address{app.Address()}, 0)
	if logs.at = after; after.Hash == (common.Hash{}) && after.Index == nil && after.Block > 0 {
		logs.at.Block-- // the block that the caller named is read, too
	}
	values := slices.Clone(known)
	for failed, more := 0, true; more; {
		parts, left, err := logs.next(ctx)
		for _, p := range parts {
			for _, log := range p.logs {
				event, err := c.DecodeEvent(log)
				if err != nil {
					continue
				}
				if value, ok := added(event); ok && !slices.Contains(values, value) {
					values = append(values, value)
				}
			}
		}
		more = left
		if len(parts) > 0 || err == nil {
			failed = 0
		}
		if err == nil {
			continue
		}
		// A range that the endpoint refused is shorter the next time.
		var reorg *ReorgError
		if failed++; failed > 2*patience || errors.As(err, &reorg) {
			return nil, after, err
		}
		if err := pause.For(ctx, backoff(c.cfg.poll, 1)); err != nil {
			return nil, after, err
		}
	}
	at, err := c.view(ctx)
	if err != nil {
		return nil, after, err
	}
	answers, elems := make([]hexutil.Bytes, len(values)), make([]rpc.BatchElem, len(values))
	for i, value := range values {
		elems[i] = ethCall(&answers[i], app.Address(), pack(value), at.tag())
	}
	if err := c.reader.all(ctx, elems); err != nil {
		return nil, after, err
	}
	var allowed []T
	for i, answer := range answers {
		// Both getters return one bool.
		is, err := dstackapp.NewApp().UnpackAllowedComposeHashes(answer)
		if err != nil {
			return nil, after, &ContractError{app.Address(), err}
		}
		if is {
			allowed = append(allowed, values[i])
		}
	}
	return allowed, logs.at, nil
}
