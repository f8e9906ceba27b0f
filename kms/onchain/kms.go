package onchain

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
	"github.com/phala-go/phala/kms/onchain/internal/kmsauth"
)

// ContractVersion is the generation of the contracts.
type ContractVersion struct {
	// App is the version of the app contract that the factory deploys: 2 from dstack 0.5.9 on, 1 before, 0
	// if the KMS has none yet.
	App uint64
	// TwoStepOwnership reports that a new owner of the KMS contract has to accept (after dstack 0.5.11).
	TwoStepOwnership bool
	// PlainFactory reports whether the KMS has the factory with five arguments. All releases have it.
	PlainFactory bool
	// TCBFactory reports whether the KMS has the factory with six arguments, of which one requires an up-to-date
	// TCB (from dstack 0.5.9 on).
	TCBFactory bool
}

// HasTCBFlag reports whether a new app can require an up-to-date TCB. Both the factory and the implementation of the app
// must support it; they are upgraded separately.
func (v ContractVersion) HasTCBFlag() bool { return v.App >= 2 && v.TCBFactory }

// implementationSlot is the slot of a proxy for the address of its code (ERC-1967).
var implementationSlot = common.HexToHash("0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc")

// checkImplementation returns an error if the contract of the KMS was upgraded since the chain was opened, because the
// result of the probe may no longer apply.
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

func (c *Chain) probeAt(ctx context.Context, at string) (ContractVersion, common.Hash, error) {
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
		return ContractVersion{}, slot, err
	}
	if err := firstError(elems[:3]); err != nil {
		return ContractVersion{}, slot, err
	}
	if got := uint64(chainID); got != c.contract.ChainID {
		return ContractVersion{}, slot, &ChainError{Got: got, Want: c.contract.ChainID}
	}
	if len(code) == 0 {
		return ContractVersion{}, slot, &ContractError{address, ErrNoCode}
	}
	if err := notReverts(elems[3:]); err != nil {
		return ContractVersion{}, slot, err
	}
	if yes, err := current.UnpackSupportsInterface(wrong); err == nil && yes {
		return ContractVersion{}, slot, &ContractError{address, ErrNotKMS}
	}
	_, noApps := old.UnpackApps(oldApp)
	_, noSequence := old.UnpackNextAppSequence(oldSequence)
	_, noImplementation := old.UnpackAppAuthImplementation(oldImplementation)
	if noApps == nil || noSequence == nil || noImplementation == nil {
		return ContractVersion{}, slot, &ContractError{address, ErrOldContract}
	}
	if _, err := current.UnpackRegisteredApps(registered); err != nil {
		return ContractVersion{}, slot, &ContractError{address, ErrNotKMS}
	}
	template, err := current.UnpackAppImplementation(implementation)
	if err != nil {
		return ContractVersion{}, slot, &ContractError{address, ErrNotKMS}
	}
	_, oneStep := current.UnpackPendingOwner(pending)
	version := ContractVersion{TwoStepOwnership: oneStep == nil}
	if behind := common.BytesToAddress(slot[:]); behind != (common.Address{}) {
		if err := c.reader.call(ctx, &code, "eth_getCode", behind, at); err != nil {
			return ContractVersion{}, slot, err
		}
	}
	version.PlainFactory, version.TCBFactory = hasFunction(code, "8618169d"), hasFunction(code, "9cb9c31f")
	version.App, err = c.appVersion(ctx, template, at)
	return version, slot, err
}

