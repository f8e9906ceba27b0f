package phalatest

import (
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/openapi"
)

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
