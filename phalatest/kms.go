package phalatest

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// keyService is one KMS of the cloud: the central one, or one that a contract governs. A node serves it and,
// in newer versions of the API, a contract stands for it.
type keyService struct {
	id, slug, url            string // of its node
	contractID, contractSlug string
	label                    string
	kind                     string // "phala", "ethereum", "base"
	root                     *ecdsa.PrivateKey
	chain                    Chain // nil for the central one
}

// centralKMS is the KMS of the cloud itself.
func centralKMS(root *ecdsa.PrivateKey) *keyService {
	return &keyService{
		id: "kms_test1", slug: "phala-test1", url: "https://kms." + gatewayDomain,
		contractID: "kc_phala", contractSlug: "phala", label: "Phala", kind: "phala", root: root,
	}
}

// chainKMS is a KMS that the contract on a chain governs.
func chainKMS(chain Chain) *keyService {
	kind := "ethereum"
	if chain.ChainID() == 8453 {
		kind = "base"
	}
	return &keyService{
		id: "kms_test2", slug: "kms-" + kind + "-test1", url: "https://kms-" + kind + "." + gatewayDomain,
		contractID: "kc_" + kind, contractSlug: kind + "-test1", label: strings.ToUpper(kind[:1]) + kind[1:], kind: kind,
		root: chain.KMSKey(), chain: chain,
	}
}

func (k *keyService) onChain() bool { return k.chain != nil }

func (k *keyService) signer() kms.RootKey { return kms.RootKeyOf(k.root) }

// rootCA returns the public key of the CA that certifies the keys of apps, derived from the root key. It is empty
// only for a root key that no seed produces.
func (k *keyService) rootCA() []byte {
	if k.onChain() {
		return k.chain.KMSRootCA()
	}
	key, err := ecdh.P256().NewPrivateKey(crypto.Keccak256(crypto.FromECDSA(k.root), []byte("ca")))
	if err != nil {
		return nil
	}
	der, err := x509.MarshalPKIXPublicKey(key.PublicKey())
	if err != nil {
		return nil
	}
	return der
}

// envKey returns the key of an app's environment, derived from the root key and the app id.
func (k *keyService) envKey(app kms.AppID) (*ecdh.PrivateKey, error) {
	return ecdh.X25519().NewPrivateKey(crypto.Keccak256(crypto.FromECDSA(k.root), []byte("env"), app[:]))
}

func (k *keyService) envPublicKey(app kms.AppID) (kms.PublicKey, error) {
	key, err := k.envKey(app)
	if err != nil {
		return kms.PublicKey{}, err
	}
	return kms.PublicKey(key.PublicKey().Bytes()), nil
}

// chainID returns nil for the central KMS.
func (k *keyService) chainID() *int64 {
	if !k.onChain() {
		return nil
	}
	return ref(int64(k.chain.ChainID()))
}

// address returns "" for the central KMS.
func (k *keyService) address() string {
	if !k.onChain() {
		return ""
	}
	return k.chain.KMSContract().Hex()
}

// describe returns the KMS as a node, for older versions and inside other responses.
func (k *keyService) describe() openapi.KMS {
	return openapi.KMS{
		ID: openapi.ID(k.id), Slug: k.slug, URL: k.url, Version: "0.5.5", ChainID: k.chainID(), KMSContractAddress: k.address(),
		K256PublicKey: k.signer().String(),
	}
}

// describeContract returns the KMS as a contract. The address of the central one shows that it has none.
func (k *keyService) describeContract() openapi.KMS {
	described := openapi.KMS{
		ID: openapi.ID(k.contractID), Slug: k.contractSlug, Label: k.label, ContractAddress: "phala", ChainID: ref(int64(0)),
		K256PublicKey: k.signer().String(), CAPublicKey: hex.EncodeToString(k.rootCA()), NodeCount: ref(1),
	}
	if k.onChain() {
		described.ContractAddress, described.ChainID = k.address(), k.chainID()
	}
	return described
}

// named reports whether a path or a request refers to the KMS, as a node or as a contract.
func (k *keyService) named(name string, asContract bool) bool {
	if asContract {
		return name == k.contractID || name == k.contractSlug
	}
	return name == k.id || name == k.slug
}

// service returns the KMS with a name.
func (s *Server) service(name string, asContract bool) *keyService {
	for _, k := range s.services {
		if k.named(name, asContract) {
			return k
		}
	}
	return nil
}

// chosenService returns the KMS of a provision: by contract, by node, by type, or else the central one.
func (s *Server) chosenService(kind, contract, contractID, node string) *keyService {
	if kind == "" && contract == "" && contractID == "" && node == "" {
		return s.services[0]
	}
	for _, k := range s.services {
		fits := (kind == "" || strings.EqualFold(kind, k.kind)) &&
			(contract == "" || k.onChain() && common.HexToAddress(contract) == k.chain.KMSContract()) &&
			(contractID == "" || contractID == k.contractID) && (node == "" || k.named(node, false))
		if fits {
			return k
		}
	}
	return nil
}

// keys are the secrets of the cloud: the root key of the central KMS.
type keys struct {
	root *ecdsa.PrivateKey
}

func newKeys(seed string) (*keys, error) {
	root, err := crypto.ToECDSA(crypto.Keccak256([]byte("kms root"), []byte(seed)))
	if err != nil {
		return nil, fmt.Errorf("phalatest: seed: %w", err)
	}
	return &keys{root: root}, nil
}

// wallet is the address of the wallet of a tenant. Nobody has its key: nothing is ever signed with it.
func (*keys) wallet(seed string, tenant int) common.Address {
	if tenant > 1 {
		seed += fmt.Sprint(" tenant ", tenant)
	}
	return common.BytesToAddress(crypto.Keccak256([]byte("team wallet"), []byte(seed)))
}

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
