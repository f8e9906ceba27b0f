package phalatest

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

func listKMS(s *Server, c *call) answer {
	var chosen []openapi.KMS
	for _, k := range s.services {
		if want := c.URL.Query().Get("is_onchain"); want == "" || want == strconv.FormatBool(k.onChain()) {
			chosen = append(chosen, k.inVersion(c))
		}
	}
	return page(c, all(chosen), pageNames{"items", "pages", 20}, func(k openapi.KMS) any { return k })
}

// contractKeyed reports whether /kms is about contracts in the version of the call, and not about nodes.
func (c *call) contractKeyed() bool { return c.version >= "2026-06-23" }

// inVersion is the KMS as a node, or in newer versions as a contract.
func (k *keyService) inVersion(c *call) openapi.KMS {
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
	return ok(openapi.KMSInspection{
		ID: openapi.ID(k.id), Slug: k.slug, Endpoint: k.url, KMSType: k.kind, DBVersion: "0.5.5",
		RPC: &openapi.KMSRPCInfo{
			Version: "0.5.5", ChainID: k.chainID(), KMSContractAddress: k.address(), VersionSynced: true,
			BootstrapInfo: openapi.KMSBootstrapInfo{K256PublicKey: k.signer().String(), CAPublicKey: hex.EncodeToString(k.rootCA())},
		},
		Teepods: []openapi.KMSTeepod{},
	})
}

// getEnvKey returns the env key of any app id, signed by the root key.
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
	return ok(openapi.EnvPublicKey{PublicKey: key.String(), Signature: hex.EncodeToString(signature)})
}

func nextAppIDs(_ *Server, c *call) answer {
	var ids []openapi.NextAppID
	for i := range uint64(c.number("counts", 1)) {
		ids = append(ids, openapi.NextAppID{
			AppID: kms.DeriveAppID(c.tenant.wallet, c.tenant.nonce+i).Address().Hex(), Nonce: int64(c.tenant.nonce + i),
		})
	}
	return ok(openapi.NextAppIDs{AppIDs: ids})
}

func listContractNodes(s *Server, c *call) answer {
	k := s.service(c.params["slug"], true)
	if !c.contractKeyed() || k == nil {
		return plain(http.StatusNotFound, "KMS not found")
	}
	return ok(openapi.KMSNodes{
		Items: []openapi.KMSNode{{ID: openapi.ID(k.id), Slug: k.slug, URL: k.url, Version: "0.5.5", KMSType: k.kind}}, Total: 1,
	})
}
