package main

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest"
)

var (
	_ phalatest.Chain = (*memoryChain)(nil)
	_ deploy.Chain    = account{}
)

// memoryChain is a KMS's contract in memory. A simulated node has sockets, which testing/synctest does not wait for,
// so most flows on a chain use this one; see runReal for the others. It implements phalatest.Chain: what the cloud reads.
type memoryChain struct {
	key *ecdsa.PrivateKey
	ca  []byte

	mu    sync.Mutex
	apps  map[kms.AppID]*contract
	mined map[common.Hash]common.Address // what a transaction called
	nonce uint64
}

type contract struct {
	owner     common.Address
	hashes    map[[32]byte]bool
	devices   map[[32]byte]bool
	anyDevice bool
}

func newMemoryChain() (*memoryChain, error) {
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("soak kms root")))
	if err != nil {
		return nil, err
	}
	ca, err := ecdh.P256().NewPrivateKey(crypto.Keccak256([]byte("soak kms root ca")))
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(ca.PublicKey())
	if err != nil {
		return nil, err
	}
	return &memoryChain{key: key, ca: der, apps: map[kms.AppID]*contract{}, mined: map[common.Hash]common.Address{}}, nil
}

var (
	owner       = common.HexToAddress("0x00000000000000000000000000000000000000aa")
	kmsContract = common.HexToAddress("0x00000000000000000000000000000000000000bb")
)

func (c *memoryChain) ChainID() uint64             { return 1337 }
func (c *memoryChain) KMSContract() common.Address { return kmsContract }
func (c *memoryChain) KMSKey() *ecdsa.PrivateKey   { return c.key }
func (c *memoryChain) KMSRootCA() []byte           { return c.ca }

func (c *memoryChain) App(_ context.Context, app kms.AppID) (registered bool, deployer, by common.Address, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apps[app] == nil {
		return false, deployer, by, nil
	}
	return true, owner, c.apps[app].owner, nil
}

func (c *memoryChain) Allowance(_ context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	deployed := c.apps[app]
	if deployed == nil {
		return kms.Allowance{}, errors.New("no contract")
	}
	return kms.Allowance{
		ComposeHash: deployed.hashes[hash], Device: deployed.devices[device], AnyDevice: deployed.anyDevice, Owner: deployed.owner,
	}, nil
}

func (c *memoryChain) Transaction(_ context.Context, tx common.Hash) (mined, succeeded bool, to common.Address, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to, mined = c.mined[tx]
	return mined, mined, to, nil
}

// account is the memoryChain of its owner, over an endpoint that fails. It implements deploy.Chain.
type account struct {
	*memoryChain
	net *network
}

// chainError is a failure of the endpoint. The flows must return it, because it is from the caller's own chain.
type chainError struct{ when fault }

func (e *chainError) Error() string { return string(e.when) }

func (a account) fail(when fault) error {
	a.net.mu.Lock()
	hit := a.net.rng.Float64() < a.net.rate/3
	a.net.mu.Unlock()
	if !hit {
		return nil
	}
	a.net.tally.fault(when)
	return &chainError{when}
}

func (a account) KMS() common.Address    { return kmsContract }
func (a account) Sender() common.Address { return owner }

func (a account) RootKey(context.Context) (kms.RootKey, error) {
	return kms.RootKeyOf(a.key), a.fail(chainBefore)
}

func (a account) RootCA(context.Context) ([]byte, error) { return a.ca, a.fail(chainBefore) }

func (a account) Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error) {
	if err := a.fail(chainBefore); err != nil {
		return kms.Allowance{}, err
	}
	return a.memoryChain.Allowance(ctx, app, hash, device)
}

// signedTransaction is what a journal saves.
type signedTransaction struct {
	Transaction common.Hash
	Nonce       uint64
	Call        string
}

// transact sends the transaction of a journal. A saved transaction is sent again, which has no effect if it is mined.
func (a account) transact(ctx context.Context, j kms.Journal, call string, effect func(nonce uint64) common.Address) (signedTransaction, error) {
	var signed signedTransaction
	if len(j.Saved) > 0 {
		if err := json.Unmarshal(j.Saved, &signed); err != nil {
			return signed, err
		}
		if signed.Call != call {
			return signed, fmt.Errorf("the saved transaction is %q, not %q", signed.Call, call)
		}
	} else {
		a.mu.Lock()
		a.nonce++
		signed = signedTransaction{Nonce: a.nonce, Call: call, Transaction: crypto.Keccak256Hash([]byte(call), binary.BigEndian.AppendUint64(nil, a.nonce))}
		a.mu.Unlock()
		data, err := json.Marshal(signed)
		if err != nil {
			return signed, err
		}
		if j.Save != nil {
			if err := j.Save(data); err != nil {
				return signed, err
			}
		}
	}
	if err := a.fail(chainBefore); err != nil {
		return signed, err
	}
	mine := func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if _, done := a.mined[signed.Transaction]; !done {
			a.mined[signed.Transaction] = effect(signed.Nonce)
		}
	}
	if err := a.fail(chainSlow); err != nil {
		done := make(chan struct{})
		a.net.late.Go(func() { defer close(done); time.Sleep(40 * time.Second); mine() })
		select {
		case <-done:
		case <-ctx.Done():
			return signed, ctx.Err()
		}
	}
	mine()
	return signed, a.fail(chainAfter)
}

func (a account) DeployApp(ctx context.Context, spec kms.AppContract, j kms.Journal) (kms.AppID, common.Hash, error) {
	signed, err := a.transact(ctx, j, fmt.Sprintf("deploy %x", spec.ComposeHash), func(nonce uint64) common.Address {
		deployed := &contract{owner: owner, hashes: map[[32]byte]bool{spec.ComposeHash: true}, devices: map[[32]byte]bool{}, anyDevice: spec.AllowAnyDevice}
		if !spec.Device.IsZero() {
			deployed.devices[spec.Device] = true
		}
		a.apps[kms.AppID(crypto.CreateAddress(kmsContract, nonce))] = deployed
		return kmsContract
	})
	if err != nil {
		return kms.AppID{}, common.Hash{}, err
	}
	return kms.AppID(crypto.CreateAddress(kmsContract, signed.Nonce)), signed.Transaction, nil
}

func (a account) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error) {
	return a.set(ctx, app, "hash", hash, true, j)
}

func (a account) RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error) {
	return a.set(ctx, app, "hash", hash, false, j)
}

func (a account) AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error) {
	return a.set(ctx, app, "device", device, true, j)
}

func (a account) RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error) {
	return a.set(ctx, app, "device", device, false, j)
}

// set changes what a contract allows. The transaction is zero if nothing was to change.
func (a account) set(ctx context.Context, app kms.AppID, what string, key [32]byte, allowed bool, j kms.Journal) (common.Hash, error) {
	a.mu.Lock()
	deployed := a.apps[app]
	if deployed == nil {
		a.mu.Unlock()
		return common.Hash{}, errors.New("no contract")
	}
	set := map[string]map[[32]byte]bool{"hash": deployed.hashes, "device": deployed.devices}[what]
	unchanged := set[key] == allowed && len(j.Saved) == 0
	a.mu.Unlock()
	if unchanged {
		return common.Hash{}, a.fail(chainBefore)
	}
	signed, err := a.transact(ctx, j, fmt.Sprintf("%s %x: %t", what, key, allowed), func(uint64) common.Address {
		set[key] = allowed
		return app.Address()
	})
	if err != nil {
		return common.Hash{}, err
	}
	return signed.Transaction, nil
}
