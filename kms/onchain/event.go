package onchain

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// ErrUnknownEvent is returned when a log is none of the contracts' events.
var ErrUnknownEvent = errors.New("not an event of these contracts")

// Event is an event of a contract.
type Event struct {
	Contract  common.Address
	Block     uint64
	BlockHash common.Hash
	Tx        common.Hash
	// Index is the index among the logs of the block.
	Index uint
	// Value is one of the event types of dstackkms, if Contract is the KMS, or dstackapp, such as
	// *dstackapp.AppComposeHashAdded.
	Value bind.ContractEvent
}

// Cursor returns the position of the event: a watch that continues from it yields the next one.
func (e Event) Cursor() Cursor {
	index := e.Index
	return Cursor{Block: e.Block, Hash: e.BlockHash, Index: &index}
}

// DecodeEvent decodes a log of the KMS's contract or of an app's. The error is [ErrUnknownEvent] if it is none of
// their events. A malformed log is an error too, never a value of zeros.
func (c *Chain) DecodeEvent(log *types.Log) (Event, error) {
	if log == nil || len(log.Topics) == 0 {
		return Event{}, ErrUnknownEvent
	}
	event := Event{Contract: log.Address, Block: log.BlockNumber, BlockHash: log.BlockHash, Tx: log.TxHash, Index: log.Index}
	var err error
	if log.Address == c.contract.Address {
		event.Value, err = decodeKMSEvent(log)
	} else {
		event.Value, err = decodeAppEvent(log)
	}
	return event, err
}

func decodeKMSEvent(log *types.Log) (bind.ContractEvent, error) {
	k := dstackkms.NewKms()
	event, err := eventOf(k.GetABI(), log)
	if err != nil {
		return nil, err
	}
	switch event.Name {
	case dstackkms.KmsAppDeployedViaFactoryEventName:
		return value(k.UnpackAppDeployedViaFactoryEvent(log))
	case dstackkms.KmsAppRegisteredEventName:
		return value(k.UnpackAppRegisteredEvent(log))
	case dstackkms.KmsAppImplementationSetEventName:
		return value(k.UnpackAppImplementationSetEvent(log))
	case dstackkms.KmsKmsInfoSetEventName:
		return value(k.UnpackKmsInfoSetEvent(log))
	case dstackkms.KmsGatewayAppIdSetEventName:
		return value(k.UnpackGatewayAppIdSetEvent(log))
	case dstackkms.KmsKmsAggregatedMrAddedEventName:
		return value(k.UnpackKmsAggregatedMrAddedEvent(log))
	case dstackkms.KmsKmsAggregatedMrRemovedEventName:
		return value(k.UnpackKmsAggregatedMrRemovedEvent(log))
	case dstackkms.KmsKmsDeviceAddedEventName:
		return value(k.UnpackKmsDeviceAddedEvent(log))
	case dstackkms.KmsKmsDeviceRemovedEventName:
		return value(k.UnpackKmsDeviceRemovedEvent(log))
	case dstackkms.KmsOsImageHashAddedEventName:
		return value(k.UnpackOsImageHashAddedEvent(log))
	case dstackkms.KmsOsImageHashRemovedEventName:
		return value(k.UnpackOsImageHashRemovedEvent(log))
	case dstackkms.KmsPolicyChangedEventName:
		return value(k.UnpackPolicyChangedEvent(log))
	case dstackkms.KmsOwnershipTransferredEventName:
		return value(k.UnpackOwnershipTransferredEvent(log))
	case dstackkms.KmsOwnershipTransferStartedEventName:
		return value(k.UnpackOwnershipTransferStartedEvent(log))
	case dstackkms.KmsUpgradedEventName:
		return value(k.UnpackUpgradedEvent(log))
	case dstackkms.KmsInitializedEventName:
		return value(k.UnpackInitializedEvent(log))
	}
	return nil, ErrUnknownEvent
}

func decodeAppEvent(log *types.Log) (bind.ContractEvent, error) {
	a := dstackapp.NewApp()
	event, err := eventOf(a.GetABI(), log)
	if err != nil {
		return nil, err
	}
	switch event.Name {
	case dstackapp.AppComposeHashAddedEventName:
		return value(a.UnpackComposeHashAddedEvent(log))
	case dstackapp.AppComposeHashRemovedEventName:
		return value(a.UnpackComposeHashRemovedEvent(log))
	case dstackapp.AppDeviceAddedEventName:
		return value(a.UnpackDeviceAddedEvent(log))
	case dstackapp.AppDeviceRemovedEventName:
		return value(a.UnpackDeviceRemovedEvent(log))
	case dstackapp.AppAllowAnyDeviceSetEventName:
		return value(a.UnpackAllowAnyDeviceSetEvent(log))
	case dstackapp.AppRequireTcbUpToDateSetEventName:
		return value(a.UnpackRequireTcbUpToDateSetEvent(log))
	case dstackapp.AppUpgradesDisabledEventName:
		return value(a.UnpackUpgradesDisabledEvent(log))
	case dstackapp.AppPolicyChangedEventName:
		return value(a.UnpackPolicyChangedEvent(log))
	case dstackapp.AppOwnershipTransferredEventName:
		return value(a.UnpackOwnershipTransferredEvent(log))
	case dstackapp.AppOwnershipTransferStartedEventName:
		return value(a.UnpackOwnershipTransferStartedEvent(log))
	case dstackapp.AppUpgradedEventName:
		return value(a.UnpackUpgradedEvent(log))
	case dstackapp.AppInitializedEventName:
		return value(a.UnpackInitializedEvent(log))
	}
	return nil, ErrUnknownEvent
}

// eventOf finds the event of a log. The generated code treats missing data as zeros, so its presence is checked here.
func eventOf(contract abi.ABI, log *types.Log) (*abi.Event, error) {
	event, err := contract.EventByID(log.Topics[0])
	if err != nil {
		return nil, ErrUnknownEvent
	}
	if len(log.Data) == 0 && len(event.Inputs.NonIndexed()) > 0 {
		return nil, fmt.Errorf("event %s of %s: no data", event.Name, log.Address)
	}
	return event, nil
}

// value keeps a nil pointer of a failed decoding out of the interface.
func value[E any, P interface {
	*E
	bind.ContractEvent
}](decoded P, err error) (bind.ContractEvent, error) {
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return decoded, nil
}

// deployedApp finds the one app in the KMS's own events of a receipt, with deployer as its deployer.
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
