package phalatest

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Chain is the contract of a KMS on a chain as the cloud reads it, with the KMS's own key. The result of View of a
// *chaintest.Chain implements it.
type Chain interface {
	// ChainID is the EIP-155 id of the chain.
	ChainID() uint64
	// KMSContract is the address of the KMS's contract.
	KMSContract() common.Address
	// KMSKey is the root key of the KMS, whose public key is in its contract.
	KMSKey() *ecdsa.PrivateKey
	// KMSRootCA is the public key of the KMS's root CA (DER SubjectPublicKeyInfo), which is in its contract.
	KMSRootCA() []byte
	// App reads whether the KMS has registered an app, and the deployer and owner of its contract.
	App(ctx context.Context, app kms.AppID) (registered bool, deployer, owner common.Address, err error)
	// Allowance reads what the contract of an app allows.
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
	// Transaction reads whether a transaction is mined and succeeded, and which contract it called.
	Transaction(ctx context.Context, tx common.Hash) (mined, succeeded bool, to common.Address, err error)
}

// WithChain adds a KMS that the contract on a chain governs. The contract is read for each decision.
func WithChain(chain Chain) Option {
	return func(s *Server) error {
		if chain == nil {
			return errors.New("chain: nil")
		}
		s.chain = chain
		return nil
	}
}

// alreadyRegistered replaces a transaction in a request if the contract has allowed everything before.
const alreadyRegistered = "already-registered"

// chainTimeout limits the chain reads of one request.
const chainTimeout = 10 * time.Second

// allowance is what an app's contract returns for a hash and the device of a node.
type allowance struct {
	hash, device, anyDevice bool
	err                     error
}

func (a allowance) allowed() bool { return a.err == nil && a.hash && (a.device || a.anyDevice) }

