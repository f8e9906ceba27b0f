package onchain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

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

// KMSInfo is the information that the KMS published in its contract.
type KMSInfo struct {
	// RootKey signs the env keys of apps: pin it with kms.CheckSigner.
	RootKey kms.Signer
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
	if err := c.reader.batch(ctx, elems); err != nil {
		return nil, err
	}
	if err := firstError(elems); err != nil {
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
	root, err := kms.ParseSigner(hexutil.Encode(published.K256Pubkey))
	if err != nil {
		return nil, fmt.Errorf("kmsInfo: %w", err)
	}
	return &KMSInfo{
		RootKey: root, CAPublicKey: published.CaPubkey, Quote: published.Quote, EventLog: published.Eventlog, GatewayAppID: gatewayAppID,
	}, nil
}

// Ownership is the owner of a contract, and an offered owner.
type Ownership struct {
	Owner common.Address
	// Pending is the account that was offered the ownership and has not accepted, or zero.
	Pending common.Address
	// TwoStep reports that a new owner has to accept.
	TwoStep bool
	// IsContract reports that the owner is a contract, such as a Safe: use [Chain.Propose].
	IsContract bool
}

// Ownership reads the owner of the contract of an app, or of the KMS.
func (c *Chain) Ownership(ctx context.Context, contract common.Address) (Ownership, error) {
	at, err := c.view(ctx)
	if err != nil {
		return Ownership{}, err
	}
	return c.ownershipAt(ctx, contract, at.tag())
}

func (c *Chain) ownershipAt(ctx context.Context, contract common.Address, at string) (Ownership, error) {
	var owner, pending hexutil.Bytes
	a := dstackapp.NewApp()
	elems := []rpc.BatchElem{ethCall(&owner, contract, a.PackOwner(), at), ethCall(&pending, contract, a.PackPendingOwner(), at)}
	if err := c.reader.batch(ctx, elems); err != nil {
		return Ownership{}, err
	}
	if err := notReverts(elems); err != nil {
		return Ownership{}, err
	}
	if err := firstError(elems[:1]); err != nil {
		return Ownership{}, &ContractError{contract, err}
	}
	var out Ownership
	var err error
	if out.Owner, err = a.UnpackOwner(owner); err != nil {
		return Ownership{}, &ContractError{contract, fmt.Errorf("owner: %w", err)}
	}
	if offered, err := a.UnpackPendingOwner(pending); err == nil {
		out.Pending, out.TwoStep = offered, true
	}
	out.IsContract, err = c.isContract(ctx, out.Owner, at)
	return out, err
}

// isContract reports whether an account is a contract. A delegation (EIP-7702) is code, but its account still signs.
func (c *Chain) isContract(ctx context.Context, account common.Address, at string) (bool, error) {
	if account == (common.Address{}) {
		return false, nil
	}
	var code hexutil.Bytes
	err := c.reader.call(ctx, &code, "eth_getCode", account, at)
	return len(code) > 0 && !(len(code) == 23 && code[0] == 0xef && code[1] == 0x01), err
}
