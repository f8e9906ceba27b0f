package phalatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// provisionTTL is how long a provision, or an update that was prepared, can be committed.
const provisionTTL = 14 * 24 * time.Hour

type provisionKey struct {
	tenant *Tenant
	app    kms.AppID
	hash   compose.Hash
}

// provision is a provisioned app-compose, which nothing runs yet.
type provision struct {
	key         provisionKey // without an app id where the contract is yet to be deployed
	kms         *keyService
	envKey      kms.PublicKey
	name        string
	doc         *document
	size        size
	image       *image
	node        *node
	listed      bool
	userConfig  string
	kmsURLs     []string
	gatewayURLs []string
	ports       []openapi.ProvisionPort
	expires     time.Time
}

func provisionCVM(s *Server, c *call) answer {
	var request provisionRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	p, bad := s.provision(c.tenant, request.ProvisionRequest, request.ComposeFile)
	if bad != nil {
		return *bad
	}
	return ok(s.describeProvision(p))
}

// provisionRequest is a request whose document is read as it came: the type of the description cannot hold every one.
type provisionRequest struct {
	openapi.ProvisionRequest
	ComposeFile json.RawMessage `json:"compose_file"`
}

func (s *Server) provision(t *Tenant, request openapi.ProvisionRequest, composeFile []byte) (*provision, *answer) {
	if err := compose.ValidateName(request.Name); err != nil {
		bad := invalid("Value error, "+err.Error(), "value_error", "body", "name")
		return nil, &bad
	}
	service := s.chosenService(string(deref(request.KMS)), deref(request.KMSContract), deref(request.KMSContractID), deref(request.KMSID))
	if service == nil {
		return nil, refuse(http.StatusNotFound, "ERR-02-011", "No such KMS")
	}
	doc, bad := s.completed(composeFile)
	if bad != nil {
		return nil, bad
	}
	if len(t.named(request.Name)) > 0 {
		bad := nameTaken(request.Name)
		return nil, &bad
	}
	size, bad := s.chooseSize(request)
	if bad != nil {
		return nil, bad
	}
	if bad := t.overQuota(size); bad != nil {
		return nil, bad
	}
	node, bad := s.chooseNode(request.NodeID, request.TeepodID, request.Region)
	if bad != nil {
		return nil, bad
	}
	image, bad := s.chooseImage(request.Image, request.PreferDev == nil || *request.PreferDev)
	if bad != nil {
		return nil, bad
	}
	id, bad := t.chooseAppID(request, service, doc.hash)
	if bad != nil {
		return nil, bad
	}
	key, err := service.envPublicKey(id)
	if err != nil {
		return nil, refuse(http.StatusInternalServerError, "", err.Error())
	}
	p := &provision{
		key: provisionKey{t, id, doc.hash}, kms: service, envKey: key, name: request.Name, doc: doc, size: size, image: image, node: node,
		listed: deref(request.Listed), userConfig: deref(request.UserConfig),
		kmsURLs: request.KMSURLs, gatewayURLs: request.GatewayURLs, ports: request.Ports,
		expires: time.Now().Add(provisionTTL),
	}
	s.forgetProvisions()
	s.provisions[p.key] = p
	s.expiring = append(s.expiring, p)
	return p, nil
}

// forgetProvisions drops those that can be committed no more.
func (s *Server) forgetProvisions() {
	now := time.Now()
	for len(s.expiring) > 0 && now.After(s.expiring[0].expires) {
		p := s.expiring[0]
		s.expiring = s.expiring[1:]
		if s.provisions[p.key] == p { // else the same was provisioned again
			delete(s.provisions, p.key)
		}
	}
}

// chooseNode returns the requested node in either id space, or the first of the region.
func (s *Server) chooseNode(nodeID, teepodID *int, region *string) (*node, *answer) {
	var asked *node
	switch {
	case nodeID != nil && teepodID != nil:
		return nil, refuse(http.StatusBadRequest, "ERR-02-009", "node_id and teepod_id exclude each other")
	case nodeID != nil:
		if asked = s.node(*nodeID); asked == nil {
			return nil, refuse(http.StatusNotFound, "ERR-01-001", fmt.Sprintf("Node %d was not found", *nodeID))
		}
		return asked, nil
	case teepodID != nil:
		if asked = s.teepod(*teepodID); asked == nil {
			return nil, refuse(http.StatusNotFound, "ERR-01-001", fmt.Sprintf("Teepod %d was not found", *teepodID))
		}
		return asked, nil
	}
	for _, n := range s.nodes {
		if region == nil || *region == n.region {
			return n, nil
		}
	}
	return nil, refuse(http.StatusBadRequest, "ERR-02-002", "No node in region "+*region)
}

func (s *Server) chooseImage(name *string, dev bool) (*image, *answer) {
	if name != nil {
		if i := s.image(*name); i != nil {
			return i, nil
		}
		return nil, refuse(http.StatusNotFound, "ERR-02-010", "Unknown image "+*name)
	}
	for _, i := range s.images {
		if i.dev == dev {
			return i, nil
		}
	}
	return s.images[0], nil
}

