package onchain

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

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
	// Registered reports whether the KMS knows the app, and HasCode whether there is a contract.
	Registered, HasCode bool
	// OSImageAllowed reports whether the KMS allows the OS image.
	OSImageAllowed bool
	// Allowance is the answer of the app's contract. It is zero if there is none.
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
	if err := errors.Join(c.reader.batch(ctx, elems), firstError(elems[:3])); err != nil {
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

// OSImageAllowed reports whether the KMS allows an OS image.
func (c *Chain) OSImageAllowed(ctx context.Context, image [32]byte) (bool, error) {
	at, err := c.view(ctx)
	if err != nil {
		return false, err
	}
	var answer hexutil.Bytes
	elems := []rpc.BatchElem{ethCall(&answer, c.contract.Address, dstackkms.NewKms().PackAllowedOsImages(image), at.tag())}
	if err := errors.Join(c.reader.batch(ctx, elems), firstError(elems)); err != nil {
		return false, err
	}
	allowed, err := dstackkms.NewKms().UnpackAllowedOsImages(answer)
	if err != nil {
		return false, &ContractError{c.contract.Address, err}
	}
	return allowed, nil
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
