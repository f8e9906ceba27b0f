package phalatest

import (
	"net/http"

	"github.com/phala-go/phala/openapi"
)

// The central KMS has no contracts, so that there is nothing to ask them.

func checkAllowed(s *Server, c *call, _ *app) answer {
	if bad, ok := s.decode(c, &openapi.CheckAllowedRequest{}); !ok {
		return bad
	}
	return noContract()
}

func noContract() answer {
	return plain(http.StatusBadRequest, "The app is under the central KMS and has no contract")
}

func checkCVMsAllowed(_ *Server, _ *call, _ *app) answer {
	return ok(object{
		"is_onchain": false, "results": []object{}, "total": 0, "allowed_count": 0, "denied_count": 0, "error_count": 0,
		"skipped_cvm_ids": []any{},
	})
}

func deviceAllowlist(_ *Server, _ *call, _ *app) answer {
	return ok(object{"is_onchain_kms": false, "allow_any_device": nil, "chain_id": nil, "app_contract_address": nil, "devices": []object{}})
}

func appKMSInfo(_ *Server, _ *call, _ *app) answer {
	return ok(object{
		"is_onchain_kms": false, "chain_id": nil, "kms_contract_address": nil, "app_contract_address": nil, "deployer_address": nil,
		"deployer_type": nil, "is_contract": false, "safe_app_url": nil,
	})
}

func getOnChain(_ *Server, c *call) answer {
	id, known := map[string]int{"ethereum": 1, "base": 8453}[c.params["chain"]]
	if !known {
		return plain(http.StatusBadRequest, "Unknown chain "+c.params["chain"])
	}
	return ok(object{"chain_name": c.params["chain"], "chain_id": id, "contracts": []object{}})
}

func checkCVMAllowed(s *Server, c *call, _ *cvm) answer {
	if bad, ok := s.decode(c, &openapi.CheckCVMAllowedRequest{}); !ok {
		return bad
	}
	return noContract()
}