// allowance reads the contract of an app. The central KMS allows everything.
func (a *app) allowance(hash compose.Hash, n *node) allowance {
	if !a.kms.onChain() {
		return allowance{hash: true, device: true}
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	read, err := a.kms.chain.Allowance(ctx, a.id, hash, n.device)
	return allowance{hash: read.ComposeHash, device: read.Device, anyDevice: read.AnyDevice, err: err}
}

func chainUnreadable(err error) *response {
	return codedError(http.StatusServiceUnavailable, "", "The chain cannot be read: "+err.Error())
}

// checkAllowed returns nil if an app may run a compose hash on a node now; the central KMS always allows it. On a chain
// it returns 465 for a request without a transaction, unless fresh is false and the contract allows it already. For a
// request with a transaction it returns 468 if the contract does not allow it, and 467 if the transaction is invalid.
func (s *Server) checkAllowed(a *app, hash compose.Hash, n *node, by approval, fresh bool) *response {
	if !a.kms.onChain() {
		return nil
	}
	read := a.allowance(hash, n)
	switch {
	case read.err != nil:
		return chainUnreadable(read.err)
	case by.transaction == "" && !fresh && read.allowed():
		return nil
	case by.transaction == "":
		return registrationRequired(a.registration(hash, n)...)
	case !read.hash:
		return codedError(statusNotAllowed, "ERR-01-008", "The contract does not allow compose hash "+hash.String())
	case !read.allowed():
		return codedError(statusNotAllowed, "ERR-01-008", "The contract does not allow device "+n.device.String())
	case by.transaction == alreadyRegistered:
		return nil
	}
	return a.checkTransaction(by.transaction, s.undocumented.transaction)
}

func (a *app) checkTransaction(text string, rule TransactionRule) *response {
	refused := func(reason string) *response {
		return codedError(statusTxInvalid, "ERR-01-007", fmt.Sprintf("Transaction %.80s: %s", text, reason))
	}
	var tx common.Hash
	if err := tx.UnmarshalText([]byte(text)); err != nil {
		return refused("not the hash of a transaction")
	}
	if tx == (common.Hash{}) || rule == TransactionAny {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	mined, succeeded, to, err := a.kms.chain.Transaction(ctx, tx)
	switch {
	case err != nil:
		return refused(err.Error())
	case !mined:
		return refused("no receipt")
	case !succeeded:
		return refused("it has reverted")
	case rule == TransactionToApp && to != a.id.Address():
		return refused("it called another contract")
	}
	return nil
}

// checkContract compares the contract and the deployer in a request for a new app with the chain.
func (s *Server) checkContract(p *provision, id kms.AppID, contract, deployer string) *response {
	if contract != "" && common.HexToAddress(contract) != id.Address() {
		return codedError(http.StatusBadRequest, "ERR-02-008", "contract_address is not the app_id")
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	registered, deployedBy, _, err := p.kms.chain.App(ctx, id)
	switch {
	case err != nil:
		return chainUnreadable(err)
	case !registered:
		return codedError(statusTxInvalid, "ERR-01-007", "The KMS has not registered app "+id.String())
	case deployer != "" && common.HexToAddress(deployer) != deployedBy:
		return codedError(http.StatusBadRequest, "ERR-02-008", "deployer_address is not the deployer of the app")
	}
	return s.checkAllowed(&app{id: id, kms: p.kms}, p.key.hash, p.node, approval{transaction: alreadyRegistered}, true)
}

// answerAllowed answers whether the contract of an app allows a hash on a device, or on the device of a node.
func (s *Server) answerAllowed(a *app, hashText string, nodeID *int, deviceID *string, absent *node) *response {
	if !a.kms.onChain() {
		return plainError(http.StatusBadRequest, "The app is under the central KMS and has no contract")
	}
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return invalidField(err.Error(), "body", "compose_hash")
	}
	n := absent
	if nodeID != nil {
		n = s.node(*nodeID)
	}
	if deviceID != nil {
		want := strings.ToLower(strings.TrimPrefix(*deviceID, "0x"))
		if n = first(s.nodes, func(n *node) bool { return n.device.String() == want }); n == nil {
			return plainError(http.StatusNotFound, "Unknown device")
		}
	}
	if n == nil {
		return plainError(http.StatusBadRequest, "node_id or device_id is required")
	}
	return ok(a.describeAllowance(hash, n))
}

func (a *app) describeAllowance(hash compose.Hash, n *node) openapi.Allowance {
	read := a.allowance(hash, n)
	described := openapi.Allowance{
		AppContractAddress: a.contract(), ComposeHash: hash.String(), DeviceID: n.device.String(), ComposeHashAllowed: read.hash,
		AllowAnyDevice: read.anyDevice, IsAllowed: read.allowed(),
	}
	if !read.anyDevice {
		described.DeviceIDAllowed = ref(read.device)
	}
	if read.err != nil {
		described.Error = read.err.Error()
	}
	return described
}

func (s *Server) answerAppsCheckAllowed(c *call, r openapi.CheckAllowedRequest) *response {
	return s.answerAllowed(c.app, r.ComposeHash, r.NodeID, r.DeviceID, nil)
}

func (s *Server) answerCVMsCheckAllowed(c *call, r openapi.CheckCVMAllowedRequest) *response {
	hash := c.vm.doc.hash.String()
	setIf(&hash, r.ComposeHash)
	return s.answerAllowed(c.app, hash, r.NodeID, r.DeviceID, c.vm.node)
}

func (*Server) answerAppsCheckCVMsAllowed(c *call) *response {
	results, allowed, failed := []openapi.CVMAllowance{}, 0, 0
	if c.app.kms.onChain() {
		for _, vm := range c.app.cvms {
			read := c.app.describeAllowance(vm.doc.hash, vm.node)
			switch {
			case read.Error != "":
				failed++
			case read.IsAllowed:
				allowed++
			}
			results = append(results, openapi.CVMAllowance{
				CVMID: vm.rowID(c), AppContractAddress: read.AppContractAddress, ComposeHash: read.ComposeHash, DeviceID: read.DeviceID,
				ComposeHashAllowed: read.ComposeHashAllowed, AllowAnyDevice: read.AllowAnyDevice, DeviceIDAllowed: read.DeviceIDAllowed,
				IsAllowed: read.IsAllowed, Error: read.Error,
			})
		}
	}
	return ok(openapi.CVMAllowances{
		IsOnchain: c.app.kms.onChain(), Results: results, Total: ref(len(results)), AllowedCount: &allowed,
		DeniedCount: ref(len(results) - allowed - failed), ErrorCount: &failed, SkippedCVMIDs: []openapi.ID{},
	})
}

func (s *Server) answerAppsGetDeviceAllowlist(c *call) *response {
	if !c.app.kms.onChain() {
		return ok(openapi.DeviceAllowlist{IsOnchainKMS: ref(false), Devices: []openapi.AllowlistDevice{}})
	}
	devices, anyDevice := []openapi.AllowlistDevice{}, false
	for _, n := range s.nodes {
		read := c.app.allowance(compose.Hash{}, n)
		anyDevice = anyDevice || read.anyDevice
		ids := []openapi.ID{}
		for _, vm := range c.app.cvms {
			if vm.node == n {
				ids = append(ids, vm.rowID(c))
			}
		}
		if !read.device && len(ids) == 0 {
			continue
		}
		status := "allowed"
		if !read.device {
			status = "not_allowed"
		}
		devices = append(devices, openapi.AllowlistDevice{
			DeviceID: n.device.String(), NodeName: n.name, CVMIDs: ids, AllowedOnchain: ref(read.device), Status: status,
		})
	}
	return ok(openapi.DeviceAllowlist{
		IsOnchainKMS: ref(true), AllowAnyDevice: &anyDevice, ChainID: c.app.kms.chainID(), AppContractAddress: c.app.contract(), Devices: devices,
	})
}

func (*Server) answerAppsGetKMSInfo(c *call) *response {
	described := openapi.AppKMSInfo{
		IsOnchainKMS: ref(c.app.kms.onChain()), ChainID: c.app.kms.chainID(), KMSContractAddress: c.app.kms.address(), AppContractAddress: c.app.contract(),
		DeployerAddress: c.app.deployer, IsContract: ref(false),
	}
	if !c.app.kms.onChain() {
		return ok(described)
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	_, _, owner, err := c.app.kms.chain.App(ctx, c.app.id)
	if err != nil {
		return plainError(http.StatusServiceUnavailable, "The chain cannot be read: "+err.Error())
	}
	described.DeployerAddress, described.DeployerType = owner.Hex(), "eoa"
	return ok(described)
}

func (s *Server) answerKMSGetOnChain(c *call) *response {
	chain := c.params["chain"]
	id, known := map[string]int64{"ethereum": 1, "base": 8453}[chain]
	if !known {
		return plainError(http.StatusBadRequest, "Unknown chain "+chain)
	}
	contracts := []openapi.OnChainKMSContract{}
	for _, k := range s.services {
		if !k.onChain() || k.kind != chain {
			continue
		}
		id = *k.chainID()
		contracts = append(contracts, openapi.OnChainKMSContract{
			ContractAddress: k.address(), ChainID: id, ChainName: chain, K256PubKey: k.signer().String(), CAPubKey: hex.EncodeToString(k.rootCA()),
			Devices: mapped(s.nodes, func(n *node) openapi.OnChainDevice {
				return openapi.OnChainDevice{DeviceID: n.device.String(), NodeName: n.name}
			}),
			OSImages: mapped(s.images, func(i *image) openapi.OnChainOSImage {
				return openapi.OnChainOSImage{Name: i.name, Version: i.versionText(), OSImageHash: i.hash()}
			}),
		})
	}
	return ok(openapi.OnChainKMS{ChainName: chain, ChainID: id, Contracts: contracts})
}
