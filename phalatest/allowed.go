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

func (a *app) describeConsent(hash compose.Hash, n *node) object {
	is := a.consent(hash, n)
	described := object{
		"app_contract_address": a.contract(), "compose_hash": hash.String(), "device_id": n.device.String(),
		"compose_hash_allowed": is.hash, "allow_any_device": is.anyDevice, "device_id_allowed": any(is.device), "is_allowed": is.given(),
	}
	if is.anyDevice {
		described["device_id_allowed"] = nil
	}
	if is.err != nil {
		described["error"] = is.err.Error()
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
	results, allowed, failed := []object{}, 0, 0
	if a.kms.onChain() {
		for _, vm := range a.cvms {
			described := a.describeConsent(vm.doc.hash, vm.node)
			described["cvm_id"] = vm.numberOrID(c)
			switch {
			case described["error"] != nil:
				failed++
			case described["is_allowed"] == true:
				allowed++
			}
			results = append(results, described)
		}
	}
	return ok(object{
		"is_onchain": a.kms.onChain(), "results": results, "total": len(results), "allowed_count": allowed,
		"denied_count": len(results) - allowed - failed, "error_count": failed, "skipped_cvm_ids": []any{},
	})
}

func deviceAllowlist(s *Server, c *call, a *app) answer {
	if !a.kms.onChain() {
		return ok(object{"is_onchain_kms": false, "allow_any_device": nil, "chain_id": nil, "app_contract_address": nil, "devices": []object{}})
	}
	devices, anyDevice := []object{}, false
	for _, n := range s.nodes {
		is := a.consent(compose.Hash{}, n)
		anyDevice = anyDevice || is.anyDevice
		ids := []any{}
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
		devices = append(devices, object{
			"device_id": n.device.String(), "node_name": n.name, "cvm_ids": ids, "allowed_onchain": is.device, "status": status,
		})
	}
	return ok(object{
		"is_onchain_kms": true, "allow_any_device": anyDevice, "chain_id": a.kms.chainID(), "app_contract_address": a.contract(),
		"devices": devices,
	})
}

func appKMSInfo(_ *Server, _ *call, a *app) answer {
	described := object{
		"is_onchain_kms": a.kms.onChain(), "chain_id": a.kms.chainID(), "kms_contract_address": a.kms.address(),
		"app_contract_address": a.contract(), "deployer_address": orNull(a.deployer), "deployer_type": nil, "is_contract": false,
		"safe_app_url": nil,
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
	described["deployer_address"], described["deployer_type"] = owner.Hex(), "eoa"
	return ok(described)
}

func getOnChain(s *Server, c *call) answer {
	chain := c.params["chain"]
	id, known := map[string]uint64{"ethereum": 1, "base": 8453}[chain]
	if !known {
		return plain(http.StatusBadRequest, "Unknown chain "+chain)
	}
	contracts := []object{}
	for _, k := range s.services {
		if !k.onChain() || k.kind != chain {
			continue
		}
		id = k.chain.ChainID()
		devices, images := []object{}, []object{}
		for _, n := range s.nodes {
			devices = append(devices, object{"device_id": n.device.String(), "node_name": n.name, "on_chain_allowed": nil})
		}
		for _, i := range s.images {
			images = append(images, object{"name": i.name, "version": i.versionText(), "os_image_hash": i.hash(), "on_chain_allowed": nil})
		}
		contracts = append(contracts, object{
			"contract_address": k.address(), "chain_id": id, "chain_name": chain, "devices": devices, "os_images": images,
			"k256_pubkey": k.signer().String(), "ca_pubkey": hex.EncodeToString(k.rootCA()), "gateway_contract_address": nil,
		})
	}
	return ok(object{"chain_name": chain, "chain_id": id, "contracts": contracts})
}
