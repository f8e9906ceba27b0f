package onchain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// Deployment is an app whose contract was deployed.
type Deployment struct {
	// App is the address of the contract, and the id of the app.
	App     kms.AppID
	Receipt *Receipt
}

// DeployApp deploys an app's contract through the factory of the KMS. The app is the one in the event of the KMS
// itself, with the signer as deployer; events of other contracts in the same transaction are ignored. DeployApp then
// reads the new contract and compares it with spec. The error is one of those of [Chain.Prepare] and [Chain.Send], or
// [ErrNoTCBFlag].
//
// Each call without [ResumeIntent] deploys another app. An intent to resume whose nonce another confirmed transaction has
// used never took effect: it is dropped and prepared anew.
func (c *Chain) DeployApp(ctx context.Context, spec kms.AppContract, opts ...SendOption) (*Deployment, error) {
	if c.cfg.signer == nil {
		return nil, ErrNoSigner
	}
	if spec.Owner == (common.Address{}) {
		spec.Owner = c.Sender()
	}
	call, err := c.DeployAppCall(spec)
	if err != nil {
		return nil, err
	}
	receipt, from, err := c.sendOnce(ctx, call, opts)
	if err != nil {
		return nil, err
	}
	app, err := c.deployedApp(receipt, from)
	if err != nil {
		return nil, err
	}
	want := deployed{spec.Owner, true, !spec.Device.IsZero(), spec.AllowAnyDevice, spec.RequireTCBUpToDate}
	if err := c.settle(ctx, receipt.Tx, "the new app", fmt.Sprintf("%+v", want), func(ctx context.Context) (string, bool, error) {
		got, err := c.readDeployed(ctx, app, spec)
		return fmt.Sprintf("%+v", got), got == want, err
	}); err != nil {
		return nil, err
	}
	return &Deployment{app, receipt}, nil
}

// deployed is the state of a new app that can be compared with its spec.
type deployed struct {
	Owner                                              common.Address
	ComposeHash, Device, AnyDevice, RequireTCBUpToDate bool
}

func (c *Chain) readDeployed(ctx context.Context, app kms.AppID, spec kms.AppContract) (deployed, error) {
	allowed, err := c.Allowance(ctx, app, spec.ComposeHash, spec.Device)
	if err != nil {
		return deployed{}, err
	}
	return deployed{
		Owner: allowed.Owner, ComposeHash: allowed.ComposeHash, Device: allowed.Device, AnyDevice: allowed.AnyDevice,
		RequireTCBUpToDate: allowed.RequireTCBUpToDate != nil && *allowed.RequireTCBUpToDate,
	}, nil
}

// Deployed waits for a transaction of another sender, such as the execution of a multisig's proposal, and returns the
// app that it deployed. deployer is the caller of the factory: the multisig. The error is a [*PendingError], a
// [*RevertError] or a [*ReceiptError].
func (c *Chain) Deployed(ctx context.Context, tx common.Hash, deployer common.Address) (*Deployment, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.wait)
	defer cancel()
	t := &tracker{c: c, contract: c.contract.Address, last: "not seen yet"}
	for {
		mined, err := t.find(ctx, tx)
		if err != nil {
			return nil, err
		}
		if mined != nil && *mined.Status == 0 {
			return nil, &RevertError{Contract: c.contract.Address, Call: "to deploy an app", Text: "the transaction failed", Tx: tx}
		}
		if mined != nil {
			receipt := mined.receipt()
			app, err := c.deployedApp(receipt, deployer)
			if err != nil {
				return nil, err
			}
			return &Deployment{app, receipt}, nil
		}
		if err := pause.For(ctx, c.cfg.poll); err != nil {
			return nil, &PendingError{Tx: tx, Waited: time.Since(began), Last: t.last, Err: errors.Join(err, t.lastErr)}
		}
	}
}

// find requests the receipt of a transaction once.
func (t *tracker) find(ctx context.Context, tx common.Hash) (*wireReceipt, error) {
	var r *wireReceipt
	h, ok := t.read(ctx, []rpc.BatchElem{request(&r, "eth_getTransactionReceipt", tx)})
	if !ok {
		return nil, nil
	}
	if r == nil {
		t.note("not mined")
		return nil, nil
	}
	return t.confirm(ctx, r, tx, h)
}

// deployedApp returns the one app in the KMS's own events of a receipt, with deployer as its deployer.
func (c *Chain) deployedApp(receipt *Receipt, deployer common.Address) (kms.AppID, error) {
	var found []*dstackkms.KmsAppDeployedViaFactory
	var others int
	topic := dstackkms.NewKms().GetABI().Events[dstackkms.KmsAppDeployedViaFactoryEventName].ID
	for _, log := range receipt.Logs {
		if log == nil || len(log.Topics) == 0 || log.Topics[0] != topic {
			continue
		}
		if log.Address != c.contract.Address || log.Removed {
			others++
			continue
		}
		event, err := dstackkms.NewKms().UnpackAppDeployedViaFactoryEvent(log)
		if err != nil {
			return kms.AppID{}, fmt.Errorf("event of %s: %w", log.Address, err)
		}
		found = append(found, event)
	}
	if len(found) != 1 {
		got := fmt.Sprintf("%d from the KMS", len(found))
		if others > 0 {
			got += fmt.Sprintf(" and %d from other contracts", others)
		}
		return kms.AppID{}, &ReceiptError{Tx: receipt.Tx, What: "the number of AppDeployedViaFactory events", Got: got, Want: "1 from the KMS"}
	}
	if got := found[0].Deployer; got != deployer {
		return kms.AppID{}, &ReceiptError{Tx: receipt.Tx, What: "the deployer", Got: got.String(), Want: deployer.String()}
	}
	return kms.AppID(found[0].AppId), nil
}
