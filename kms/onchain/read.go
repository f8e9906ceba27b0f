package onchain

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// Allowance reads in one round trip what the contract of app says of a compose hash on a device. It fails with
// a [*ContractError] where there is no such app or the KMS does not know it.
func (c *Chain) Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error) {
	var code, registered, hashOK, deviceOK, anyOK, owner, tcb hexutil.Bytes
	a, address := dstackapp.NewApp(), app.Address()
	elems := []rpc.BatchElem{
		request(&code, "eth_getCode", address, "latest"),
		ethCall(&registered, c.contract.Address, dstackkms.NewKms().PackRegisteredApps(address)),
		ethCall(&hashOK, address, a.PackAllowedComposeHashes(hash)),
		ethCall(&deviceOK, address, a.PackAllowedDeviceIds(device)),
		ethCall(&anyOK, address, a.PackAllowAnyDevice()),
		ethCall(&owner, address, a.PackOwner()),
		ethCall(&tcb, address, a.PackRequireTcbUpToDate()),
	}
	if err := c.batch(ctx, elems); err != nil {
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

// checkApp looks at the first two answers of a batch about an app: its code, and whether it is registered.
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
	if err := firstError(elems[2:]); err != nil {
		return &ContractError{app, err}
	}
	return nil
}

// requireApp refuses what is not an app of this KMS: a transaction to an address without code succeeds and
// does nothing.
func (c *Chain) requireApp(ctx context.Context, app kms.AppID) error {
	var code, registered hexutil.Bytes
	elems := []rpc.BatchElem{
		request(&code, "eth_getCode", app.Address(), "latest"),
		ethCall(&registered, c.contract.Address, dstackkms.NewKms().PackRegisteredApps(app.Address())),
	}
	if err := c.batch(ctx, elems); err != nil {
		return err
	}
	return checkApp(elems, app.Address(), code, registered)
}

// KMSInfo is what the KMS published in its contract.
type KMSInfo struct {
	// RootKey signs the env keys of apps: pin it with kms.CheckSigner.
	RootKey kms.Signer
	// CAPublicKey is the key of the KMS's certificate authority, in DER.
	CAPublicKey []byte
	// Quote and EventLog are the KMS's attestation, as the contract holds them.
	Quote, EventLog []byte
	// GatewayAppID is the app id of the gateway, as text.
	GatewayAppID string
}

// KMSInfo reads what the KMS published. It fails where the root key is not a compressed secp256k1 key.
func (c *Chain) KMSInfo(ctx context.Context) (*KMSInfo, error) {
	var info, gateway hexutil.Bytes
	k := dstackkms.NewKms()
	elems := []rpc.BatchElem{
		ethCall(&info, c.contract.Address, k.PackKmsInfo()),
		ethCall(&gateway, c.contract.Address, k.PackGatewayAppId()),
	}
	if err := c.batch(ctx, elems); err != nil {
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
	root, err := kms.ParseSigner(hexutil.Encode(published.K256Pubkey))
	if err != nil {
		return nil, fmt.Errorf("kmsInfo: %w", err)
	}
	return &KMSInfo{
		RootKey: root, CAPublicKey: published.CaPubkey, Quote: published.Quote, EventLog: published.Eventlog, GatewayAppID: gatewayAppID,
	}, nil
}

// Ownership is who may change a contract.
type Ownership struct {
	Owner common.Address
	// Pending is who was offered the ownership and has not accepted, or zero.
	Pending common.Address
	// TwoStep tells that a new owner has to accept.
	TwoStep bool
	// IsContract tells that the owner is a contract, such as a Safe: use [Chain.Propose].
	IsContract bool
}

// Ownership reads who owns the contract of an app, or that of the KMS.
func (c *Chain) Ownership(ctx context.Context, contract common.Address) (Ownership, error) {
	var owner, pending, code hexutil.Bytes
	a := dstackapp.NewApp()
	elems := []rpc.BatchElem{ethCall(&owner, contract, a.PackOwner()), ethCall(&pending, contract, a.PackPendingOwner())}
	if err := c.batch(ctx, elems); err != nil {
		return Ownership{}, err
	}
	if err := firstError(elems[:1]); err != nil {
		return Ownership{}, &ContractError{contract, err}
	}
	if err := notReverts(elems[1:]); err != nil {
		return Ownership{}, err
	}
	var out Ownership
	var err error
	if out.Owner, err = a.UnpackOwner(owner); err != nil {
		return Ownership{}, &ContractError{contract, fmt.Errorf("owner: %w", err)}
	}
	if offered, err := a.UnpackPendingOwner(pending); err == nil {
		out.Pending, out.TwoStep = offered, true
	}
	if err := c.rpc.CallContext(ctx, &code, "eth_getCode", out.Owner, "latest"); err != nil {
		return Ownership{}, fmt.Errorf("eth_getCode: %w", withoutAddress(err))
	}
	// A delegation (EIP-7702) is code, but its account still signs.
	out.IsContract = len(code) > 0 && !(len(code) == 23 && code[0] == 0xef && code[1] == 0x01)
	return out, nil
}
