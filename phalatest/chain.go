package phalatest

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Chain is the contract of a KMS on a chain as the cloud sees it, with the KMS's own key. View of a *chaintest.Chain
// implements it.
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
	App(ctx context.Context, app kms.AppID) (known bool, deployer, owner common.Address, err error)
	// Allowance reads the answer of an app's contract.
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
	// Transaction reads whether a transaction is mined and succeeded, and which contract it called.
	Transaction(ctx context.Context, tx common.Hash) (mined, worked bool, to common.Address, err error)
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

// alreadyRegistered replaces a transaction if the contract has allowed everything before.
const alreadyRegistered = "already-registered"

// chainTimeout limits the chain reads of one request.
const chainTimeout = 10 * time.Second

// consent is the answer of an app's contract for a hash and the device of a node.
type consent struct {
	hash, device, anyDevice bool
	err                     error
}

func (c consent) given() bool { return c.err == nil && c.hash && (c.device || c.anyDevice) }

func (c consent) describe() object {
	return object{"compose_hash_allowed": c.hash, "device_id_allowed": c.device || c.anyDevice, "is_allowed": c.given()}
}

// consent returns the answer of the chain. The central KMS allows everything.
func (a *app) consent(hash compose.Hash, n *node) consent {
	if !a.kms.onChain() {
		return consent{hash: true, device: true}
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	is, err := a.kms.chain.Allowance(ctx, a.id, hash, n.device)
	return consent{hash: is.ComposeHash, device: is.Device, anyDevice: is.AnyDevice, err: err}
}

// allowed decides whether an app may run a compose hash on a node now. It returns nil if it may; the central KMS
// always allows it. On a chain it returns 465 for a request without a transaction, unless fresh is false and the
// contract allows it already. For a request with a transaction it returns 468 if the contract does not allow it, and
// 467 if the transaction is invalid.
func (s *Server) allowed(a *app, hash compose.Hash, n *node, by approval, fresh bool) *answer {
	if !a.kms.onChain() {
		return nil
	}
	c := a.consent(hash, n)
	switch {
	case c.err != nil:
		return refuse(http.StatusServiceUnavailable, "", "The chain cannot be read: "+c.err.Error())
	case by.transaction == "" && !fresh && c.given():
		return nil
	case by.transaction == "":
		required := registrationRequired(a.registration(hash, n)...)
		return &required
	case !c.hash:
		return refuse(statusNotAllowed, "ERR-01-008", "The contract does not allow compose hash "+hash.String())
	case !c.given():
		return refuse(statusNotAllowed, "ERR-01-008", "The contract does not allow device "+n.device.String())
	case by.transaction == alreadyRegistered:
		return nil
	}
	return a.verifyTransaction(by.transaction, s.unknown.transaction)
}

// verifyTransaction checks a transaction with the rule in force.
func (a *app) verifyTransaction(text string, rule TransactionRule) *answer {
	no := func(why string) *answer {
		return refuse(statusTxInvalid, "ERR-01-007", fmt.Sprintf("Transaction %.80s: %s", text, why))
	}
	var tx common.Hash
	if err := tx.UnmarshalText([]byte(text)); err != nil {
		return no("not the hash of a transaction")
	}
	if tx == (common.Hash{}) || rule == TransactionAny {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	mined, worked, to, err := a.kms.chain.Transaction(ctx, tx)
	switch {
	case err != nil:
		return no(err.Error())
	case !mined:
		return no("no receipt")
	case !worked:
		return no("it has reverted")
	case rule == TransactionToApp && to != a.id.Address():
		return no("it called another contract")
	}
	return nil
}

// checkContract compares what a commit states about the contract of a new app with the chain.
func (s *Server) checkContract(p *provision, id kms.AppID, contract, deployer string) *answer {
	if contract != "" && common.HexToAddress(contract) != id.Address() {
		return refuse(http.StatusBadRequest, "ERR-02-008", "contract_address is not the app_id")
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	known, by, _, err := p.kms.chain.App(ctx, id)
	switch {
	case err != nil:
		return refuse(http.StatusServiceUnavailable, "", "The chain cannot be read: "+err.Error())
	case !known:
		return refuse(statusTxInvalid, "ERR-01-007", "The KMS knows no app "+id.String())
	case deployer != "" && common.HexToAddress(deployer) != by:
		return refuse(http.StatusBadRequest, "ERR-02-008", "deployer_address is not who deployed the app")
	}
	return s.allowed(&app{id: id, kms: p.kms}, p.key.hash, p.node, approval{transaction: alreadyRegistered}, true)
}

// asked is what a question about the chain's consent names: a hash, and a device by itself or by its node.
func (s *Server) asked(c *call, a *app, hashText string, nodeID *int, deviceID *string, absent *node) answer {
	if !a.kms.onChain() {
		return plain(http.StatusBadRequest, "The app is under the central KMS and has no contract")
	}
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return invalid(err.Error(), "value_error", "body", "compose_hash")
	}
	n := absent
	if nodeID != nil {
		n = s.node(*nodeID)
	}
	if deviceID != nil {
		want := strings.ToLower(strings.TrimPrefix(*deviceID, "0x"))
		i := slices.IndexFunc(s.nodes, func(n *node) bool { return n.device.String() == want })
		if i < 0 {
			return plain(http.StatusNotFound, "Unknown device")
		}
		n = s.nodes[i]
	}
	if n == nil {
		return plain(http.StatusBadRequest, "node_id or device_id is required")
	}
	return ok(a.describeConsent(hash, n))
}

func (a *app) describeConsent(hash compose.Hash, n *node) openapi.Allowance {
	is := a.consent(hash, n)
	described := openapi.Allowance{
		AppContractAddress: a.contract(), ComposeHash: hash.String(), DeviceID: n.device.String(), ComposeHashAllowed: is.hash,
		AllowAnyDevice: is.anyDevice, IsAllowed: is.given(),
	}
	if !is.anyDevice {
		described.DeviceIDAllowed = ref(is.device)
	}
	if is.err != nil {
		described.Error = is.err.Error()
	}
	return described
}

func checkAllowed(s *Server, c *call, a *app) answer {
	var r openapi.CheckAllowedRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	return s.asked(c, a, r.ComposeHash, r.NodeID, r.DeviceID, nil)
}

func checkCVMAllowed(s *Server, c *call, vm *cvm) answer {
	var r openapi.CheckCVMAllowedRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	hash := vm.doc.hash.String()
	if r.ComposeHash != nil {
		hash = *r.ComposeHash
	}
	return s.asked(c, vm.app, hash, r.NodeID, r.DeviceID, vm.node)
}

func checkCVMsAllowed(_ *Server, c *call, a *app) answer {
	results, allowed, failed := []openapi.CVMAllowance{}, 0, 0
	if a.kms.onChain() {
		for _, vm := range a.cvms {
			is := a.describeConsent(vm.doc.hash, vm.node)
			switch {
			case is.Error != "":
				failed++
			case is.IsAllowed:
				allowed++
			}
			results = append(results, openapi.CVMAllowance{
				CVMID: vm.numberOrID(c), AppContractAddress: is.AppContractAddress, ComposeHash: is.ComposeHash, DeviceID: is.DeviceID,
				ComposeHashAllowed: is.ComposeHashAllowed, AllowAnyDevice: is.AllowAnyDevice, DeviceIDAllowed: is.DeviceIDAllowed,
				IsAllowed: is.IsAllowed, Error: is.Error,
			})
		}
	}
	return ok(openapi.CVMAllowances{
		IsOnchain: a.kms.onChain(), Results: results, Total: ref(len(results)), AllowedCount: &allowed,
		DeniedCount: ref(len(results) - allowed - failed), ErrorCount: &failed, SkippedCVMIDs: []openapi.ID{},
	})
}

func deviceAllowlist(s *Server, c *call, a *app) answer {
	if !a.kms.onChain() {
		return ok(openapi.DeviceAllowlist{IsOnchainKMS: ref(false), Devices: []openapi.AllowlistDevice{}})
	}
	devices, anyDevice := []openapi.AllowlistDevice{}, false
	for _, n := range s.nodes {
		is := a.consent(compose.Hash{}, n)
		anyDevice = anyDevice || is.anyDevice
		ids := []openapi.ID{}
		for _, vm := range a.cvms {
			if vm.node == n {
				ids = append(ids, vm.numberOrID(c))
			}
		}
		if !is.device && len(ids) == 0 {
			continue
		}
		status := "allowed"
		if !is.device {
			status = "not_allowed"
		}
		devices = append(devices, openapi.AllowlistDevice{
			DeviceID: n.device.String(), NodeName: n.name, CVMIDs: ids, AllowedOnchain: ref(is.device), Status: status,
		})
	}
	return ok(openapi.DeviceAllowlist{
		IsOnchainKMS: ref(true), AllowAnyDevice: &anyDevice, ChainID: a.kms.chainID(), AppContractAddress: a.contract(), Devices: devices,
	})
}

func appKMSInfo(_ *Server, _ *call, a *app) answer {
	described := openapi.AppKMSInfo{
		IsOnchainKMS: ref(a.kms.onChain()), ChainID: a.kms.chainID(), KMSContractAddress: a.kms.address(), AppContractAddress: a.contract(),
		DeployerAddress: a.deployer, IsContract: ref(false),
	}
	if !a.kms.onChain() {
		return ok(described)
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTimeout)
	defer cancel()
	_, _, owner, err := a.kms.chain.App(ctx, a.id)
	if err != nil {
		return plain(http.StatusServiceUnavailable, "The chain cannot be read: "+err.Error())
	}
	described.DeployerAddress, described.DeployerType = owner.Hex(), "eoa"
	return ok(described)
}

func getOnChain(s *Server, c *call) answer {
	chain := c.params["chain"]
	id, known := map[string]int64{"ethereum": 1, "base": 8453}[chain]
	if !known {
		return plain(http.StatusBadRequest, "Unknown chain "+chain)
	}
	contracts := []openapi.OnChainKMSContract{}
	for _, k := range s.services {
		if !k.onChain() || k.kind != chain {
			continue
		}
		id = *k.chainID()
		described := openapi.OnChainKMSContract{
			ContractAddress: k.address(), ChainID: id, ChainName: chain, K256PubKey: k.signer().String(), CAPubKey: hex.EncodeToString(k.rootCA()),
		}
		for _, n := range s.nodes {
			described.Devices = append(described.Devices, openapi.OnChainDevice{DeviceID: n.device.String(), NodeName: n.name})
		}
		for _, i := range s.images {
			described.OSImages = append(described.OSImages, openapi.OnChainOSImage{Name: i.name, Version: i.versionText(), OSImageHash: i.hash()})
		}
		contracts = append(contracts, described)
	}
	return ok(openapi.OnChainKMS{ChainName: chain, ChainID: id, Contracts: contracts})
}
