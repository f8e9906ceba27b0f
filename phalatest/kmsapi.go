package phalatest

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/phala-go/phala/kms"
)

func listKMS(s *Server, c *call) answer {
	chosen := []object{}
	for _, k := range s.services {
		if want := c.URL.Query().Get("is_onchain"); want == "" || want == strconv.FormatBool(k.onChain()) {
			chosen = append(chosen, k.inVersion(c))
		}
	}
	return page(c, all(chosen), pageNames{"items", "pages", 20}, func(o object) object { return o })
}

// contractKeyed tells the versions in which /kms is about contracts and no longer about nodes.
func (c *call) contractKeyed() bool { return c.version >= "2026-06-23" }

// inVersion is the KMS as a node, or in newer versions as a contract.
func (k *keyService) inVersion(c *call) object {
	if c.contractKeyed() {
		return k.describeContract()
	}
	return k.describe()
}

func onKMS(h func(*keyService, *call) answer) handler {
	return func(s *Server, c *call) answer {
		k := s.service(c.params["kms_id"], c.contractKeyed())
		if k == nil {
			return plain(http.StatusNotFound, "KMS not found")
		}
		return h(k, c)
	}
}

func getKMS(k *keyService, c *call) answer { return ok(k.inVersion(c)) }

func inspectKMS(k *keyService, _ *call) answer {
	return ok(object{
		"id": k.id, "slug": k.slug, "endpoint": k.url, "kms_type": k.kind, "db_version": "0.5.5",
		"rpc": object{
			"version": "0.5.5", "is_dev": false, "chain_id": k.chainID(), "kms_contract_address": k.address(), "gateway_app_id": nil, "version_synced": true,
			"bootstrap_info": object{
				"k256_pubkey": k.signer().String(), "ca_pubkey": hex.EncodeToString(k.rootCA()), "quote_length": 0, "eventlog_length": 0,
			},
		},
		"rpc_error": nil, "guest_agent": nil, "guest_agent_error": nil, "teepods": []object{}, "on_chain": nil,
	})
}

// getEnvKey gives the env key of any app id, signed by the root key.
func getEnvKey(k *keyService, c *call) answer {
	text := c.params["app_id"]
	if strings.HasPrefix(text, "app_") {
		return plain(http.StatusBadRequest, "app_id must be 40 hexadecimal digits")
	}
	app, err := kms.ParseAppID(text)
	if err != nil {
		return plain(http.StatusBadRequest, err.Error())
	}
	key, err := k.envPublicKey(app)
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	signature, err := kms.SignPublicKey(k.root, app, key)
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	return ok(object{"public_key": key.String(), "signature": hex.EncodeToString(signature)})
}

func nextAppIDs(_ *Server, c *call) answer {
	ids := []object{}
	for i := range uint64(c.number("counts", 1)) {
		ids = append(ids, object{"app_id": kms.DeriveAppID(c.tenant.wallet, c.tenant.nonce+i).Address().Hex(), "nonce": c.tenant.nonce + i})
	}
	return ok(object{"app_ids": ids})
}

func listContractNodes(s *Server, c *call) answer {
	k := s.service(c.params["slug"], true)
	if !c.contractKeyed() || k == nil {
		return plain(http.StatusNotFound, "KMS not found")
	}
	return ok(object{
		"items": []object{{"id": k.id, "slug": k.slug, "url": k.url, "version": "0.5.5", "kms_type": k.kind}}, "total": 1,
	})
}
