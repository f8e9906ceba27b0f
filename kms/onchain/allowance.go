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
	var known [][32]byte
	for _, hash := range since.Hashes {
		known = append(known, hash)
	}
	found, cursor, err := c.allowed(ctx, app, since.Cursor, known, hashSet())
	if err != nil {
		return since, err
	}
	out := AllowedHashes{Cursor: cursor}
	for _, hash := range found {
		out.Hashes = append(out.Hashes, hash)
	}
	return out, nil
}

// AllowedDevices returns the devices that were added to the contract of app, as [Chain.AllowedHashes] does for
// hashes. Others may run the app as well if every device is allowed.
func (c *Chain) AllowedDevices(ctx context.Context, app kms.AppID, since AllowedDevices) (AllowedDevices, error) {
	var known [][32]byte
	for _, device := range since.Devices {
		known = append(known, device)
	}
	found, cursor, err := c.allowed(ctx, app, since.Cursor, known, deviceSet())
	if err != nil {
		return since, err
	}
	out := AllowedDevices{Cursor: cursor}
	for _, device := range found {
		out.Devices = append(out.Devices, device)
	}
	return out, nil
}

// set is one of the two sets in the contract of an app.
type set struct {
	// added returns what an event adds to the set.
	added func(Event) (value [32]byte, ok bool)
	pack  func([32]byte) []byte
}

func hashSet() set {
	return set{
		added: func(event Event) (value [32]byte, ok bool) {
			added, ok := event.Value.(*dstackapp.AppComposeHashAdded)
			if ok {
				value = added.ComposeHash
			}
			return value, ok
		},
		pack: func(value [32]byte) []byte { return dstackapp.NewApp().PackAllowedComposeHashes(value) },
	}
}

func deviceSet() set {
	return set{
		added: func(event Event) (value [32]byte, ok bool) {
			added, ok := event.Value.(*dstackapp.AppDeviceAdded)
			if ok {
				value = added.DeviceId
			}
			return value, ok
		},
		pack: func(value [32]byte) []byte { return dstackapp.NewApp().PackAllowedDeviceIds(value) },
	}
}

// allowed reads events up to the newest confirmed block, and reads the values at the newest block.
func (c *Chain) allowed(ctx context.Context, app kms.AppID, after Cursor, values [][32]byte, of set) ([][32]byte, Cursor, error) {
	if _, err := c.Allowance(ctx, app, [32]byte{}, kms.DeviceID{}); err != nil {
		return nil, after, err
	}
	logs := newLogReader(c, []common.Address{app.Address()}, 0)
	if logs.at = after; after.Hash == (common.Hash{}) && after.Index == nil && after.Block > 0 {
		logs.at.Block-- // a block that was named is read
	}
	values = slices.Clone(values)
	for failed, more := 0, true; more; {
		parts, left, err := logs.next(ctx)
		for _, p := range parts {
			for _, log := range p.logs {
				event, err := c.DecodeEvent(log)
				if err != nil {
					continue
				}
				if value, ok := of.added(event); ok && !slices.Contains(values, value) {
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
	flags, err := c.flags(ctx, app, of.pack, values, at.tag())
	if err != nil {
		return nil, after, err
	}
	found := values[:0]
	for i, value := range values {
		if flags[i] {
			found = append(found, value)
		}
	}
	return found, logs.at, nil
}

// flags reads values of a mapping to bool from the contract of an app.
func (c *Chain) flags(ctx context.Context, app kms.AppID, pack func([32]byte) []byte, keys [][32]byte, at string) ([]bool, error) {
	answers, elems := make([]hexutil.Bytes, len(keys)), make([]rpc.BatchElem, len(keys))
	for i, key := range keys {
		elems[i] = ethCall(&answers[i], app.Address(), pack(key), at)
	}
	if err := errors.Join(c.reader.batch(ctx, elems), firstError(elems)); err != nil {
		return nil, err
	}
	flags := make([]bool, len(keys))
	for i, answer := range answers {
		var err error
		if flags[i], err = dstackapp.NewApp().UnpackAllowedComposeHashes(answer); err != nil {
			return nil, &ContractError{app.Address(), err}
		}
	}
	return flags, nil
}