// chooseAppID returns the requested app id, or else the next of the wallet.
func (t *Tenant) chooseAppID(request openapi.ProvisionRequest, service *keyService, hash compose.Hash) (kms.AppID, *answer) {
	no := func(message string) (kms.AppID, *answer) {
		return kms.AppID{}, refuse(http.StatusBadRequest, "ERR-02-008", message)
	}
	switch {
	case service.onChain() && request.Nonce != nil:
		return no("a nonce is for the central KMS")
	case service.onChain() && request.AppID == nil:
		return kms.AppID{}, nil
	case service.onChain():
		id, err := kms.ParseAppID(*request.AppID)
		if err != nil {
			return no(err.Error())
		}
		return id, nil
	case request.Nonce == nil && request.AppID == nil:
		id := kms.DeriveAppID(t.wallet, t.nonce)
		t.nonce++
		return id, nil
	case request.Nonce == nil || request.AppID == nil:
		return no("nonce and app_id go together")
	case *request.Nonce < 0:
		return no("the nonce is negative")
	}
	id, err := kms.ParseAppID(*request.AppID)
	nonce := uint64(*request.Nonce)
	switch {
	case err != nil:
		return no(err.Error())
	case id != kms.DeriveAppID(t.wallet, nonce):
		return no("the app_id does not follow from the nonce")
	}
	if _, again := t.server.provisions[provisionKey{t, id, hash}]; again {
		return id, nil
	}
	if nonce < t.nonce {
		return no(fmt.Sprintf("the nonce %d has been used", nonce))
	}
	t.nonce = nonce + 1
	return id, nil
}

// under is the provision with the id that the contract of its app got.
func (p *provision) under(id kms.AppID) (*provision, error) {
	var err error
	named := *p
	named.key.app = id
	named.envKey, err = p.kms.envPublicKey(id)
	return &named, err
}

func (s *Server) describeProvision(p *provision) openapi.Provision {
	described := openapi.Provision{
		ComposeHash: p.key.hash.String(), DeviceID: p.node.device.String(), FMSPC: fmspc, OSImageHash: p.image.hash(), InstanceType: p.size.kind,
		TeepodID: numbered(p.node.teepod), NodeID: numbered(p.node.id), KMSInfo: ref(p.kms.describe()),
	}
	if !p.key.app.IsZero() {
		described.AppID = p.key.app.String()
	}
	if !p.kms.onChain() {
		described.AppEnvEncryptPublicKey = p.envKey.String()
	}
	return described
}

const fmspc = "b0c06f000000"

// errNoProvision is returned if there is no provision of an app id and hash, or an expired one.
var errNoProvision = errors.New("no provision")

func (t *Tenant) findProvision(appText, hashText string) (*provision, error) {
	id, err := kms.ParseAppID(appText)
	if err != nil {
		return nil, err
	}
	hash, err := compose.ParseHash(hashText)
	if err != nil {
		return nil, err
	}
	p := t.server.provisions[provisionKey{t, id, hash}]
	if p == nil { // the id of an app on a chain is known only after its contract was deployed
		p = t.server.provisions[provisionKey{tenant: t, hash: hash}]
	}
	if p == nil || time.Now().After(p.expires) {
		return nil, errNoProvision
	}
	return p, nil
}

// provisionEliza provisions an agent from its character file.
func provisionEliza(s *Server, c *call) answer {
	var r openapi.ProvisionElizaRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	composeFile, err := json.Marshal(object{
		"docker_compose_file": "services:\n  eliza:\n    image: phalanetwork/eliza\n", "allowed_envs": append([]string{}, r.EnvKeys...),
	})
	if err != nil {
		return invalidCompose(err)
	}
	p, bad := s.provision(c.tenant, openapi.ProvisionRequest{Name: r.Name, TeepodID: r.TeepodID, Image: r.Image}, composeFile)
	if bad != nil {
		return *bad
	}
	return ok(s.describeProvision(p))
}

// models are what workloads serve.
func models() []string { return []string{"phala/qwen-2.5-7b-instruct", "phala/gpt-oss-20b"} }

// createWorkload provisions and creates a CVM that serves a model.
func createWorkload(s *Server, c *call) answer {
	var r openapi.CreateWorkloadRequest
	if bad, ok := s.decode(c, &r); !ok {
		return bad
	}
	known := false
	for _, m := range models() {
		known = known || m == r.ModelID
	}
	if !known {
		return plain(http.StatusBadRequest, "Unknown model "+r.ModelID)
	}
	composeFile, err := json.Marshal(object{"docker_compose_file": "services:\n  model:\n    image: vllm/vllm-openai\n    command: --model " + r.ModelID + "\n"})
	if err != nil {
		return invalidCompose(err)
	}
	p, bad := s.provision(c.tenant, openapi.ProvisionRequest{Name: r.Name, InstanceType: &r.InstanceType}, composeFile)
	if bad != nil {
		return *bad
	}
	vm := s.fromProvision(p)
	created := s.launch(c, vm, nil)
	vm.schedule(s, r.ScheduledDeleteAt)
	return created
}
