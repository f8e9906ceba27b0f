package onchain

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
	"github.com/phala-go/phala/kms/onchain/internal/kmsauth"
)

// Version is the generation of the contracts.
type Version struct {
	// App is the version of the app contract that the factory deploys: 2 from dstack 0.5.9 on, 1 before, 0
	// if the KMS has none yet.
	App uint64
	// TwoStepOwnership reports that a new owner of the KMS contract has to accept (after dstack 0.5.11).
	TwoStepOwnership bool
	// PlainFactory reports whether the KMS has the factory with five arguments. All releases have.
	PlainFactory bool
	// TCBFactory reports whether the KMS has the factory with six arguments, of which one requires an up-to-date
	// TCB (from dstack 0.5.9 on).
	TCBFactory bool
}

// HasTCBFlag reports whether a new app can require an up-to-date TCB. It takes the factory and the implementation
// of the app, which are upgraded apart from one another.
func (v Version) HasTCBFlag() bool { return v.App >= 2 && v.TCBFactory }

// implementationSlot is the slot of a proxy for the address of its code (ERC-1967).
var implementationSlot = common.HexToHash("0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc")

// checkImplementation detects that the contract of the KMS was upgraded since the chain was opened: the result of the
// probe may not apply any more.
func (c *Chain) checkImplementation(now common.Hash) error {
	if now == c.implementation {
		return nil
	}
	return &ContractError{c.contract.Address, fmt.Errorf("%w: its code is at %s, and was at %s",
		ErrUpgraded, common.BytesToAddress(now[:]), common.BytesToAddress(c.implementation[:]))}
}

// probe determines the generation of the contract. A missing function reverts.
func (c *Chain) probe(ctx context.Context) error {
	return c.again(ctx, func(at *header) (missing bool, err error) {
		c.version, c.implementation, err = c.probeAt(ctx, at.tag())
		return errors.Is(err, ErrNoCode), err
	})
}

func (c *Chain) probeAt(ctx context.Context, at string) (Version, common.Hash, error) {
	var (
		chainID                                          hexutil.Uint64
		code, registered, implementation, pending, wrong hexutil.Bytes
		oldApp, oldSequence, oldImplementation           hexutil.Bytes
		slot                                             common.Hash
		current, old, address                            = dstackkms.NewKms(), kmsauth.NewKmsAuth(), c.contract.Address
	)
	elems := []rpc.BatchElem{
		request(&chainID, "eth_chainId"),
		request(&code, "eth_getCode", address, at),
		request(&slot, "eth_getStorageAt", address, implementationSlot, at),
		ethCall(&registered, address, current.PackRegisteredApps(common.Address{}), at),
		ethCall(&implementation, address, current.PackAppImplementation(), at),
		ethCall(&pending, address, current.PackPendingOwner(), at),
		// No contract may return true for this interface id (ERC-165).
		ethCall(&wrong, address, current.PackSupportsInterface([4]byte{0xff, 0xff, 0xff, 0xff}), at),
		ethCall(&oldApp, address, old.PackApps(common.Address{}), at),
		ethCall(&oldSequence, address, old.PackNextAppSequence(common.Address{}), at),
		ethCall(&oldImplementation, address, old.PackAppAuthImplementation(), at),
	}
	if err := c.reader.batch(ctx, elems); err != nil {
		return Version{}, slot, err
	}
	if err := firstError(elems[:3]); err != nil {
		return Version{}, slot, err
	}
	if got := uint64(chainID); got != c.contract.ChainID {
		return Version{}, slot, &ChainError{Got: got, Want: c.contract.ChainID}
	}
	if len(code) == 0 {
		return Version{}, slot, &ContractError{address, ErrNoCode}
	}
	if err := notReverts(elems[3:]); err != nil {
		return Version{}, slot, err
	}
	if yes, err := current.UnpackSupportsInterface(wrong); err == nil && yes {
		return Version{}, slot, &ContractError{address, ErrNotKMS}
	}
	_, noApps := old.UnpackApps(oldApp)
	_, noSequence := old.UnpackNextAppSequence(oldSequence)
	_, noImplementation := old.UnpackAppAuthImplementation(oldImplementation)
	if noApps == nil || noSequence == nil || noImplementation == nil {
		return Version{}, slot, &ContractError{address, ErrOldContract}
	}
	if _, err := current.UnpackRegisteredApps(registered); err != nil {
		return Version{}, slot, &ContractError{address, ErrNotKMS}
	}
	template, err := current.UnpackAppImplementation(implementation)
	if err != nil {
		return Version{}, slot, &ContractError{address, ErrNotKMS}
	}
	_, oneStep := current.UnpackPendingOwner(pending)
	version := Version{TwoStepOwnership: oneStep == nil}
	if behind := common.BytesToAddress(slot[:]); behind != (common.Address{}) {
		if err := c.reader.call(ctx, &code, "eth_getCode", behind, at); err != nil {
			return Version{}, slot, err
		}
	}
	version.PlainFactory, version.TCBFactory = hasFunction(code, "8618169d"), hasFunction(code, "9cb9c31f")
	version.App, err = c.appVersion(ctx, template, at)
	return version, slot, err
}

// hasFunction reports whether code compares the selector of a call with one, as compiled Solidity does. A call would
// not tell: not every node returns why a call reverts.
func hasFunction(code []byte, selector string) bool {
	const push4 = 0x63
	want, err := hex.DecodeString(selector)
	return err == nil && bytes.Contains(code, append([]byte{push4}, want...))
}

// appVersion reads the version of an app contract, or of an implementation of one: 1 if it has none.
func (c *Chain) appVersion(ctx context.Context, app common.Address, at string) (uint64, error) {
	if app == (common.Address{}) {
		return 0, nil
	}
	var answer hexutil.Bytes
	elems := []rpc.BatchElem{ethCall(&answer, app, dstackapp.NewApp().PackVersion(), at)}
	if err := c.reader.batch(ctx, elems); err != nil {
		return 0, err
	}
	if err := notReverts(elems); err != nil {
		return 0, err
	}
	version, err := dstackapp.NewApp().UnpackVersion(answer)
	if err != nil {
		return 1, nil
	}
	if !version.IsUint64() || version.Sign() == 0 {
		return 0, &ContractError{app, fmt.Errorf("version %s of the app contract is not known", version)}
	}
	return version.Uint64(), nil
}