// hasFunction reports whether code compares the selector of a call with one, as compiled Solidity does. A call is no
// proof, because not every node returns why it reverts.
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
	if err := c.reader.allOrRevert(ctx, elems); err != nil {
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

// KMSInfo is the information that the KMS published in its contract.
type KMSInfo struct {
	// RootKey signs the env keys of apps: pin it with kms.CheckSigner.
	RootKey kms.RootKey
	// CAPublicKey is the key of the KMS's certificate authority, in DER.
	CAPublicKey []byte
	// Quote and EventLog are the KMS's attestation in the contract.
	Quote, EventLog []byte
	// GatewayAppID is the app id of the gateway, as text.
	GatewayAppID string
}

// KMSInfo reads the published information of the KMS. The error is [ErrNoKMSInfo] if there is none, and another one
// if the root key is not a compressed secp256k1 key.
func (c *Chain) KMSInfo(ctx context.Context) (*KMSInfo, error) {
	var info, gateway hexutil.Bytes
	k := dstackkms.NewKms()
	at, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	elems := []rpc.BatchElem{
		ethCall(&info, c.contract.Address, k.PackKmsInfo(), at.tag()),
		ethCall(&gateway, c.contract.Address, k.PackGatewayAppId(), at.tag()),
	}
	if err := c.reader.all(ctx, elems); err != nil {
		return nil, err
	}
	published, err := k.UnpackKmsInfo(info)
	if err != nil {
		return nil, fmt.Errorf("kmsInfo: %w", err)
	}
	gatewayAppID, err := k.UnpackGatewayAppId(gateway)
	if err != nil {
		return nil, fmt.Errorf("gatewayAppId: %w", err)
	}
	if len(published.K256Pubkey) == 0 {
		return nil, &ContractError{c.contract.Address, ErrNoKMSInfo}
	}
	root, err := kms.ParseRootKey(hexutil.Encode(published.K256Pubkey))
	if err != nil {
		return nil, fmt.Errorf("kmsInfo: %w", err)
	}
	return &KMSInfo{
		RootKey: root, CAPublicKey: published.CaPubkey, Quote: published.Quote, EventLog: published.Eventlog, GatewayAppID: gatewayAppID,
	}, nil
}

// OSImageAllowed reports whether the KMS allows an OS image.
func (c *Chain) OSImageAllowed(ctx context.Context, image [32]byte) (bool, error) {
	at, err := c.view(ctx)
	if err != nil {
		return false, err
	}
	var answer hexutil.Bytes
	elems := []rpc.BatchElem{ethCall(&answer, c.contract.Address, dstackkms.NewKms().PackAllowedOsImages(image), at.tag())}
	if err := c.reader.all(ctx, elems); err != nil {
		return false, err
	}
	allowed, err := dstackkms.NewKms().UnpackAllowedOsImages(answer)
	if err != nil {
		return false, &ContractError{c.contract.Address, err}
	}
	return allowed, nil
}

// Boot is the data that a CVM presents to the KMS when it requests its keys.
type Boot struct {
	App         kms.AppID
	ComposeHash [32]byte
	Device      kms.DeviceID
	// OSImage is the hash of the OS image.
	OSImage [32]byte
	// TCBStatus is that of the platform, as in "UpToDate". It matters only if the contract requires it.
	TCBStatus string
	// Instance, MRAggregated, MRSystem and Advisories are for custom contracts that check them.
	Instance               common.Address
	MRAggregated, MRSystem [32]byte
	Advisories             []string
}

// BootDecision is the decision of the contracts on a boot, with the reasons.
type BootDecision struct {
	// Allowed is the decision of the KMS's contract, and Reason its text if it refuses.
	Allowed bool
	Reason  string
	// Registered reports whether the app is registered with the KMS, and HasCode whether its contract exists.
	Registered, HasCode bool
	// OSImageAllowed reports whether the KMS allows the OS image.
	OSImageAllowed bool
	// Allowance is the state of the app's contract. It is zero if there is none.
	Allowance kms.Allowance
	// Block is the block of all reads.
	Block uint64
}

// Refusals returns all reasons why the contracts refuse the boot; Reason is only the first one. It returns nothing if
// they allow it.
func (d *BootDecision) Refusals() []string {
	if d.Allowed {
		return nil
	}
	var all []string
	for _, r := range []struct {
		refused bool
		text    string
	}{
		{!d.Registered, "the app is not registered with the KMS"},
		{!d.HasCode, "there is no contract at the app id"},
		{!d.OSImageAllowed, "the KMS does not allow the OS image"},
		{d.HasCode && !d.Allowance.ComposeHash, "the app's contract does not allow the compose hash"},
		{d.HasCode && !d.Allowance.Device && !d.Allowance.AnyDevice, "the app's contract does not allow the device"},
	} {
		if r.refused {
			all = append(all, r.text)
		}
	}
	if len(all) == 0 || strings.Contains(strings.ToLower(d.Reason), "tcb") {
		all = append(all, fmt.Sprintf("the contract refuses: %.300q", d.Reason))
	}
	return all
}

// DecideBoot reports whether the contracts allow the KMS to release keys to a CVM, and the reasons. It makes the
// KMS's calls, and reads all state at the same block.
func (c *Chain) DecideBoot(ctx context.Context, boot Boot) (*BootDecision, error) {
	at, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	k, block := dstackkms.NewKms(), at.tag()
	info := dstackkms.AppBootInfo{
		AppId: boot.App.Address(), ComposeHash: boot.ComposeHash, InstanceId: boot.Instance, DeviceId: boot.Device,
		MrAggregated: boot.MRAggregated, MrSystem: boot.MRSystem, OsImageHash: boot.OSImage,
		TcbStatus: boot.TCBStatus, AdvisoryIds: boot.Advisories,
	}
	data, err := k.TryPackIsAppAllowed(info)
	if err != nil {
		return nil, err
	}
	var decision, registered, image, code hexutil.Bytes
	kmsAddress := c.contract.Address
	elems := []rpc.BatchElem{
		ethCall(&registered, kmsAddress, k.PackRegisteredApps(boot.App.Address()), block),
		ethCall(&image, kmsAddress, k.PackAllowedOsImages(boot.OSImage), block),
		request(&code, "eth_getCode", boot.App.Address(), block),
		ethCall(&decision, kmsAddress, data, block),
	}
	if err := c.reader.batch(ctx, elems); err != nil {
		return nil, err
	}
	if err := firstError(elems[:3]); err != nil {
		return nil, err
	}
	out := &BootDecision{HasCode: len(code) > 0, Block: uint64(at.Number)}
	var errs [2]error
	out.Registered, errs[0] = k.UnpackRegisteredApps(registered)
	out.OSImageAllowed, errs[1] = k.UnpackAllowedOsImages(image)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, &ContractError{kmsAddress, err}
	}
	if out.Registered && out.HasCode {
		if out.Allowance, err = c.allowanceAt(ctx, boot.App, allowanceOf{boot.ComposeHash, boot.Device}, block); err != nil {
			return nil, err
		}
	}
	if elems[3].Error != nil {
		// The KMS's contract returns a failure of the app's contract unchanged.
		reverted := revert(Call{To: kmsAddress, Description: "isAppAllowed"}, elems[3].Error)
		var reason *RevertError
		if !errors.As(reverted, &reason) {
			return nil, reverted
		}
		out.Reason = reason.Text
		return out, nil
	}
	verdict, err := k.UnpackIsAppAllowed(decision)
	if err != nil {
		return nil, &ContractError{kmsAddress, fmt.Errorf("isAppAllowed: %w", err)}
	}
	out.Allowed, out.Reason = verdict.IsAllowed, verdict.Reason
	c.reached.reach(out.Block)
	return out, nil
}
