package phalatest

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/phala-go/phala/kms"
)

func listKMS(s *Server, c *call) answer {
	all := []object{s.describeKMS()}
	if c.contractKeyed() {
		all[0] = s.describeContract()
	}
	if c.URL.Query().Get("is_onchain") == "true" {
		all = nil
	}
	return page(c, all, 20, "items", "pages", func(o object) object { return o })
}

// contractKeyed tells the versions in which /kms is about contracts and no longer about nodes.
func (c *call) contractKeyed() bool { return c.version >= "2026-06-23" }

// describeContract is the central KMS among the contracts: it has none, which its address says.
func (s *Server) describeContract() object {
	return object{
		"id": contractID, "slug": contractSlug, "label": "Phala", "contract_address": "phala", "chain_id": 0,
		"k256_pubkey": s.KMSRoot().String(), "ca_pubkey": "", "node_count": 1,
	}
}

func onKMS(h func(*Server, *call) answer) handler {
	return func(s *Server, c *call) answer {
		id := c.params["kms_id"]
		known := id == kmsID || id == kmsSlug
		if c.contractKeyed() {
			known = id == contractID || id == contractSlug
		}
		if !known {
			return plain(http.StatusNotFound, "KMS not found")
		}
		return h(s, c)
	}
}

func getKMS(s *Server, c *call) answer {
	if c.contractKeyed() {
		return ok(s.describeContract())
	}
	return ok(s.describeKMS())
}

func inspectKMS(s *Server, _ *call) answer {
	return ok(object{
		"id": kmsID, "slug": kmsSlug, "endpoint": kmsURL, "kms_type": "phala", "db_version": "0.5.5",
		"rpc": object{
			"version": "0.5.5", "is_dev": false, "chain_id": nil, "kms_contract_address": nil, "gateway_app_id": nil, "version_synced": true,
			"bootstrap_info": object{
				"k256_pubkey": s.KMSRoot().String(), "ca_pubkey": "", "quote_length": 0, "eventlog_length": 0,
			},
		},
		"rpc_error": nil, "guest_agent": nil, "guest_agent_error": nil, "teepods": []object{}, "on_chain": nil,
	})
}

// getEnvKey gives the env key of any app id, signed by the root key.
func getEnvKey(s *Server, c *call) answer {
	text := c.params["app_id"]
	if strings.HasPrefix(text, "app_") {
		return plain(http.StatusBadRequest, "app_id must be 40 hexadecimal digits")
	}
	app, err := kms.ParseAppID(text)
	if err != nil {
		return plain(http.StatusBadRequest, err.Error())
	}
	key, err := s.keys.envPublicKey(app)
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	signature, err := kms.SignPublicKey(s.keys.root, app, key)
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	return ok(object{"public_key": key.String(), "signature": hex.EncodeToString(signature)})
}

func nextAppIDs(s *Server, c *call) answer {
	ids := []object{}
	for i := range uint64(c.number("counts", 1)) {
		ids = append(ids, object{"app_id": kms.DeriveAppID(s.keys.wallet, s.nonce+i).Address().Hex(), "nonce": s.nonce + i})
	}
	return ok(object{"app_ids": ids})
}

func listContractNodes(s *Server, c *call) answer {
	if slug := c.params["slug"]; !c.contractKeyed() || slug != contractSlug && slug != contractID {
		return plain(http.StatusNotFound, "KMS not found")
	}
	return ok(object{
		"items": []object{{"id": kmsID, "slug": kmsSlug, "url": kmsURL, "version": "0.5.5", "kms_type": "phala"}}, "total": 1,
	})
}
