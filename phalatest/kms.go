package phalatest

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// kmsService is one KMS of the cloud: the central one, or one that a contract governs. The API identifies it by its node,
// in newer versions by its contract.
type kmsService struct {
	id, slug, url            string // of its node
	contractID, contractSlug string
	label                    string
	kind                     string // "phala", "ethereum", "base"
	root                     *ecdsa.PrivateKey
	chain                    Chain // nil for the central one
}

func centralKMS(root *ecdsa.PrivateKey) *kmsService {
	return &kmsService{
		id: "kms_test1", slug: "phala-test1", url: "https://kms." + gatewayDomain,
		contractID: "kc_phala", contractSlug: "phala", label: "Phala", kind: "phala", root: root,
	}
}

func chainKMS(chain Chain) *kmsService {
	kind := "ethereum"
	if chain.ChainID() == 8453 {
		kind = "base"
	}
	return &kmsService{
		id: "kms_test2", slug: "kms-" + kind + "-test1", url: "https://kms-" + kind + "." + gatewayDomain,
		contractID: "kc_" + kind, contractSlug: kind + "-test1", label: strings.ToUpper(kind[:1]) + kind[1:], kind: kind,
		root: chain.KMSKey(), chain: chain,
	}
}

func (k *kmsService) onChain() bool { return k.chain != nil }

func (k *kmsService) signer() kms.RootKey { return kms.RootKeyOf(k.root) }

// rootCA returns the public key of the CA that certifies the keys of apps, derived from the root key. It is empty
// only for a root key that no seed produces.
func (k *kmsService) rootCA() []byte {
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

// envKey returns the private key of an app's environment, derived from the root key and the app id.
func (k *kmsService) envKey(app kms.AppID) (*ecdh.PrivateKey, error) {
	return ecdh.X25519().NewPrivateKey(crypto.Keccak256(crypto.FromECDSA(k.root), []byte("env"), app[:]))
}

func (k *kmsService) envPublicKey(app kms.AppID) (kms.PublicKey, error) {
	key, err := k.envKey(app)
	if err != nil {
		return kms.PublicKey{}, err
	}
	return kms.PublicKey(key.PublicKey().Bytes()), nil
}

// chainID returns nil for the central KMS.
func (k *kmsService) chainID() *int64 {
	if !k.onChain() {
		return nil
	}
	return ref(int64(k.chain.ChainID()))
}

// address returns "" for the central KMS.
func (k *kmsService) address() string {
	if !k.onChain() {
		return ""
	}
	return k.chain.KMSContract().Hex()
}

// describe returns the KMS as a node, for older versions and inside other responses.
func (k *kmsService) describe() openapi.KMS {
	return openapi.KMS{
		ID: openapi.ID(k.id), Slug: k.slug, URL: k.url, Version: platformVersion, ChainID: k.chainID(), KMSContractAddress: k.address(),
		K256PublicKey: k.signer().String(),
	}
}

// describeContract returns the KMS as a contract. The central one, which has none, has the address "phala".
func (k *kmsService) describeContract() openapi.KMS {
	described := openapi.KMS{
		ID: openapi.ID(k.contractID), Slug: k.contractSlug, Label: k.label, ContractAddress: "phala", ChainID: ref(int64(0)),
		K256PublicKey: k.signer().String(), CAPublicKey: hex.EncodeToString(k.rootCA()), NodeCount: ref(1),
	}
	if k.onChain() {
		described.ContractAddress, described.ChainID = k.address(), k.chainID()
	}
	return described
}

// named reports whether a name is that of the KMS, as a node or as a contract.
func (k *kmsService) named(name string, asContract bool) bool {
	if asContract {
		return name == k.contractID || name == k.contractSlug
	}
	return name == k.id || name == k.slug
}

func (s *Server) service(name string, asContract bool) *kmsService {
	return first(s.services, func(k *kmsService) bool { return k.named(name, asContract) })
}

// chooseService returns the KMS of a provision: by contract, by node, by type, or else the central one.
func (s *Server) chooseService(kind, contract, contractID, node string) *kmsService {
	return first(s.services, func(k *kmsService) bool { // the central one is the first
		return (kind == "" || strings.EqualFold(kind, k.kind)) &&
			(contract == "" || k.onChain() && common.HexToAddress(contract) == k.chain.KMSContract()) &&
			(contractID == "" || contractID == k.contractID) && (node == "" || k.named(node, false))
	})
}

func (s *Server) answerKMSList(c *call) *response {
	var chosen []openapi.KMS
	for _, k := range s.services {
		if want := c.URL.Query().Get("is_onchain"); want == "" || want == strconv.FormatBool(k.onChain()) {
			chosen = append(chosen, k.inVersion(c))
		}
	}
	return page(c, inOrder(chosen), pageStyle{"items", "pages", 20}, func(k openapi.KMS) any { return k })
}

// inVersion returns the KMS as a node, or in newer versions as a contract.
func (k *kmsService) inVersion(c *call) openapi.KMS {
	if c.contractKeyed() {
		return k.describeContract()
	}
	return k.describe()
}

func (*Server) answerKMSGet(c *call) *response { return ok(c.kms.inVersion(c)) }

func (*Server) answerKMSInspect(c *call) *response {
	return ok(openapi.KMSInspection{
		ID: openapi.ID(c.kms.id), Slug: c.kms.slug, Endpoint: c.kms.url, KMSType: c.kms.kind, DBVersion: platformVersion,
		RPC: &openapi.KMSRPCInfo{
			Version: platformVersion, ChainID: c.kms.chainID(), KMSContractAddress: c.kms.address(), VersionSynced: true,
			BootstrapInfo: openapi.KMSBootstrapInfo{K256PublicKey: c.kms.signer().String(), CAPublicKey: hex.EncodeToString(c.kms.rootCA())},
		},
		Teepods: []openapi.KMSTeepod{},
	})
}

// answerKMSGetAppEnvPublicKey returns the env key of any app id, signed by the root key.
func (*Server) answerKMSGetAppEnvPublicKey(c *call) *response {
	text := c.params["app_id"]
	if strings.HasPrefix(text, "app_") {
		return plainError(http.StatusBadRequest, "app_id must be 40 hexadecimal digits")
	}
	app, err := kms.ParseAppID(text)
	if err != nil {
		return plainError(http.StatusBadRequest, err.Error())
	}
	key, err := c.kms.envPublicKey(app)
	if err != nil {
		return internalError(err)
	}
	signature, err := kms.SignPublicKey(c.kms.root, app, key)
	if err != nil {
		return internalError(err)
	}
	return ok(openapi.EnvPublicKey{PublicKey: key.String(), Signature: hex.EncodeToString(signature)})
}

func (*Server) answerKMSGetNextAppIDs(c *call) *response {
	var ids []openapi.NextAppID
	for i := range uint64(c.number("counts", 1)) {
		nonce := c.workspace.nonce + i
		ids = append(ids, openapi.NextAppID{AppID: kms.DeriveAppID(c.workspace.wallet, nonce).Address().Hex(), Nonce: int64(nonce)})
	}
	return ok(openapi.NextAppIDs{AppIDs: ids})
}

func (s *Server) answerKMSListContractNodes(c *call) *response {
	k := s.service(c.params["slug"], true)
	if !c.contractKeyed() || k == nil {
		return plainError(http.StatusNotFound, "KMS not found")
	}
	return ok(openapi.KMSNodes{
		Items: []openapi.KMSNode{{ID: openapi.ID(k.id), Slug: k.slug, URL: k.url, Version: platformVersion, KMSType: k.kind}}, Total: 1,
	})
}
