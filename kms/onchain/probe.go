package onchain

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
	"github.com/phala-go/phala/kms/onchain/internal/kmsauth"
)

// Version tells the generations of the contracts apart.
type Version struct {
	// App is the version of the app contract that the factory deploys: 2 from dstack 0.5.9 on, 1 before, 0
	// where the KMS has none yet.
	App uint64
	// TwoStepOwnership tells that a new owner of the KMS contract has to accept (after dstack 0.5.11).
	TwoStepOwnership bool
}

// HasTCBFlag tells whether the contracts can demand an up-to-date TCB.
func (v Version) HasTCBFlag() bool { return v.App >= 2 }

// probe asks the contract what it is. A function that is not there reverts.
func (c *Chain) probe(ctx context.Context) (Version, error) {
	var (
		chainID                                          hexutil.Uint64
		code, registered, implementation, pending, wrong hexutil.Bytes
		oldApp, oldSequence, oldImplementation           hexutil.Bytes
		current, old, address                            = dstackkms.NewKms(), kmsauth.NewKmsAuth(), c.contract.Address
	)
	elems := []rpc.BatchElem{
		request(&chainID, "eth_chainId"),
		request(&code, "eth_getCode", address, "latest"),
		ethCall(&registered, address, current.PackRegisteredApps(common.Address{})),
		ethCall(&implementation, address, current.PackAppImplementation()),
		ethCall(&pending, address, current.PackPendingOwner()),
		// No contract may say yes to this interface id (ERC-165).
		ethCall(&wrong, address, current.PackSupportsInterface([4]byte{0xff, 0xff, 0xff, 0xff})),
		ethCall(&oldApp, address, old.PackApps(common.Address{})),
		ethCall(&oldSequence, address, old.PackNextAppSequence(common.Address{})),
		ethCall(&oldImplementation, address, old.PackAppAuthImplementation()),
	}
	if err := c.batch(ctx, elems); err != nil {
		return Version{}, err
	}
	if err := firstError(elems[:2]); err != nil {
		return Version{}, err
	}
	if got := uint64(chainID); got != c.contract.ChainID {
		return Version{}, &ChainError{Got: got, Want: c.contract.ChainID}
	}
	if len(code) == 0 {
		return Version{}, &ContractError{address, ErrNoCode}
	}
	if err := notReverts(elems[2:]); err != nil {
		return Version{}, err
	}
	if yes, err := current.UnpackSupportsInterface(wrong); err == nil && yes {
		return Version{}, &ContractError{address, ErrNotKMS}
	}
	_, noApps := old.UnpackApps(oldApp)
	_, noSequence := old.UnpackNextAppSequence(oldSequence)
	_, noImplementation := old.UnpackAppAuthImplementation(oldImplementation)
	if noApps == nil || noSequence == nil || noImplementation == nil {
		return Version{}, &ContractError{address, ErrOldContract}
	}
	if _, err := current.UnpackRegisteredApps(registered); err != nil {
		return Version{}, &ContractError{address, ErrNotKMS}
	}
	template, err := current.UnpackAppImplementation(implementation)
	if err != nil {
		return Version{}, &ContractError{address, ErrNotKMS}
	}
	_, oneStep := current.UnpackPendingOwner(pending)
	app, err := c.appVersion(ctx, template)
	return Version{App: app, TwoStepOwnership: oneStep == nil}, err
}

// appVersion asks an app contract, or the implementation of one, for its version: 1 where it has none.
func (c *Chain) appVersion(ctx context.Context, app common.Address) (uint64, error) {
	if app == (common.Address{}) {
		return 0, nil
	}
	var answer hexutil.Bytes
	elems := []rpc.BatchElem{ethCall(&answer, app, dstackapp.NewApp().PackVersion())}
	if err := c.batch(ctx, elems); err != nil {
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

// notReverts is the first error that is not a contract's refusal.
func notReverts(elems []rpc.BatchElem) error {
	for _, e := range elems {
		if e.Error == nil {
			continue
		}
		if _, reverted := revertData(e.Error); !reverted {
			return fmt.Errorf("%s: %w", e.Method, e.Error)
		}
	}
	return nil
}
